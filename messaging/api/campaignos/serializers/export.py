"""All that is kept about a contact, as it is handed out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import contacts
from messaging.api.campaignos.serializers.contacts import ContactEvent, ContactRow, Identity
from messaging.api.campaignos.serializers.messages import Moment
from messaging.api.common.rendering import stamp
from messaging.privacy.export import Letter, Record


class ExportedConsent(Struct, rename="camel", kw_only=True, frozen=True):
    """What a contact said, on any channel of the platform, as the platform words it."""

    channel: str
    category: str
    status: str
    updated_at: Moment


class ExportedSuppression(Struct, rename="camel", kw_only=True, frozen=True):
    """Why an address of the contact gets nothing, or got nothing until it was lifted."""

    channel: str
    address: str
    category: str
    reason: str
    created_at: Moment
    lifted_at: Moment | None


class ExportedSubscription(Struct, rename="camel", kw_only=True, frozen=True):
    """A browser or device of the contact."""

    id: str
    endpoint: str
    topic: str | None
    active: bool
    created_at: Moment


class ExportedStep(Struct, kw_only=True, frozen=True):
    """Something that happened to a message."""

    type: str
    timestamp: Moment


class ExportedMessage(Struct, rename="camel", kw_only=True, frozen=True):
    """A message to the contact, with what it said."""

    id: str
    channel: str
    status: str
    recipient: str
    subject: str | None
    body: str | None
    data: dict[str, Any] | None
    metadata: dict[str, Any]
    category: str
    campaign_id: str | None
    created_at: Moment
    events: list[ExportedStep]


class ContactExport(Struct, rename="camel", kw_only=True, frozen=True):
    """All that is kept about a contact; `complete` says whether there was room for all events and messages."""

    contact: ContactRow
    name: str | None
    locale: str | None
    time_zone: str | None
    merged_contact_ids: list[str]
    identities: list[Identity]
    consents: list[ExportedConsent]
    suppressions: list[ExportedSuppression]
    push_subscriptions: list[ExportedSubscription]
    campaign_ids: list[str]
    events: list[ContactEvent]
    messages: list[ExportedMessage]
    complete: bool


def contact_export(record: Record) -> ContactExport:
    """Everything of a contact."""
    contact = record.contact
    return ContactExport(
        contact=contacts.contact_row(contact),
        name=contact.name or None,
        locale=contact.locale or None,
        time_zone=contact.time_zone or None,
        merged_contact_ids=[Kind.CONTACT.show(key) for key in record.merged],
        identities=contacts.identities(contact),
        consents=_consents(record),
        suppressions=_suppressions(record),
        push_subscriptions=_subscriptions(record),
        campaign_ids=[Kind.CAMPAIGN.show(key) for key in record.campaigns],
        events=[contacts.contact_event(each) for each in record.events],
        messages=[_message(each) for each in record.letters],
        complete=record.complete,
    )


def _consents(record: Record) -> list[ExportedConsent]:
    said = sorted(record.contact.consents.all(), key=lambda each: (each.channel, each.category))
    return [
        ExportedConsent(
            channel=each.channel, category=each.category, status=each.status, updated_at=stamp(each.updated_at)
        )
        for each in said
    ]


def _suppressions(record: Record) -> list[ExportedSuppression]:
    return [
        ExportedSuppression(
            channel=each.channel,
            address=each.address,
            category=each.category,
            reason=each.reason,
            created_at=stamp(each.created_at),
            lifted_at=stamp(each.lifted_at),
        )
        for each in record.suppressions
    ]


def _subscriptions(record: Record) -> list[ExportedSubscription]:
    return [
        ExportedSubscription(
            id=Kind.SUBSCRIPTION.show(each.id),
            endpoint=each.endpoint,
            topic=each.topic or None,
            active=each.active,
            created_at=stamp(each.created_at),
        )
        for each in record.subscriptions
    ]


def _message(letter: Letter) -> ExportedMessage:
    message = letter.message
    return ExportedMessage(
        id=Kind.MESSAGE.show(message.id),
        channel=message.channel,
        status=message.status,
        recipient=message.recipient,
        subject=message.subject or None,
        body=letter.said.body or letter.said.text or None,
        data=message.data,
        metadata=message.metadata,
        category=message.category,
        campaign_id=Kind.CAMPAIGN.show(message.campaign_id),
        created_at=stamp(message.created_at),
        events=[ExportedStep(type=each.type, timestamp=stamp(each.at)) for each in letter.events],
    )
