"""How large campaigns are: the contacts that they have gone to, and their messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count

from messaging.models import Audience, Campaign, Message


@dataclass(frozen=True, slots=True)
class Size:
    """A campaign in numbers."""

    enrolments: int
    messages: int


def of_many(campaigns: Sequence[Campaign]) -> dict[UUID, Size]:
    """The sizes of these campaigns of one workspace, counted together."""
    ids = [row.id for row in campaigns]
    enrolled = Audience.objects.filter(campaign_id__in=ids).order_by().values_list("campaign_id")
    sent = Message.objects.filter(campaign_id__in=ids, deleted_at=None).order_by().values_list("campaign_id")
    enrolments = dict(enrolled.annotate(number=Count("id")))
    messages = dict(sent.annotate(number=Count("id")))
    return {key: Size(enrolments.get(key, 0), messages.get(key, 0)) for key in ids}


def of(campaign: Campaign) -> Size:
    """The size of one campaign."""
    return of_many([campaign])[campaign.id]
