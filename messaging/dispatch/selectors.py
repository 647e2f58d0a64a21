"""Reads messages, always of one workspace.

Lists are ordered by key, which is the order of time. Ids are found first, by indexes that have the filter before the
key, and rows are read after, so that an offset or a rare filter never drags wide rows along.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Max, QuerySet
from django.db.models.functions import Coalesce

from channels_app import addresses
from channels_app.errors import InvalidAddress
from channels_app.types import Channel, Media
from messaging.content import sealing, templates
from messaging.content.contents import media_of, parts_of
from messaging.content.parts import Parts
from messaging.content.rendering import RenderFailed, TemplateRefused, compile, context_of
from messaging.errors import EncryptionFailed, NotFound
from messaging.models import Attachment, Batch, Content, Message, MessageEvent
from messaging.models.keys import lowest_key
from messaging.people import recipients
from messaging.state import WAITING, Status

LIST_SECONDS = 5
"""A list that takes longer is given up."""

_SKEW = timedelta(seconds=2)
"""How far the clock that makes keys may be from the database's, which stamps created_at."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageFilter:
    """Which messages of a workspace are wanted; what is left out narrows nothing."""

    statuses: frozenset[Status] = frozenset()
    channels: frozenset[Channel] = frozenset()
    to: str | None = None
    """A recipient's address, in any spelling that means it."""
    contact: str | None = None
    """A contact, by any of its ids."""
    template: str | None = None
    """A template's key, or the id of one in one language."""
    campaign_id: UUID | None = None
    batch_id: UUID | None = None
    error_code: str | None = None
    test: bool | None = None
    created_after: datetime | None = None
    """The first moment that is wanted."""
    created_before: datetime | None = None
    """The first moment that is not wanted any more."""
    q: str | None = None
    """A message's id, its recipient or the provider's id for it, exactly."""


ALL = MessageFilter()


def messages(
    *,
    workspace_id: UUID,
    where: MessageFilter = ALL,
    ascending: bool = False,
    beyond: UUID | None = None,
    offset: int = 0,
    limit: int,
) -> list[Message]:
    """A stretch of a workspace's messages, newest first, without their data.

    `beyond` starts after a key in the direction of the order; `offset` skips so many.

    Raises:
        QueryTimeout: a filter without an index took too long (as the database's error 57014).
    """
    order = "id" if ascending else "-id"
    ids = [_window(branch, where, ascending, beyond) for branch in _branches(workspace_id, where)]
    with _bounded():
        if len(ids) == 1:
            found = list(ids[0].order_by(order).values_list("id", flat=True)[offset : offset + limit])
        else:
            parts = [branch.order_by(order).values_list("id", flat=True)[: offset + limit] for branch in ids]
            found = list(parts[0].union(*parts[1:]).order_by(order)[offset : offset + limit])
        if not found:
            return []
        # The bounds let the planner leave out partitions.
        rows = _read(_LISTED, "id = ANY(%s) AND id BETWEEN %s AND %s", [found, min(found), max(found)])
        return sorted(rows, key=lambda row: row.id, reverse=not ascending)


def message(*, workspace_id: UUID, message_id: UUID) -> Message:
    """Give one message.

    Raises:
        NotFound: the workspace has none of that id.
    """
    rows = _read(_ALL_COLUMNS, "id = %s AND workspace_id = %s", [message_id, workspace_id])
    if not rows:
        raise NotFound("There is no such message.", code="message_not_found")
    return rows[0]


