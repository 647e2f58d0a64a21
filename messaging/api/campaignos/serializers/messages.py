"""Messages, in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from channels_app.types import Channel
from messaging import models
from messaging.api.campaignos.ids import LONGEST, Kind
from messaging.api.campaignos.vocabulary import (
    CAMPAIGN_OUT,
    CHANNEL_IN,
    CHANNEL_OUT,
    CHANNELS,
    FAILURE_OUT,
    PROVIDER_ERROR,
    STATUS_IN,
    STATUS_OUT,
    CampaignWord,
    ChannelWord,
    FailureWord,
    StatusWord,
)
from messaging.api.common.queries import PageQuery
from messaging.api.common.rendering import stamp
from messaging.dispatch.selectors import MessageFilter
from messaging.errors import Invalid
from messaging.models import CampaignStatus
from messaging.people.names import names_of
from messaging.state import Status, standing

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Id = Annotated[str, Meta(min_length=1, max_length=LONGEST)]

_LONGEST_CATEGORY = 100


class MessageQuery(PageQuery, rename="camel", kw_only=True, frozen=True):
    """Which messages are wanted."""

    channel: ChannelWord | UnsetType = UNSET
    status: StatusWord | UnsetType = UNSET
    contact_id: Annotated[str, Meta(max_length=LONGEST, description="Filter by contact.")] | UnsetType = UNSET
    campaign_id: Annotated[str, Meta(max_length=LONGEST, description="Filter by campaign.")] | UnsetType = UNSET

    def where(self) -> MessageFilter:
        """The same in the domain's words.

        Raises:
            Invalid: an id is none.
        """
        contact = _key(Kind.CONTACT, self.contact_id, "/contactId")
        return MessageFilter(
            channels=CHANNELS if self.channel is UNSET else frozenset({CHANNEL_IN[self.channel]}),
            standings=frozenset() if self.status is UNSET else STATUS_IN[self.status],
            contact=str(contact) if contact else None,
            campaign_id=_key(Kind.CAMPAIGN, self.campaign_id, "/campaignId"),
        )


class SendIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A message to a contact. It has a body, a template or both; subject and body come before those of the template.

    `metadata.category` is what the contact's consent is asked for, `metadata.variables` what `{{name}}` falls back to.
    """

    contact_id: Id
    channel: ChannelWord
    subject: Annotated[str, Meta(max_length=65_536)] | None = None
    body: str | None = None
    template_id: Id | None = None
    campaign_id: Id | None = None
    metadata: dict[str, Any] | None = None

    def category(self) -> str | None:
        """The category that is named, if one is.

        Raises:
            Invalid: it is not a word.
        """
        word = (self.metadata or {}).get("category")
        if word is not None and not (isinstance(word, str) and 0 < len(word) <= _LONGEST_CATEGORY):
            detail = f"A category is a text of 1 to {_LONGEST_CATEGORY} characters."
            raise Invalid.at("/metadata/category", "invalid_value", detail)
        return word

    def variables(self) -> Mapping[str, Any]:
        """What is said for the places in the texts.

        Raises:
            Invalid: it is not an object.
        """
        said = (self.metadata or {}).get("variables")
        if said is None:
            return {}
        if not isinstance(said, dict):
            raise Invalid.at("/metadata/variables", "wrong_type", "Variables are an object of name and value.")
        return said


class MessageRow(Struct, rename="camel", kw_only=True, frozen=True):
    """A message as the list shows it."""

    id: str
    channel: ChannelWord
    status: StatusWord
    subject: str | None
    contact_id: str | None
    campaign_id: str | None
    template_id: str | None
    created_at: Moment
    queued_at: Moment | None
    sending_at: Moment | None
    sent_at: Moment | None
    delivered_at: Moment | None
    opened_at: Moment | None
    clicked_at: Moment | None
    bounced_at: Moment | None
    failed_at: Moment | None
    unsubscribed_at: Moment | None


class ContactRef(Struct, rename="camel", kw_only=True, frozen=True):
    """The contact that a message goes to."""

    id: str
    email: str | None
    phone: str | None
    first_name: str | None
    last_name: str | None


class TemplateRef(Struct, kw_only=True, frozen=True):
    """The template that a message was made from."""

    id: str
    name: str
    channel: ChannelWord


class CampaignRef(Struct, kw_only=True, frozen=True):
    """The campaign that a message belongs to."""

    id: str
    name: str
    status: CampaignWord


class MessageEvent(Struct, kw_only=True, frozen=True):
    """Something that happened to a message: a status that it entered, or a fact that moved nothing."""

    id: str
    type: str
    timestamp: Moment
    metadata: dict[str, Any]


class Failure(Struct, kw_only=True, frozen=True):
    """Why a message did not go out, or did not arrive."""

    code: FailureWord
    message: str


