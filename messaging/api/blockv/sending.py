"""What a send means to the domain: which system `to` is reached by, which template it is made from, what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from msgspec.structs import replace

from channels_app import addresses
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.api.blockv import ids
from messaging.api.blockv.serializers import messages as out
from messaging.api.blockv.serializers.messages import Send
from messaging.api.blockv.serializers.templates import parts_of
from messaging.api.blockv.vocabulary import OTHER_LANGUAGE, priority_of
from messaging.api.common import bodies
from messaging.content import templates
from messaging.content.parts import Parts
from messaging.content.templates import Offer
from messaging.dispatch.intake import Draft, Recipient
from messaging.dispatch.sending import Sent
from messaging.errors import FieldError, Forbidden, Invalid
from messaging.models import Template
from messaging.people import recipients
from messaging.people.recipients import Found
from messaging.tenancy.access import Caller

ORDER = (Channel.EMAIL, Channel.SMS, Channel.PUSH)
"""How a contact is written to: by the first system that reaches them and that the template is for."""
NOT_WANTED = frozenset({"suppressed", "recipient_opted_out"})
"""Why a message failed whose recipient wants none: as is known here, or as the provider says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A system that reaches the recipient."""

    channel: Channel
    recipient: Recipient
    locale: str = ""


def planned(caller: Caller, send: Send) -> tuple[Draft, Recipient]:
    """A send in the domain's words.

    Raises:
        Forbidden: it is for another organisation.
        Invalid: nothing reaches `to`, or there is neither a template nor content.
    """
    check_organisation(caller, send.org_id)
    found = ways(caller.workspace_id, send.to, push=send.is_push)
    if send.template_id or not send.content:
        way, template = _choice(caller.workspace_id, send, found)
    else:
        way, template = found[0], None
    title = send.title
    if template and send.content and not title:
        title = templates.edition_of(template).said.subject
    said = parts_of(way.channel, title, send.content, send.content_type) if send.content else Parts(subject=title)
    return Draft(
        channel=way.channel,
        # Content stands for all that the template says, in whichever form it says it.
        template=str(template.id) if template and not send.content else "",
        subject=said.subject,
        body=said.body,
        text=said.text,
        priority=priority_of(send.action_type),
        action_type=send.action_type,
        language=template.language if template else send.language or "",
        scheduled_at=bodies.utc(send.scheduled_at, "/scheduled_at"),
    ), replace(way.recipient, data=send.values)


def check_organisation(caller: Caller, org_id: str) -> None:
    """Refuse what is meant for another organisation than the caller's own; an empty id means that one.

    Raises:
        Forbidden: the id is another's.
    """
    if org_id and ids.as_key(org_id) != caller.workspace_id:
        raise Forbidden("This is not the organisation that you act in.", code="another_organisation")


def ways(workspace_id: UUID, to: str, *, push: bool) -> list[Way]:
    """The systems that reach `to`: that of an address, or those that reach the contact whose id it is.

    A push goes to a contact by any of its ids or by an address that is its alone, or to one subscription.

    Raises:
        Invalid: there is none.
    """
    system = _system_of(to)
    if system is not None and not push:
        return [Way(channel=system, recipient=Recipient(to=to))]
    name = to if system is None else recipients.only_bearer(workspace_id=workspace_id, channel=system, address=to)
    found = [
        Way(channel=channel, recipient=Recipient(contact_id=name), locale=place.person.locale)
        for channel in ((Channel.PUSH,) if push else ORDER)
        if (place := _place(workspace_id, channel, Recipient(contact_id=name))) and place.person
    ]
    if not found and (place := _place(workspace_id, Channel.PUSH, Recipient(to=to))) and place.contact_id:
        found = [Way(channel=Channel.PUSH, recipient=Recipient(to=to))]
    if not found:
        known = "a contact, or a push subscription" if push else "an e-mail address, a phone number, or such an id"
        detail = f"to is {known}, that can be reached by {'push' if push else 'email, sms or push'}"
        raise Invalid.at("/to", "invalid_recipient", detail)
    return found


def _system_of(to: str) -> Channel | None:
    """The system whose address it is, if it is one."""
    channel = Channel.EMAIL if "@" in to else Channel.SMS
    try:
        addresses.normalise(channel, to)
    except InvalidAddress:
        return None
    return channel


def _place(workspace_id: UUID, channel: Channel, recipient: Recipient) -> Found | None:
    (place,) = recipients.resolve(workspace_id=workspace_id, channel=channel, recipients=[recipient])
    return place if isinstance(place, Found) else None


def _choice(workspace_id: UUID, send: Send, found: list[Way]) -> tuple[Way, Template]:
    """The template that is named, or the one for the kind of action, and the way that it is for.

    Raises:
        Invalid: there is none.
    """
    for way in found:
        offer = _offer(workspace_id, send, way.channel)
        if offer is not None:
            return way, offer.choose(send.language or "", way.locale, OTHER_LANGUAGE)
    systems = " or ".join(way.channel for way in found)
    if send.template_id:
        raise Invalid.at("/template", "template_not_found", f"there is no such template for {systems}")
    detail = f"there is no template of the type {send.action_type} for {systems}, and no content"
    places = [FieldError(f"/{name}", "required", detail) for name in ("template_id", "content")]
    raise Invalid(detail, code="template_not_found", errors=places)


def _offer(workspace_id: UUID, send: Send, channel: Channel) -> Offer | None:
    try:
        if not send.template_id:
            return templates.offer_for(workspace_id=workspace_id, action_type=send.action_type, channel=channel)
        key = ids.as_key(send.template_id)
        name = str(key) if key else send.template_id
        return templates.offer(workspace_id=workspace_id, name=name, channel=channel)
    except Invalid:
        return None


def shown(sent: Sent, *, sync: bool) -> tuple[int, object]:
    """What a send answers: the id, and to who waits the outcome; a failure of the sending is an error of its own."""
    outcome = out.outcome(sent.message, sync=sync)
    if outcome.status == "failed" and outcome.error and sent.message.error_code not in NOT_WANTED:
        return 500, out.failure(sent.message, outcome.error)
    return 200, outcome