def events(*, workspace_id: UUID, message_id: UUID) -> list[MessageEvent]:
    """What happened to a message, in order.

    Raises:
        NotFound: the workspace has no such message.
    """
    found = list(MessageEvent.objects.filter(workspace_id=workspace_id, message_id=message_id).order_by("at", "id"))
    if not found:
        message(workspace_id=workspace_id, message_id=message_id)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What a message says to its recipient, and the files that go with it."""

    body: str
    text: str
    attachments: Sequence[Attachment]
    media: Media | None = None


NOTHING = Rendered(body="", text="", attachments=())


def rendered(*, message: Message) -> Rendered:
    """The content of a message with its own data filled in; what cannot be rendered or opened is left empty.

    What was sealed of the message is filled in, too; where something does not open, the message's error says so.
    """
    sealing.reveal([message])
    content = Content.objects.select_related("template_version").get(id=message.content_id)
    try:
        names = sealing.reveal_content(content)
    except EncryptionFailed as error:
        sealing.note_unreadable(message, error)
        return NOTHING
    files = list(Attachment.objects.filter(content_id=content.id).defer("data").order_by("id"))
    sealing.reveal_names(files, names)
    return fill(message=message, parts=parts_of(content), attachments=files, media=media_of(content))


def rendered_many(*, messages: Sequence[Message]) -> dict[UUID, Rendered]:
    """What each of these messages says, without files; contents are read together, and `rendered` tells the rest."""
    sealing.reveal(messages)
    rows = Content.objects.select_related("template_version").in_bulk({row.content_id for row in messages})
    known: dict[UUID, Parts | EncryptionFailed] = {}
    for key, row in rows.items():
        try:
            sealing.reveal_content(row)
            known[key] = parts_of(row)
        except EncryptionFailed as error:
            known[key] = error
    said = {}
    for message in messages:
        parts = known[message.content_id]
        if isinstance(parts, EncryptionFailed):
            sealing.note_unreadable(message, parts)
            said[message.id] = NOTHING
        else:
            said[message.id] = fill(message=message, parts=parts, attachments=())
    return said


def fill(*, message: Message, parts: Parts, attachments: Sequence[Attachment], media: Media | None = None) -> Rendered:
    """The same for whoever has the content at hand, and a message with nothing sealed; else it is left empty."""
    if message.sealed is not None:
        return Rendered(body="", text="", attachments=attachments, media=media)
    context = context_of(message.data or {}, message.name, message.recipient)
    html = message.channel == Channel.EMAIL
    return Rendered(
        body=_render(parts.body, context, html=html, field="body"),
        text=_render(parts.text, context, html=False, field="text"),
        attachments=attachments,
        media=media,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchProgress:
    """How far the messages of a batch have come."""

    id: UUID
    accepted: int
    rejected: int
    counts: dict[str, int]
    """By status, those that occur."""
    created_at: datetime
    finished_at: datetime | None
    """When the last message went out or ended; None while any waits."""


def batch(*, workspace_id: UUID, batch_id: UUID) -> BatchProgress:
    """Give a batch and where its messages stand.

    Raises:
        NotFound: the workspace has no such batch.
    """
    row = Batch.objects.filter(workspace_id=workspace_id, id=batch_id).first()
    if row is None:
        raise NotFound("There is no such batch.", code="batch_not_found")
    ended = Coalesce("sent_at", "failed_at", "cancelled_at")
    with _bounded():
        found = list(
            Message.objects.filter(batch_id=batch_id, workspace_id=workspace_id)
            .order_by()
            .values("status")
            .annotate(number=Count("id"), ended=Max(ended))
        )
    waits = any(Status(each["status"]) in WAITING for each in found)
    times = [each["ended"] for each in found if each["ended"] is not None]
    return BatchProgress(
        id=row.id,
        accepted=row.accepted,
        rejected=row.rejected,
        counts={each["status"]: each["number"] for each in found},
        created_at=row.created_at,
        finished_at=max(times) if times and not waits else None,
    )


_ALL_COLUMNS = tuple(field.attname for field in Message._meta.concrete_fields)
_LISTED = tuple(name for name in _ALL_COLUMNS if name != "data")


def _read(columns: tuple[str, ...], condition: str, parameters: list[Any]) -> list[Message]:
    """Rows, opened where they are sealed. Plain SQL: with this many columns the ORM takes longer to phrase the query
    than Postgres to answer it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM messaging_message WHERE {condition}", parameters)
        rows = cursor.fetchall()
    json = [place for place, name in enumerate(columns) if name in {"data", "metadata"}]
    found = []
    for row in rows:
        values = list(row)
        for place in json:
            # Django's cursors hand JSON out as text.
            values[place] = msgspec.json.decode(values[place]) if values[place] is not None else None
        found.append(Message.from_db(connection.alias, columns, values))
    sealing.reveal(found)
    return found


@contextmanager
def _bounded() -> Iterator[None]:
    """Give the statements within so much time and no more."""
    with transaction.atomic(durable=False):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LIST_SECONDS}s"])
        yield


