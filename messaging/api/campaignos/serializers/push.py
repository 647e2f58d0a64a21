"""Push subscriptions, in and out."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from messaging import models
from messaging.api.campaignos.ids import LONGEST
from messaging.api.campaignos.serializers.contacts import ContactSubscription, reference, subscription
from messaging.api.campaignos.serializers.messages import ContactRef, Id
from messaging.api.common.queries import PageQuery


class SubscriptionQuery(PageQuery, rename="camel", kw_only=True, frozen=True):
    """Which subscriptions are wanted."""

    contact_id: Annotated[str, Meta(max_length=LONGEST, description="Those of this contact.")] | UnsetType = UNSET


class SubscriptionIn(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A browser's push subscription, and whose it is; the keys are in base64url."""

    contact_id: Id
    endpoint: Annotated[str, Meta(min_length=1, max_length=2048)]
    p256dh: Annotated[str, Meta(min_length=1, max_length=200)]
    auth: Annotated[str, Meta(min_length=1, max_length=100)]
    topic: Annotated[str, Meta(max_length=100)] | None = None


class PushSubscription(ContactSubscription, rename="camel", kw_only=True, frozen=True):
    """A push subscription without its keys, and the contact that it reaches."""

    contact: ContactRef


def push_subscription(row: models.PushSubscription) -> PushSubscription:
    """A push subscription as the list shows it."""
    own = subscription(row)
    known = {name: getattr(own, name) for name in ContactSubscription.__struct_fields__}
    return PushSubscription(**known, contact=reference(row.contact))
