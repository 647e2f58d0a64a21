"""What a campaign fills in for each contact: its own data, and what its template reads of the contact by plain names.

Plain names are for campaigns of a kind; others read `contact`. Only what the template reads is kept with a message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from channels_app.types import Channel
from messaging.content import links, templates
from messaging.models import Campaign
from messaging.people import recipients
from messaging.people.placeholders import placeholders
from messaging.people.recipients import Person

_FIRST = re.compile(r"[^.\[]+")

UNSUBSCRIBE, PREFERENCES = "unsubscribeUrl", "preferencesUrl"
"""Names under which a template reads the links of the contact."""


def data_of(campaign: Campaign, contacts: Sequence[UUID]) -> dict[UUID, Mapping[str, Any] | None]:
    """The data of each contact's message; what the campaign says itself comes before what is known of the contact."""
    if not campaign.kind:
        return dict.fromkeys(contacts, campaign.data or None)
    read = _read_by(campaign)
    people = recipients.find(workspace_id=campaign.workspace_id, names=[str(key) for key in contacts], whole=True)
    told = {
        key: known(
            people.get(str(key)),
            read,
            workspace_id=campaign.workspace_id,
            channel=Channel(campaign.channel),
            category=campaign.category,
        )
        for key in contacts
    }
    return {key: {**told[key], **campaign.data} or None for key in contacts}


def _read_by(campaign: Campaign) -> set[str]:
    """The names that the campaign's template reads, in any of its languages."""
    assert campaign.template is not None  # noqa: S101 - the caller has made sure
    offer = templates.offer(
        workspace_id=campaign.workspace_id, name=campaign.template.key, channel=Channel(campaign.channel)
    )
    editions = templates.newest(list(offer.templates.values()))
    return names_in(path for edition in editions for path in edition.said.variables)


def names_in(paths: Iterable[str]) -> set[str]:
    """The names that paths begin with: what `order.total` reads is `order`."""
    return {found[0] for path in paths if (found := _FIRST.match(path))}


def known(
    person: Person | None, read: Collection[str], *, workspace_id: UUID, channel: Channel, category: str
) -> dict[str, Any]:
    """What there is of a contact among the names that are read, links of the contact's own included."""
    if person is None:
        return {}
    found = placeholders(person)
    if UNSUBSCRIBE in read:
        found[UNSUBSCRIBE] = links.unsubscribe_url(
            workspace_id=workspace_id, contact_id=person.id, channel=channel, category=category
        )
    if PREFERENCES in read:
        found[PREFERENCES] = links.preferences_url(workspace_id=workspace_id, contact_id=person.id)
    return {name: found[name] for name in read if name in found}
