"""Sends one message to a contact and tells of the outcome."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from messaging.api.campaignos.ids import Kind
from messaging.api.campaignos.serializers import messages as out
from messaging.api.campaignos.serializers.messages import SendIn
from messaging.api.campaignos.vocabulary import CHANNEL_IN, FAILURE_OUT
from messaging.api.common.sending import accept_one
from messaging.campaigns import filling, pace, plans
from messaging.content import templates
from messaging.content.parts import Parts, prepare
from messaging.dispatch.intake import Acceptance, Draft, Recipient
from messaging.dispatch.sending import Sent
from messaging.errors import DispatchError, Invalid
from messaging.models import Campaign
from messaging.people import contacts, recipients
from messaging.people.recipients import Person
from messaging.people.refusals import TRANSACTIONAL
from messaging.state import Status
from messaging.tenancy.access import Caller

_ENDED_BADLY = frozenset({Status.FAILED, Status.BOUNCED, Status.CANCELLED})


def accept(caller: Caller, wanted: SendIn, *, awaited: bool) -> Acceptance:
    """Accept the message that was asked for.

    Raises:
        NotFound: the workspace has no such contact or campaign.
        Held: the campaign may not write to the contact now.
        DispatchError: see `intake.accept`.
    """
    person = _person(caller.workspace_id, wanted.contact_id)
    campaign = _campaign(caller.workspace_id, wanted.campaign_id)
    draft = _draft(wanted, campaign)
    recipient = _recipient(wanted, draft, person, caller.workspace_id)
    if campaign is None:
        return accept_one(caller, draft, recipient, awaited=awaited)
    with transaction.atomic():
        # Until it is accepted, the contact is locked for every other that would count.
        pace.demand(campaign, contact_id=person.id)
        return accept_one(caller, draft, recipient, awaited=awaited)


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


def _draft(wanted: SendIn, campaign: Campaign | None) -> Draft:
    draft = Draft(
        channel=CHANNEL_IN[wanted.channel],
        template=_template(wanted.template_id),
        subject=wanted.subject or "",
        body=wanted.body or "",
        category=wanted.category() or (campaign.category if campaign else TRANSACTIONAL),
        campaign_id=campaign.id if campaign else None,
    )
    if not draft.body and not draft.template:
        raise Invalid.at("/body", "required", "A message has a body, a template or both.")
    return draft


def _recipient(wanted: SendIn, draft: Draft, person: Person, workspace_id: UUID) -> Recipient:
    """The contact with what the texts read of it; variables are what they are filled in with, and kept as such."""
    read = filling.names_in(prepare(_parts(workspace_id, draft), channel=draft.channel).variables)
    known = filling.known(person, read)
    metadata = {name: value for name, value in (wanted.metadata or {}).items() if name != "variables"}
    return Recipient(contact_id=str(person.id), data={**wanted.variables(), **known} or None, metadata=metadata)


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
