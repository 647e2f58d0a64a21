"""Sends one message to a contact and tells of the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import messages as out
from messaging.api.campaignos.serializers.messages import SendIn
from messaging.api.campaignos.vocabulary import CHANNEL_IN, FAILURE_OUT
from messaging.campaigns import filling, pace, plans
from messaging.content import templates
from messaging.content.parts import Parts, prepare
from messaging.dispatch import intake
from messaging.dispatch.intake import Draft, Recipient
from messaging.dispatch.sending import Sent
from messaging.errors import DispatchError, Invalid
from messaging.models import Campaign
from messaging.people import contacts, recipients
from messaging.people.recipients import Person
from messaging.state import Status
from messaging.tenancy.access import Caller

_ENDED_BADLY = frozenset({Status.FAILED, Status.BOUNCED, Status.CANCELLED})
_TRANSACTIONAL = "transactional"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A message that was asked for, with those that it names found."""

    draft: Draft
    recipient: Recipient
    person: Person
    campaign: Campaign | None


def order(caller: Caller, wanted: SendIn) -> Order:
    """Find what a request names, and put it in the domain's words.

    Raises:
        NotFound: the workspace has no such contact or campaign.
        Invalid: what the message says cannot be used, or there is no such template.
    """
    person = _person(caller.workspace_id, wanted.contact_id)
    campaign = _campaign(caller.workspace_id, wanted.campaign_id)
    category = wanted.category() or (campaign.category if campaign else _TRANSACTIONAL)
    channel = CHANNEL_IN[wanted.channel]
    draft = Draft(
        channel=channel,
        template=_template(wanted.template_id),
        subject=wanted.subject or "",
        body=wanted.body or "",
        category=category,
        campaign_id=campaign.id if campaign else None,
    )
    if not draft.body and not draft.template:
        raise Invalid.at("/body", "required", "A message has a body, a template or both.")
    known = filling.known(
        person,
        filling.names_in(prepare(_parts(caller.workspace_id, draft), channel=channel).variables),
        workspace_id=caller.workspace_id,
        channel=channel,
        category=category,
    )
    # Variables are what the texts are filled in with, and kept as such.
    metadata = {name: value for name, value in (wanted.metadata or {}).items() if name != "variables"}
    recipient = Recipient(contact_id=str(person.id), data={**wanted.variables(), **known} or None, metadata=metadata)
    return Order(draft=draft, recipient=recipient, person=person, campaign=campaign)


def accept(caller: Caller, placed: Order, *, awaited: bool) -> list[UUID]:
    """Accept the message, inside the caller's transaction.

    Raises:
        Held: its campaign may not write to the contact now.
        DispatchError: see `intake.accept`.
    """
    if placed.campaign is not None:
        pace.demand(placed.campaign, contact_id=placed.person.id)
    accepted = intake.accept(
        workspace_id=caller.workspace_id,
        author_id=caller.user_id,
        test=caller.test,
        draft=placed.draft,
        recipients=[placed.recipient],
        batch=False,
        awaited=awaited,
    )
    return accepted.ids


def show(sent: Sent) -> tuple[int, object]:
    """What became of the message, with the status of the answer."""
    if sent.message.status in _ENDED_BADLY:
        reason = out.failure(sent.message)
        return 422, out.undispatched(reason or out.Failure(code="PROVIDER_ERROR", message="It failed."), sent.ids[0])
    return 200, out.dispatched(sent.message)


def refusal(error: DispatchError) -> out.Undispatched | None:
    """What an error says of the dispatch, where it was that and not the request which could not be done."""
    first = error.errors[0] if error.errors else error
    word = FAILURE_OUT.get(first.code)
    return out.undispatched(out.Failure(code=word, message=first.detail)) if word else None


def _person(workspace_id: UUID, text: str) -> Person:
    name = str(Kind.CONTACT.key(text))
    person = recipients.find(workspace_id=workspace_id, names=[name], whole=True).get(name)
    if person is None:
        raise contacts.missing()
    return person


def _campaign(workspace_id: UUID, text: str | None) -> Campaign | None:
    return None if text is None else plans.get(workspace_id=workspace_id, campaign_id=Kind.CAMPAIGN.key(text))


def _template(text: str | None) -> str:
    if text is None:
        return ""
    key = Kind.TEMPLATE.read(text)
    if key is None:
        raise Invalid.at("/template", "template_not_found", "There is no such template.")
    return str(key)


def _parts(workspace_id: UUID, draft: Draft) -> Parts:
    """What the message says before anything is filled in."""
    if not draft.template:
        return draft.parts
    offer = templates.offer(workspace_id=workspace_id, name=draft.template, channel=draft.channel)
    return draft.parts.over(templates.edition_of(offer.choose()).parts)
