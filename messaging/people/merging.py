"""Makes one contact of two that turned out to be the same person.

The one that is kept has the last word: its values stay, and its gaps are filled from the other. Of what the two agreed
to, nothing stays allowed that either refused. Messages are not rewritten: the id of the other stays known as an alias
of the one that is kept, so that every look-up, list and check that starts from either id ends at the same person.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from messaging.errors import Invalid
from messaging.models import (
    Audience,
    Consent,
    ConsentStatus,
    Contact,
    ContactAlias,
    ContactEvent,
    PushSubscription,
    Suppression,
)
from messaging.people import changes, contacts
from messaging.people.changes import Change, Changed
from messaging.people.consent import stricter

_FILLED = (
    "external_id",
    "avatar_id",
    "name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "telegram_chat_id",
    "locale",
    "time_zone",
)


def merge(*, workspace_id: UUID, keep: UUID, other: UUID) -> Contact:
    """Merge the contact `other` into the contact `keep`, and give the one that is left.

    Raises:
        NotFound: the workspace lacks one of the two.
        Invalid: the two are one already.
    """
    with transaction.atomic():
        # Two merges of the same contacts, each the other way, must not wait for each other.
        both = {key: contacts.get(workspace_id=workspace_id, contact_id=key).id for key in (keep, other)}
        rows = {key: contacts.held(workspace_id=workspace_id, contact_id=key) for key in sorted(both.values())}
        kept, gone = rows[both[keep]], rows[both[other]]
        if kept.id == gone.id:
            raise Invalid("A contact cannot be merged with itself.", code="same_contact")
        _move_consents(kept, gone)
        _move_rows(kept, gone)
        # What is unique must be free before the one that is kept can take it.
        Contact.objects.filter(pk=gone.id).delete()
        _fill(kept, gone)
        ContactAlias.objects.create(id=gone.id, workspace_id=workspace_id, contact=kept)
    return contacts.get(workspace_id=workspace_id, contact_id=kept.id)


def _move_consents(kept: Contact, gone: Contact) -> None:
    records = {contact.id: list(contact.consents.all()) for contact in (kept, gone)}
    for channel in {each.channel for several in records.values() for each in several}:
        own, others = (
            {each.category: each for each in records[contact.id] if each.channel == channel} for contact in (kept, gone)
        )
        joint = stricter(_said(own), _said(others))
        for category, status in joint.items():
            origin = others.get(category) or own.get(category)
            if category in own and own[category].status == status:
                continue
            Consent.objects.update_or_create(
                contact=kept,
                channel=channel,
                category=category,
                defaults={
                    "workspace_id": kept.workspace_id,
                    "status": status,
                    "message_id": origin.message_id if origin else None,
                    "author_id": origin.author_id if origin else None,
                    "updated_at": Now(),
                },
            )


def _said(consents: dict[str, Consent]) -> dict[str, ConsentStatus]:
    return {category: ConsentStatus(each.status) for category, each in consents.items()}


def _move_rows(kept: Contact, gone: Contact) -> None:
    Suppression.objects.filter(contact=gone).update(contact=kept)
    PushSubscription.objects.filter(contact=gone).update(contact=kept)
    ContactAlias.objects.filter(contact=gone).update(contact=kept)
    ContactEvent.objects.filter(contact=gone).update(contact=kept)
    # Where a campaign goes to both, the one that is kept has its place already.
    own = Audience.objects.filter(contact=kept, campaign=OuterRef("campaign"), channel=OuterRef("channel"))
    Audience.objects.filter(~Exists(own), contact=gone).update(contact=kept)


def _fill(kept: Contact, gone: Contact) -> None:
    for name in _FILLED:
        if not getattr(kept, name):
            setattr(kept, name, getattr(gone, name))
    kept.attributes = {**gone.attributes, **kept.attributes}
    kept.tags = list(dict.fromkeys([*kept.tags, *gone.tags]))
    kept.updated_at = Now()
    kept.save()
    changes.tell(Change.UPDATED, Changed(workspace_id=kept.workspace_id, contact_id=kept.id))
