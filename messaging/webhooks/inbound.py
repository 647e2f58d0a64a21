"""Takes what other systems say of a workspace's contacts: signed by an endpoint's secret, as what it is told is."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from messaging.content import signatures
from messaging.errors import NotFound, Unauthenticated
from messaging.models import Contact, ContactEvent, WebhookEndpoint
from messaging.people import contacts, events, known
from messaging.people.events import Happening
from messaging.webhooks.campaignos import sign

_FOUND_BY = ("email", "phone")


def recognise(*, endpoint_id: UUID, body: bytes, signature: str) -> WebhookEndpoint:
    """Give the endpoint whose secret signed a body; the secret before counts while it does.

    Raises:
        NotFound: there is no such endpoint, or it is not active.
        Unauthenticated: the body is not signed by it.
    """
    rows = WebhookEndpoint.objects.filter(format=WebhookEndpoint.Format.CAMPAIGNOS, active=True)
    endpoint = rows.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound("There is no such webhook.", code="webhook_not_found")
    given = signature.strip().lower().encode("utf-8", "replace")
    if not any(hmac.compare_digest(sign(body, secret).encode(), given) for secret in signatures.secrets_of(endpoint)):
        raise Unauthenticated("The body is not signed by the webhook's secret.", code="invalid_signature")
    return endpoint


def take(
    endpoint: WebhookEndpoint, *, type: str, person: Mapping[str, Any], metadata: Mapping[str, Any]
) -> ContactEvent:
    """Note what somebody did. The person is found by e-mail address, else by phone number; what is new of one who is
    known is kept, and one who is not becomes a contact. Without either it was nobody who is known.

    Raises:
        Invalid: a value is malformed.
    """
    workspace_id = endpoint.workspace_id
    with transaction.atomic():
        contact = _known(workspace_id, person)
        happening = Happening(type=type, contact_id=contact.id if contact else None, metadata=metadata)
        return events.note(workspace_id=workspace_id, happening=happening)


def _known(workspace_id: UUID, person: Mapping[str, Any]) -> Contact | None:
    fields = {name: value for name, value in person.items() if value}
    cleaned = contacts.cleaned(fields)
    if not any(cleaned.get(name) for name in _FOUND_BY):
        return None
    found, way = known.by(workspace_id=workspace_id, fields=cleaned, names=_FOUND_BY)
    if found is None:
        return contacts.create(workspace_id=workspace_id, fields=fields)
    others = {name: value for name, value in fields.items() if name != way}
    new = {name: value for name, value in others.items() if getattr(found, name) != cleaned[name]}
    return contacts.update(workspace_id=workspace_id, contact_id=found.id, fields=new) if new else found
