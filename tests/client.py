"""Speaks to a running stack as its users do."""

from __future__ import annotations

import json
from typing import Any

from tests.running import Helper, Stack


class Client:
    """Accepts, cancels and retries messages in one workspace."""

    def __init__(self, stack: Stack) -> None:
        self._helper = Helper("tests.accepting", env={**stack.env})
        self.accepted = 0

    def __enter__(self) -> Client:
        self._helper.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._helper.__exit__(*exception)

    def batch(self, to: list[str], **fields: Any) -> list[str]:
        keys: list[str] = self._call("batch", to=to, fields=fields)["result"]
        self.accepted += len(keys)
        return keys

    def _call(self, name: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._helper.ask(json.dumps({"call": name, **arguments})))
        return answer
