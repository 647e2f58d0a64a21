"""Messages: as they are asked to be sent, and as they go out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.blockv.envelope import Details, Error, number_of
from messaging.api.blockv.vocabulary import (
    CHANNEL_OUT,
    STATUS_OUT,
    ActionWord,
    ContentWord,
    LanguageWord,
    StatusWord,
    SystemWord,
    action_word,
    language_word,
)
from messaging.api.common import bodies
from messaging.api.common.rendering import stamp
from messaging.dispatch import selectors
from messaging.state import Status, standing

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
MomentIn = Annotated[datetime, Meta(tz=True)]


class Send(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One message to send. What it says is a template's, or its own `title` and `content`."""

    action_type: ActionWord
    to: Annotated[str, Meta(max_length=2_048, description="An e-mail address, a phone number (E.164) or an id.")]
    template_id: Annotated[
        str,
        Meta(max_length=100, description="A template's id or key. Without it the kind of action chooses one."),
    ] = ""
    values: dict[str, Any] | None = None
    """What fills the template."""
    is_push: bool = False
    """Send a push, whatever `to` is."""
    sync: bool = False
    """Wait for the outcome, for a short time."""
    scheduled_at: MomentIn | None = None
    language: LanguageWord | None = None
    title: Annotated[str, Meta(max_length=65_536)] = ""
    content: str = ""
    content_type: ContentWord = "text"
    org_id: Annotated[str, Meta(max_length=100)] = ""
    when_created: MomentIn | None = None
    """Not used: the server's clock tells when a message was made."""


def read_send(body: bytes) -> Send:
    """What is to be sent; a member that is empty counts as left out.

    Raises:
        Invalid: the body cannot be read as that.
    """
    value = bodies.decode(body)
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if each is not None and each != ""}
    return bodies.convert(value, Send)


class Outcome(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The message that was made; `status`, and `error` where it failed, only where the outcome was to be waited for."""

    id: UUID
    status: StatusWord | UnsetType = UNSET
    error: Error | UnsetType = UNSET


class Message(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One message to one recipient."""

    id: UUID
    template_id: UUID | UnsetType = UNSET
    action_type: ActionWord
    to: str
    system: SystemWord
    language: LanguageWord
    status: StatusWord
    scheduled_at: Moment | UnsetType = UNSET
    error: Error | UnsetType = UNSET
    when_modified: Moment
    when_created: Moment


class Messages(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A page of the list; `next` leads to the page after, where there is one."""

    messages: list[Message]
    next: str | UnsetType = UNSET


def message(row: models.Message) -> Message:
    """A message as it is shown."""
    system = CHANNEL_OUT[Channel(row.channel)]
    assert system is not None  # noqa: S101 - messages of other channels are looked for nowhere
    return Message(
        id=row.id,
        template_id=row.template_id or UNSET,
        action_type=action_word(row.action_type),
        to=row.recipient,
        system=system,
        language=language_word(row.language),
        status=status_of(row),
        scheduled_at=stamp(row.scheduled_at) or UNSET,
        error=error_of(row) or UNSET,
        when_modified=stamp(selectors.modified_at(row)),
        when_created=stamp(row.created_at),
    )


def status_of(row: models.Message) -> StatusWord:
    """Where a message stands."""
    return STATUS_OUT[standing(Status(row.status), attempts=row.attempts)]


def error_of(row: models.Message) -> Error | None:
    """Why a message failed, or why its last attempt did; None where a person had it tried once more."""
    word = status_of(row)
    if word not in {"failed", "retrying"} or (word == "retrying" and not row.error_code):
        return None
    reason = row.error_code or row.status.lower()
    detail = row.error_detail or f"The message was not delivered: {reason}."
    return Error(code=number_of(reason), message=detail, details=Details(reason=reason, provider=row.provider or UNSET))


def outcome(row: models.Message, *, sync: bool) -> Outcome:
    """What a send answers: more than the id only to who waits."""
    if not sync:
        return Outcome(id=row.id)
    return Outcome(id=row.id, status=status_of(row), error=error_of(row) or UNSET)


def failure(row: models.Message, error: Error) -> Error:
    """What a send answers whose message could not be sent."""
    reason = error.details.reason if error.details else ""
    details = Details(reason=reason, provider=row.provider or UNSET, id=str(row.id))
    return Error(code=error.code, message=error.message, details=details)
