"""Push subscriptions: the browsers and devices on which a contact takes push messages."""

from __future__ import annotations

import base64
import binascii
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from django.db import transaction
from django.db.models import Q, QuerySet

from channels_app.addresses import normalise
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.errors import Invalid, NotFound
from messaging.models import PushSubscription
from messaging.models.keys import uuid7
from messaging.people import recipients

_POINT_BYTES = 65
_SECRET_BYTES = 16


def subscriptions_of(*, workspace_id: UUID) -> QuerySet[PushSubscription]:
    """A workspace's push subscriptions."""
    return PushSubscription.objects.filter(workspace_id=workspace_id)


def get(*, workspace_id: UUID, subscription_id: UUID) -> PushSubscription:
    """Give one subscription.

    Raises:
        NotFound: the workspace has none of that id.
    """
    found = subscriptions_of(workspace_id=workspace_id).filter(pk=subscription_id).first()
    if found is None:
        raise NotFound("There is no such subscription.", code="subscription_not_found")
    return found


def is_known(*, workspace_id: UUID, name: str) -> bool:
    """Whether a name is that of a contact, or the endpoint or id of a subscription."""
    if recipients.find(workspace_id=workspace_id, names=[name]):
        return True
    key = recipients.as_key(name)
    named = Q(endpoint=name) if key is None else Q(endpoint=name) | Q(id=key)
    return subscriptions_of(workspace_id=workspace_id).filter(named, active=True).exists()


def register(
    *, workspace_id: UUID, contact: str, endpoint: str, p256dh: str, auth: str, topic: str
) -> tuple[PushSubscription, bool]:
    """Keep a subscription for a contact. An endpoint that is known is taken over, with its new keys, and is active
    again; the second value tells whether it is new.

    Raises:
        Invalid: the contact is unknown, or the endpoint or a key is malformed.
    """
    person = recipients.find(workspace_id=workspace_id, names=[contact]).get(contact)
    if person is None:
        raise Invalid.at("/contact_id", "contact_not_found", "There is no such contact.")
    row = PushSubscription(
        id=uuid7(),
        workspace_id=workspace_id,
        contact_id=person.id,
        endpoint=_endpoint(endpoint),
        p256dh=_key(p256dh, "/keys/p256dh", _POINT_BYTES),
        auth=_key(auth, "/keys/auth", _SECRET_BYTES),
        topic=topic,
        active=True,
    )
    with transaction.atomic():
        PushSubscription.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["workspace", "endpoint"],
            update_fields=["contact", "p256dh", "auth", "topic", "active"],
        )
        found = subscriptions_of(workspace_id=workspace_id).get(endpoint=row.endpoint)
    return found, found.id == row.id


def remove(*, workspace_id: UUID, subscription_id: UUID) -> None:
    """Forget a subscription.

    Raises:
        NotFound: the workspace has none of that id.
    """
    get(workspace_id=workspace_id, subscription_id=subscription_id).delete()


def _endpoint(endpoint: str) -> str:
    try:
        url = normalise(Channel.PUSH, endpoint)
    except InvalidAddress as error:
        raise Invalid.at("/endpoint", error.code, str(error)) from error
    if "://" not in url:
        raise Invalid.at("/endpoint", "invalid_recipient", "The endpoint is the https URL of a push service.")
    return url


def _key(text: str, pointer: str, size: int) -> str:
    """The key in base64url without padding, as RFC 8291 and browsers write it."""
    try:
        raw = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != size:
        raise Invalid.at(pointer, "invalid_key", f"The key has {size} bytes in base64url.")
    if size == _POINT_BYTES and not _is_point(raw):
        raise Invalid.at(pointer, "invalid_key", "The key is no point of the curve P-256.")
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _is_point(raw: bytes) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError:
        return False
    return True