class MessageDetail(MessageRow, rename="camel", kw_only=True, frozen=True):
    """A message as it is shown by itself."""

    body: str | None
    metadata: dict[str, Any]
    contact: ContactRef | None
    template: TemplateRef | None
    campaign: CampaignRef | None
    events: list[MessageEvent]
    error: Failure | None


class Dispatched(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A message that went out, or that waits for it."""

    success: Literal[True]
    message_id: str
    status: Literal["SENT", "QUEUED"]
    channel: ChannelWord
    provider_message_id: str | UnsetType = UNSET
    message: MessageRow


class Undispatched(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """A message that does not go out; one that was not even accepted has no id."""

    success: Literal[False]
    message_id: str | UnsetType = UNSET
    status: Literal["FAILED"]
    error: Failure


def row(message: models.Message) -> MessageRow:
    """A message as the list shows it."""
    return MessageRow(**_fields(message))


def detail(
    message: models.Message,
    *,
    body: str,
    contact: models.Contact | None,
    template: models.Template | None,
    campaign: models.Campaign | None,
    events: Sequence[models.MessageEvent],
) -> MessageDetail:
    """A message as it is shown by itself."""
    return MessageDetail(
        **_fields(message),
        body=body or None,
        metadata=message.metadata,
        contact=_contact(contact) if contact else None,
        template=_template(template) if template else None,
        campaign=_campaign(campaign) if campaign else None,
        events=[_event(each) for each in events],
        error=failure(message),
    )


def failure(message: models.Message) -> Failure | None:
    """Why a message failed, or why its last attempt did; what was cancelled failed as well."""
    if message.status == Status.CANCELLED:
        return Failure(code="CANCELLED", message=message.error_detail or "The message was cancelled.")
    if not message.error_code:
        return None
    told = message.error_detail or message.error_code.replace("_", " ")
    return Failure(code=FAILURE_OUT.get(message.error_code, PROVIDER_ERROR), message=told)


def dispatched(message: models.Message) -> Dispatched:
    """The answer to a send that did not fail."""
    return Dispatched(
        success=True,
        message_id=Kind.MESSAGE.show(message.id),
        status="SENT" if message.sent_at else "QUEUED",
        channel=_channel(message.channel),
        provider_message_id=message.provider_message_id or UNSET,
        message=row(message),
    )


def undispatched(reason: Failure, message_id: UUID | None = None) -> Undispatched:
    """The answer to a send that failed."""
    key = UNSET if message_id is None else Kind.MESSAGE.show(message_id)
    return Undispatched(success=False, message_id=key, status="FAILED", error=reason)


def _fields(message: models.Message) -> dict[str, Any]:
    stamps = [status.stamp for status in Status if status.stamp is not None and status is not Status.CANCELLED]
    return {
        "id": Kind.MESSAGE.show(message.id),
        "channel": _channel(message.channel),
        "status": STATUS_OUT[standing(Status(message.status), attempts=message.attempts)],
        "subject": message.subject or None,
        "contact_id": Kind.CONTACT.show(message.contact_id),
        "campaign_id": Kind.CAMPAIGN.show(message.campaign_id),
        "template_id": Kind.TEMPLATE.show(message.template_id),
        "created_at": stamp(message.created_at),
        **{name: stamp(getattr(message, name)) for name in stamps},
        "failed_at": stamp(message.failed_at or message.cancelled_at),
    }


def _channel(value: str) -> ChannelWord:
    word = CHANNEL_OUT[Channel(value)]
    assert word is not None  # noqa: S101 - messages of other channels are not found
    return word


def _contact(contact: models.Contact) -> ContactRef:
    names = names_of(contact)
    return ContactRef(
        id=Kind.CONTACT.show(contact.id),
        email=contact.email or None,
        phone=contact.phone or None,
        first_name=names.first or None,
        last_name=names.last or None,
    )


def _template(template: models.Template) -> TemplateRef:
    return TemplateRef(
        id=Kind.TEMPLATE.show(template.id), name=template.name or template.key, channel=_channel(template.channel)
    )


def _campaign(campaign: models.Campaign) -> CampaignRef:
    status = CAMPAIGN_OUT[CampaignStatus(campaign.status)]
    return CampaignRef(id=Kind.CAMPAIGN.show(campaign.id), name=campaign.name, status=status)


def _event(event: models.MessageEvent) -> MessageEvent:
    told = {"cause": event.cause, "attempt": event.attempt or None, "provider": event.provider or None}
    metadata = {name: value for name, value in told.items() if value is not None}
    return MessageEvent(
        id=Kind.EVENT.show(event.id),
        type=f"message.{event.type}",
        timestamp=stamp(event.at),
        metadata={**event.detail, **metadata},
    )


def _key(kind: Kind, text: str | UnsetType, pointer: str) -> UUID | None:
    return None if text is UNSET else kind.asked(text, pointer)
