"""Messages, their events and batches, as they go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from channels_app.types import Channel, Media, MediaKind
from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.v1.vocabulary import FALLBACK_OUT, PRIORITY_OUT, FallbackState, PriorityWord
from messaging.content.templates import Origin
from messaging.dispatch.selectors import BatchProgress, Rendered, due_at
from messaging.dispatch.steps import Chain
from messaging.state import Cause, Priority, Status

_STAMPS = tuple(status.stamp for status in Status if status.stamp is not None)

_TOLD = (
    "id",
    "status",
    "why",
    "next",
    "channel",
    "lane",
    "attempts",
    "max_attempts",
    "provider",
    "can_cancel",
    "can_retry",
)

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class MadeFrom(Struct, kw_only=True, frozen=True):
    """The template that a message was made from."""

    key: str
    version: int
    language: str


class Reason(Struct, kw_only=True, frozen=True):
    """Why a message failed, or why its last attempt did."""

    code: str
    detail: str | None


class Message(Struct, kw_only=True, frozen=True):
    """One dispatch to one recipient by one channel."""

    id: UUID
    workspace_id: UUID
    channel: Channel
    status: Status
    to: str
    name: str | None
    contact_id: UUID | None
    subject: str | None
    template: MadeFrom | None
    batch_id: UUID | None
    campaign_id: UUID | None
    priority: PriorityWord
    category: str
    action_type: str
    attempts: int
    max_attempts: int
    provider: str | None
    provider_message_id: str | None
    error: Reason | None
    metadata: dict[str, Any]
    test: bool
    created_at: Moment
    scheduled_at: Moment | None
    expires_at: Moment | None
    next_attempt_at: Moment | None
    queued_at: Moment | None
    sending_at: Moment | None
    sent_at: Moment | None
    delivered_at: Moment | None
    opened_at: Moment | None
    clicked_at: Moment | None
    bounced_at: Moment | None
    failed_at: Moment | None
    unsubscribed_at: Moment | None
    cancelled_at: Moment | None


class AttachmentOut(Struct, kw_only=True, frozen=True):
    """A file that goes with a message; its content is not given back."""

    filename: str
    content_type: str
    size: int


class MediaOut(Struct, kw_only=True, frozen=True):
    """A file that the provider fetches and shows with the message."""

    url: str
    type: MediaKind | None
    caption: str | None
    filename: str | None


class FallbackOut(Struct, kw_only=True, frozen=True):
    """A channel to turn to when the message before does not arrive. `to` is null where the contact's own address
    counts; `message_id` is the message that it led to, and `error` says why it could not be taken, or is not wanted."""

    channel: Channel
    to: str | None
    after_seconds: int | None
    state: FallbackState
    message_id: UUID | None
    error: Reason | None


class FullMessage(Message, kw_only=True, frozen=True):
    """A message with its content, rendered for its recipient."""

    body: str | None
    text: str | None
    attachments: list[AttachmentOut]
    media: MediaOut | None
    fallback: list[FallbackOut]
    fallback_of: UUID | None


class Event(Struct, kw_only=True, frozen=True):
    """A fact about a message: the state entered, in lower case, or something that moved nothing."""

    id: UUID
    type: str
    status: Status | None
    at: Moment
    cause: Cause
    attempt: int
    provider: str | None
    detail: dict[str, Any]


class RejectedOut(Struct, kw_only=True, frozen=True):
    """A recipient of a batch that was not taken; `index` is its place in the request, from 0."""

    index: int
    code: str
    detail: str


class BatchAccepted(Struct, kw_only=True, frozen=True):
    """What became of a batch: `ids` are those of the accepted recipients, in order."""

    batch_id: UUID
    accepted: int
    rejected: list[RejectedOut]
    ids: list[UUID]


class Batch(Struct, kw_only=True, frozen=True):
    """How far a batch has come; `counts` has the statuses that occur."""

    id: UUID
    accepted: int
    counts: dict[str, int]
    created_at: Moment
    finished_at: Moment | None


class Explanation(Struct, kw_only=True, frozen=True):
    """What would happen to a message; nothing was stored."""

    channel: Channel
    lane: str
    provider: str | None
    status: Status
    error: Reason | None
    to: str
    contact_id: UUID | None
    subject: str | None
    body: str | None
    text: str | None
    scheduled_at: Moment | None
    expires_at: Moment | None
    max_attempts: int
    warnings: list[str]


class DryRun(Struct, kw_only=True, frozen=True):
    """The answer to `dry_run`."""

    explain: Explanation


class Account(Struct, kw_only=True, frozen=True):
    """Why a message stands where it stands, and what happens next."""

    id: UUID
    status: Status
    since: Moment
    why: str
    next: str
    channel: Channel
    lane: str
    attempts: int
    max_attempts: int
    next_attempt_at: Moment | None
    expires_at: Moment | None
    provider: str | None
    error: Reason | None
    can_cancel: bool
    can_retry: bool
    events: list[Event]


def message(row: models.Message, origin: Origin | None) -> Message:
    """A message as the list shows it."""
    return Message(**_fields(row, origin))


def full_message(row: models.Message, content: Rendered, origin: Origin | None, chain: Chain) -> FullMessage:
    """A message as it is shown by itself."""
    return FullMessage(
        **_fields(row, origin),
        body=content.body or None,
        text=content.text or None,
        attachments=[
            AttachmentOut(filename=file.filename, content_type=file.content_type, size=file.size)
            for file in content.attachments
        ],
        media=media(content.media) if content.media else None,
        fallback=[fallback(step) for step in chain.steps],
        fallback_of=chain.origin_id,
    )


def fallback(step: models.FallbackStep) -> FallbackOut:
    """A step as it is shown."""
    return FallbackOut(
        channel=Channel(step.channel),
        to=step.recipient or None,
        after_seconds=step.after_seconds,
        state=FALLBACK_OUT[models.FallbackStep.State(step.state)],
        message_id=step.next_id,
        error=Reason(code=step.error_code, detail=step.error_detail or None) if step.error_code else None,
    )


def media(file: Media) -> MediaOut:
    """A media file as it is shown."""
    return MediaOut(url=file.url, type=file.type, caption=file.caption or None, filename=file.filename or None)


def _fields(row: models.Message, origin: Origin | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "channel": row.channel,
        "status": row.status,
        "to": row.recipient,
        "name": row.name or None,
        "contact_id": row.contact_id,
        "subject": row.subject or None,
        "template": template(origin) if origin else None,
        "batch_id": row.batch_id,
        "campaign_id": row.campaign_id,
        "priority": PRIORITY_OUT[Priority(row.priority)],
        "category": row.category,
        "action_type": row.action_type,
        "attempts": row.attempts,
        "max_attempts": row.max_attempts,
        "provider": row.provider or None,
        "provider_message_id": row.provider_message_id or None,
        "error": reason(row),
        "metadata": row.metadata,
        "test": row.test,
        "created_at": stamp(row.created_at),
        "scheduled_at": stamp(row.scheduled_at),
        "expires_at": stamp(row.expires_at),
        "next_attempt_at": stamp(due_at(row)),
        **{name: stamp(getattr(row, name)) for name in _STAMPS},
    }


def template(origin: Origin) -> MadeFrom:
    """The template that a message was made from, as it is shown."""
    return MadeFrom(key=origin.key, version=origin.version, language=origin.language)


def reason(row: models.Message) -> Reason | None:
    """The message's error, if it has one."""
    return Reason(code=row.error_code, detail=row.error_detail or None) if row.error_code else None


