"""Reads what is to be sent or changed, and says it in the domain's words."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from channels_app.types import Channel
from messaging.api.common import bodies
from messaging.api.oasis.serializers.sending import Json, MetadataIn, RecipientIn, RevisionIn, Sendable
from messaging.api.oasis.talk import literal
from messaging.api.oasis.vocabulary import PRIORITY_IN, Own
from messaging.dispatch.draft import Draft, Recipient
from messaging.dispatch.revision import Revision
from messaging.errors import FieldError, Invalid
from messaging.models import Message

S = TypeVar("S", bound=Sendable | RevisionIn)


class Asked(Generic[S]):
    """A body as it was read, with whatever else stood in its metadata.

    Raises:
        Invalid: it is not what was wanted, or holds what cannot be stored.
    """

    def __init__(self, body: bytes, into: type[S]) -> None:
        value = bodies.decode(body)
        self.body: S = bodies.convert(value, into)
        known = MetadataIn.__struct_fields__
        found = value.get("metadata") or {}
        self.rest: Json = {name: each for name, each in found.items() if name not in known}
        self.metadata: MetadataIn = self.body.metadata or MetadataIn()


def draft_of(asked: Asked[Any]) -> Draft:
    """What is asked for, in the domain's words.

    Raises:
        Invalid: something is missing, an attachment is not base64, or a time cannot be read.
    """
    body, metadata = asked.body, asked.metadata
    if not metadata.template and body.missing:
        places = [FieldError(f"/{name}", "required", "This field is required.") for name in body.missing]
        raise Invalid(f"{body.missing[0]} is required unless metadata.template names a template.", errors=places)
    return Draft(
        channel=body.channel,
        template=metadata.template or "",
        priority=PRIORITY_IN[metadata.priority or "Normal"],
        encrypted=metadata.encryption or False,
        **body.parts,
    )


def recipient_of(asked: Asked[Any]) -> Recipient:
    """Who is written to, in the domain's words.

    Raises:
        Invalid: nobody is named whom the channel could reach.
    """
    body, metadata = asked.body, asked.metadata
    given: RecipientIn = body.recipient
    field, to = {
        Channel.EMAIL: ("email", given.email),
        Channel.SMS: ("phone", given.phone),
        Channel.PUSH: ("deviceToken", given.device_token),
        Channel.ONSITE: ("id", given.id),
    }[body.channel]
    if not (to or given.id):
        detail = "The recipient has no id." if field == "id" else f"The recipient has neither {field} nor id."
        raise Invalid.at(f"/recipient/{field}", "invalid_recipient", detail)
    whose = given.id if field in {"email", "phone"} or not to else None
    return Recipient(
        to=to or "",
        contact_id=whose or "",
        name=given.name or "",
        data={**(metadata.variables or {}), **body.own_data} or None,
        metadata=kept(asked.rest, metadata, severity=body.severity),
    )


def revision_of(asked: Asked[RevisionIn], row: Message, *, encrypted: bool) -> Revision:
    """What is to change of a message, in the domain's words; what stands in its metadata beside stays unless it is
    given anew.

    Raises:
        Invalid: it cannot be changed so.
    """
    body, metadata = asked.body, asked.metadata
    if body.html_content is not None and row.channel != Channel.EMAIL:
        raise Invalid.at("/htmlContent", "not_carried", "Only an Email has HTML.")
    if metadata.encryption not in (None, encrypted):
        raise Invalid.at("/metadata/encryption", "fixed", "The encryption of a message cannot be changed.")
    own = {Own.PRIORITY.value: metadata.priority, Own.SEVERITY.value: metadata.severity}
    words = {name: word for name, word in own.items() if word is not None}
    text, data = body.content, metadata.variables
    if text is not None and row.channel == Channel.DIRECT:
        text, data = literal(text)
    return Revision(
        subject=body.subject,
        body=body.html_content,
        text=text,
        data=data,
        metadata={**row.metadata, **asked.rest, **words} if body.metadata is not None else None,
        template=metadata.template,
        priority=PRIORITY_IN[metadata.priority] if metadata.priority else None,
        scheduled_at=body.schedule.moment() if body.schedule else None,
    )


def kept(rest: Json, metadata: MetadataIn, *, severity: str | None) -> Json:
    """What is kept among a message's metadata."""
    own = {Own.PRIORITY.value: metadata.priority or "Normal", Own.SEVERITY.value: severity}
    return {**rest, **{name: word for name, word in own.items() if word is not None}}
