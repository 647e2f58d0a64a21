"""Leaves those copies of an e-mail out that must not be sent: whoever opted out or is suppressed gets none of them.

They are judged when the message goes out, as its recipient is, and its event says who was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID, uuid5

from channels_app.adapters.mime_headers import mailbox
from channels_app.addresses import normalise
from channels_app.types import Channel, SharedContent
from messaging.people import refusals

LEFT_OUT: Final = "left_out"
"""The name under which an event tells of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """What goes out beside the message itself, and the copies that do not, as they were given, by their field."""

    shared: SharedContent
    left_out: Mapping[str, Sequence[str]]


def allowed(shared: SharedContent, *, workspace_id: UUID, category: str) -> Copies:
    """What may go out of the copies of a message of this category."""
    given = [("cc", each) for each in shared.cc] + [("bcc", each) for each in shared.bcc]
    if not given:
        return Copies(shared=shared, left_out={})
    told = refusals.refused(
        workspace_id=workspace_id,
        channel=Channel.EMAIL,
        category=category,
        recipients=[(None, normalise(Channel.EMAIL, mailbox(each, name).address)) for name, each in given],
    )
    if not told:
        return Copies(shared=shared, left_out={})
    kept = [each for place, each in enumerate(given) if place not in told]
    gone = [each for place, each in enumerate(given) if place in told]
    # What sessions keep under a key never changes: other copies make another content.
    key = uuid5(shared.key, "\n".join(" ".join(each) for each in gone))
    return Copies(
        shared=replace(shared, key=key, cc=_of("cc", kept), bcc=_of("bcc", kept)),
        left_out={name: _of(name, gone) for name in ("cc", "bcc") if _of(name, gone)},
    )


def _of(name: str, copies: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(address for field, address in copies if field == name)
