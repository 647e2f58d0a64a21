"""Reads environment variables; what is malformed is told by its name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured


class Environment:
    """Typed access to environment variables. An empty variable counts as unset."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = os.environ if variables is None else variables

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name, "").strip() or default

    def secret(self, name: str, default: str, *, required: bool) -> str:
        value = self.text(name, "")
        if not value and required:
            raise ImproperlyConfigured(f"{name}: must be set in production")
        return value or default

    def words(self, name: str, default: Sequence[str], *, required: bool = False) -> list[str]:
        """Comma-separated values."""
        words = [word.strip() for word in self.text(name, "").split(",") if word.strip()]
        if not words and required:
            raise ImproperlyConfigured(f"{name}: must be set in production")
        return words or list(default)

    def named(self, prefix: str) -> dict[str, Any]:
        """Every variable whose name begins so, by the rest of its name: text, or JSON where it is `true`, `false`, a
        list or an object."""
        found: dict[str, Any] = {}
        for name in sorted(self._variables):
            value = self.text(name, "")
            if not name.startswith(prefix) or not value:
                continue
            try:
                found[name.removeprefix(prefix)] = json.loads(value) if _is_json(value) else value
            except ValueError:
                raise ImproperlyConfigured(f"{name}: begins like JSON and is none") from None
        return found

    def integer(self, name: str, default: int, *, least: int = 1) -> int:
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise ImproperlyConfigured(f"{name}: must be a whole number of at least {least}, not {value!r}")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "1" if default else "0").lower()
        if value not in {"0", "1", "true", "false", "yes", "no"}:
            raise ImproperlyConfigured(f"{name}: must be 1 or 0, not {value!r}")
        return value in {"1", "true", "yes"}

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise ImproperlyConfigured(f"{name}: must be one of {', '.join(allowed)}, not {value!r}")
        return value


def _is_json(value: str) -> bool:
    return value in {"true", "false"} or value.startswith(("{", "["))