def event(row: models.MessageEvent) -> Event:
    """An event as it is shown."""
    return Event(
        id=row.id,
        type=row.type,
        status=Status(row.status) if row.status else None,
        at=stamp(row.at),
        cause=Cause(row.cause),
        attempt=row.attempt,
        provider=row.provider or None,
        detail=row.detail,
    )


def batch(progress: BatchProgress) -> Batch:
    """A batch as it is shown."""
    return Batch(
        id=progress.id,
        accepted=progress.accepted,
        counts=progress.counts,
        created_at=stamp(progress.created_at),
        finished_at=stamp(progress.finished_at),
    )


def dry_run(found: dict[str, Any]) -> DryRun:
    """What an accept would do, as it is shown."""
    texts = {name: found[name] or None for name in ("subject", "body", "text")}
    moments = {name: stamp(found[name]) for name in ("scheduled_at", "expires_at")}
    error = Reason(**found["error"]) if found["error"] else None
    return DryRun(explain=Explanation(**{**found, **texts, **moments, "error": error}))


def account(told: dict[str, Any], events: Sequence[models.MessageEvent]) -> Account:
    """Why a message stands where it stands, as it is shown; which worker holds it is the operators' business."""
    known = {name: told[name] for name in _TOLD}
    moments = {name: stamp(told[name]) for name in ("since", "next_attempt_at", "expires_at")}
    error = Reason(**told["error"]) if told["error"] else None
    return Account(**known, **moments, error=error, events=[event(each) for each in events])
