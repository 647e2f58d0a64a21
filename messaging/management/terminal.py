"""What the commands share: rows found by name, and words for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TextIO
from uuid import UUID

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rich.console import Console
from rich.markup import escape

from messaging.models import Message, Workspace

COLOURS: dict[str, str] = {
    "SCHEDULED": "cyan",
    "QUEUED": "yellow",
    "SENDING": "blue",
    "SENT": "green",
    "DELIVERED": "bold green",
    "OPENED": "bold green",
    "CLICKED": "bold green",
    "BOUNCED": "red",
    "FAILED": "bold red",
    "UNSUBSCRIBED": "magenta",
    "CANCELLED": "dim",
}


def console(stream: Any) -> Console:
    """A console on a command's `stdout`; plain, unwrapped lines where that is not a terminal."""
    out: TextIO = getattr(stream, "_out", stream)
    terminal = out.isatty()
    return Console(file=out, width=None if terminal else 200, highlight=False, emoji=False, soft_wrap=not terminal)


def coloured(status: str) -> str:
    """A status as rich markup."""
    colour = COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else escape(status)


def clock(moment: datetime) -> str:
    """The time of day to the millisecond."""
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def workspace(name: str | None) -> Workspace:
    """The workspace of that id or slug, or the first one there is.

    Raises:
        CommandError: there is none.
    """
    if name is None:
        first = Workspace.objects.order_by("id").first()
        if first is None:
            raise CommandError("there is no workspace yet")
        return first
    key = _key(name)
    found = Workspace.objects.filter(slug=name).first() if key is None else Workspace.objects.filter(pk=key).first()
    if found is None:
        raise CommandError(f"there is no workspace {name}")
    return found


def message(key: str) -> Message:
    """The message of that id.

    Raises:
        CommandError: it is no id, or there is no such message.
    """
    parsed = _key(key)
    if parsed is None:
        raise CommandError(f"{key} is not an id of a message")
    found = Message.objects.filter(pk=parsed).first()
    if found is None:
        raise CommandError(f"there is no message {parsed}")
    return found


def moment(text: str) -> datetime:
    """A time in ISO 8601; without an offset it is UTC.

    Raises:
        CommandError: it is no time.
    """
    try:
        parsed = parse_datetime(text)
    except ValueError:
        parsed = None
    if parsed is None:
        raise CommandError(f"{text} is not a time such as 2030-01-31T08:00:00Z")
    return parsed if timezone.is_aware(parsed) else timezone.make_aware(parsed)


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
