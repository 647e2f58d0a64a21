"""What a campaign fills in for each contact: its own data, and what its template reads of the contact by plain names.

Plain names are for campaigns of a kind; others read `contact`. Only what the template reads is kept with a message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from channels_app.types import Channel
from messaging.content import exits, templates
from messaging.models import Campaign
from messaging.people import recipients
from messaging.people.placeholders import placeholders
from messaging.people.recipients import Person

_FIRST = re.compile(r"[^.\[]+")


def data_of(campaign: Campaign, contacts: Sequence[UUID]) -> dict[UUID, Mapping[str, Any] | None]:
    """The data of each contact's message; what the campaign says itself comes before what is known of the contact."""
    if not campaign.kind:
        return dict.fromkeys(contacts, campaign.data or None)
    read = _read_by(campaign)
    people = recipients.find(workspace_id=campaign.workspace_id, names=[str(key) for key in contacts], whole=True)
    return {key: {**known(people.get(str(key)), read), **campaign.data} or None for key in contacts}


def _read_by(campaign: Campaign) -> set[str]:
    """The names that the campaign's template reads, in any of its languages."""
    assert campaign.template is not None  # noqa: S101 - the caller has made sure
    offer = templates.offer(
        workspace_id=campaign.workspace_id,
        name=campaign.template.key,
        channel=Channel(campaign.channel),
        at=template_at(campaign),
    )
    editions = map(templates.edition_of, offer.templates.values())
    return names_in(path for edition in editions for path in edition.said.variables)


def template_at(campaign: Campaign) -> datetime | None:
    """The moment whose version of the template all of the audience gets: that of the start, once it has begun."""
    return campaign.started_at if campaign.feed_at is not None else None


def names_in(paths: Iterable[str]) -> set[str]:
    """The names that paths begin with: what `order.total` reads is `order`."""
    return {found[0] for path in paths if (found := _FIRST.match(path))}


def known(person: Person | None, read: Collection[str]) -> dict[str, Any]:
    """What there is of a contact among the names that are read; links are each message's own and come from it."""
    if person is None:
        return {}
    found = placeholders(person)
    return {name: found[name] for name in read if name in found and name not in exits.NAMES}
