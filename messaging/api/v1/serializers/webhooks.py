"""Webhook endpoints and what was sent to them, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.common.rendering import stamp
from messaging.api.v1.serializers.tenancy import Moment
from messaging.webhooks.endpoints import DESCRIPTION_LENGTH, LONGEST_OVERLAP, OVERLAP_HOURS
from messaging.webhooks.types import TYPES

FormatWord = Literal["dispatch", "campaignos"]
EndedWord = Literal["gone", "failing"]
StateWord = Literal["pending", "delivered", "failed"]

Url = Annotated[str, Meta(min_length=1, max_length=2048, description="http or https, on a port of the Web.")]
Description = Annotated[str, Meta(max_length=DESCRIPTION_LENGTH)]
Type = Annotated[str, Meta(max_length=100, examples=["message.delivered"], extra_json_schema={"enum": list(TYPES)})]
Types = Annotated[list[Type], Meta(max_length=len(TYPES), description="Events to be told of; none named is all.")]


class EndpointIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A URL to tell of what happens; `test` is of messages in test mode, and of no others."""

    url: Url
    description: Description = ""
    types: Types = []
    test: bool = False


class EndpointChanges(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What shall be otherwise; what is left out stays. An endpoint that becomes active is told of what happens then."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    active: bool | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}


class Rotation(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How long the secret before signs beside the new one."""

    overlap_hours: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP)] = OVERLAP_HOURS


class Endpoint(Struct, kw_only=True, frozen=True):
    """A URL that is told of events. `format` says in which shape; `disabled_because` why the platform stopped."""

    id: UUID
    url: str
    description: str | None
    types: list[str]
    test: bool
    format: FormatWord
    active: bool
    failing_since: Moment | None
    disabled_at: Moment | None
    disabled_because: EndedWord | None
    previous_secret_until: Moment | None
    created_at: Moment
    updated_at: Moment


class ShownEndpoint(Endpoint, kw_only=True, frozen=True):
    """An endpoint whose secret was just made: the only time that `secret` is shown."""

    secret: str


class Secrets(Struct, kw_only=True, frozen=True):
    """What signs messages of the workspace on the channel webhook whose URL is no endpoint's, the newest first."""

    secrets: list[str]


class Try(Struct, kw_only=True, frozen=True):
    """One request: when it began, how long it took, what was answered or went wrong."""

    at: Moment
    seconds: float
    status: int | None
    detail: str


class Delivery(Struct, kw_only=True, frozen=True):
    """An event that was sent to an endpoint, or will be; `event_id` is the `webhook-id` of every try."""

    id: UUID
    event_id: UUID
    type: str
    message_id: UUID | None
    contact_id: UUID | None
    state: StateWord
    attempts: int
    next_attempt_at: Moment | None
    tries: list[Try]
    happened_at: Moment
    created_at: Moment
    finished_at: Moment | None


def endpoint(row: models.WebhookEndpoint) -> Endpoint:
    """An endpoint as it is shown."""
    return Endpoint(
        id=row.id,
        url=row.url,
        description=row.description or None,
        types=row.types,
        test=row.test,
        format=msgspec.convert(str(row.format), FormatWord),
        active=row.active,
        failing_since=stamp(row.failing_since),
        disabled_at=stamp(row.disabled_at),
        disabled_because=msgspec.convert(str(row.disabled_because), EndedWord) if row.disabled_because else None,
        previous_secret_until=stamp(row.previous_until),
        created_at=stamp(row.created_at),
        updated_at=stamp(row.updated_at),
    )


def shown_endpoint(row: models.WebhookEndpoint, secret: str) -> ShownEndpoint:
    """An endpoint as it is shown once."""
    shown = endpoint(row)
    return ShownEndpoint(**{name: getattr(shown, name) for name in shown.__struct_fields__}, secret=secret)


def delivery(row: models.WebhookDelivery) -> Delivery:
    """A delivery as it is shown."""
    return Delivery(
        id=row.id,
        event_id=row.event_id,
        type=row.type,
        message_id=row.message_id,
        contact_id=row.contact_id,
        state=msgspec.convert(str(row.state), StateWord),
        attempts=row.attempts,
        next_attempt_at=stamp(row.next_attempt_at),
        tries=msgspec.convert(row.tries, list[Try]),
        happened_at=stamp(row.at),
        created_at=stamp(row.created_at),
        finished_at=stamp(row.finished_at),
    )
