"""Accepts messages in a process of its own: a request a line comes in, an answer a line goes out.

python -m tests.accepting       {"call": "batch", "to": [...], "fields": {...}}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import django

django.setup()

from messaging.dispatch import control  # noqa: E402
from messaging.errors import DispatchError  # noqa: E402
from messaging.state import Cause, Priority  # noqa: E402
from tests import factories  # noqa: E402

_workspace = factories.make_workspace()


def _fields(fields: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Callable[[Any], Any]] = {
        "priority": lambda word: Priority[word.upper()],
        "scheduled_at": datetime.fromisoformat,
        "expires_at": datetime.fromisoformat,
    }
    return {name: read[name](value) if name in read else value for name, value in fields.items()}


def batch(*, to: list[str], fields: dict[str, Any]) -> list[str]:
    return [str(key) for key in factories.accept_batch(_workspace, to, **_fields(fields)).ids]


def cancel(*, key: str) -> None:
    control.cancel(workspace_id=_workspace.id, message_id=UUID(key), cause=Cause.API)


def retry(*, key: str) -> None:
    control.retry(workspace_id=_workspace.id, message_id=UUID(key), cause=Cause.API)


CALLS: dict[str, Callable[..., Any]] = {"batch": batch, "cancel": cancel, "retry": retry}


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": CALLS[request.pop("call")](**request)}
        except DispatchError as error:
            answer = {"error": error.code}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