def _branches(workspace_id: UUID, where: MessageFilter) -> list[QuerySet[Message]]:
    """One query for each pair of equalities, since an index gives the order of keys below one value only."""
    base = Message.objects.filter(workspace_id=workspace_id)
    keys = _keys(workspace_id, where)
    if not all(keys.values()):
        return [base.none()]
    if where.q is not None:
        return _named(base.filter(**{f"{column}__in": found for column, found in keys.items()}), where.q)
    choices: list[list[dict[str, Any]]] = []
    if where.to is not None:
        channels = where.channels or frozenset(Channel)
        choices.append([{"recipient": spelling} for spelling in _spellings(where.to, channels)])
    if where.statuses:
        choices.append([{"status": status.value} for status in sorted(where.statuses)])
    if where.channels:
        choices.append([{"channel": channel.value} for channel in sorted(where.channels)])
    choices += [[{column: key} for key in found] for column, found in keys.items()]
    branches = []
    for chosen in itertools.product(*choices):
        branch = base
        for equality in chosen:
            branch = branch.filter(**equality)
        branches.append(branch)
    return branches


def _keys(workspace_id: UUID, where: MessageFilter) -> dict[str, list[UUID]]:
    """By column, the rows that a contact's and a template's names stand for, and the campaign."""
    keys: dict[str, list[UUID]] = {}
    if where.campaign_id is not None:
        keys["campaign_id"] = [where.campaign_id]
    if where.contact is not None:
        keys["contact_id"] = recipients.ids_of(workspace_id=workspace_id, name=where.contact)
    if where.template is not None:
        keys["template_id"] = templates.ids_of(workspace_id=workspace_id, name=where.template)
    return keys


def _named(base: QuerySet[Message], q: str) -> list[QuerySet[Message]]:
    branches = [base.filter(recipient=spelling) for spelling in _spellings(q, frozenset(Channel))]
    branches.append(base.filter(provider_message_id=q).exclude(provider_message_id=""))
    with suppress(ValueError):
        branches.append(base.filter(id=UUID(q)))
    return branches


def _window(branch: QuerySet[Message], where: MessageFilter, ascending: bool, beyond: UUID | None) -> QuerySet[Message]:
    """Narrow a query by everything that is not an equality of its index."""
    if where.q is not None:
        branch = _equal(branch, where)
    if where.batch_id is not None:
        branch = branch.filter(batch_id=where.batch_id)
    if where.error_code is not None:
        branch = branch.filter(error_code=where.error_code)
    if where.test is not None:
        branch = branch.filter(test=where.test)
    if where.created_after is not None:
        low = lowest_key(_within(where.created_after) - _SKEW)
        branch = branch.filter(id__gte=low, created_at__gte=where.created_after)
    if where.created_before is not None:
        high = lowest_key(_within(where.created_before) + _SKEW)
        branch = branch.filter(id__lt=high, created_at__lt=where.created_before)
    if beyond is not None:
        branch = branch.filter(id__gt=beyond) if ascending else branch.filter(id__lt=beyond)
    return branch


def _equal(branch: QuerySet[Message], where: MessageFilter) -> QuerySet[Message]:
    if where.statuses:
        branch = branch.filter(status__in=sorted(where.statuses))
    if where.channels:
        branch = branch.filter(channel__in=sorted(where.channels))
    if where.to is not None:
        branch = branch.filter(recipient__in=_spellings(where.to, where.channels or frozenset(Channel)))
    return branch


def _spellings(address: str, channels: frozenset[Channel]) -> list[str]:
    """The address as it is given, and as each channel would keep it."""
    found = [address]
    for channel in sorted(channels):
        try:
            found.append(addresses.normalise(channel, address))
        except InvalidAddress:
            continue
    return list(dict.fromkeys(found))


def _within(moment: datetime) -> datetime:
    """The nearest moment that a key can hold, with room for the skew."""
    return min(max(moment, _EPOCH + _SKEW), _LAST_DAY)


def _render(source: str, context: dict[str, Any], *, html: bool, field: str) -> str:
    try:
        return compile(source, html=html, field=field).render(context)
    except (RenderFailed, TemplateRefused):
        return ""
