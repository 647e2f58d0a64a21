"""Operators see endpoints without their secrets, enable them again, and send once more what ended."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.models.keys import uuid7
from messaging.webhooks import endpoints
from tests.factories import make_workspace
from tests.messaging.webhooks.telling import caller_of

ENDPOINTS, DELIVERIES = (
    reverse(f"admin:messaging_{model}_changelist") for model in ("webhookendpoint", "webhookdelivery")
)


def made(**fields: object) -> endpoints.NewSecret:
    found = endpoints.create(caller=caller_of(make_workspace()), url="https://hooks.example.com/told?key=mine")
    WebhookEndpoint.objects.filter(pk=found.row.pk).update(**fields)
    return found


def sent(row: WebhookEndpoint, **fields: object) -> WebhookDelivery:
    given = {"endpoint": row, "event_id": uuid7(), "type": "message.sent", "at": timezone.now(), "state": "failed"}
    return WebhookDelivery.objects.create(**{**given, **fields})


def test_an_endpoint_is_shown_without_its_secret(operator: Client) -> None:
    found = made(active=False, disabled_because="gone")
    page = reverse("admin:messaging_webhookendpoint_change", args=[found.row.pk])
    for address in (ENDPOINTS, page):
        text = operator.get(address).content.decode()
        assert "https://hooks.example.com/told" in text
        assert "Gone" in text
        assert found.secret not in text
        assert "key=mine" not in text
    assert operator.post(page, {}).status_code == 403
    assert operator.get(reverse("admin:messaging_webhookendpoint_add")).status_code == 403


def test_an_endpoint_is_enabled_again(operator: Client) -> None:
    row = made(active=False, disabled_because="gone", disabled_at=timezone.now()).row
    for expected in ("1 enabled again.", "0 enabled again."):
        answer = operator.post(ENDPOINTS, {"action": "enable", "_selected_action": [row.pk]}, follow=True)
        assert [str(each) for each in answer.context["messages"]] == [expected]
    row.refresh_from_db()
    assert (row.active, row.disabled_because, row.disabled_at) == (True, "", None)


def test_deliveries_are_shown_with_their_tries_and_sent_once_more(operator: Client) -> None:
    row = made().row
    tried = {"at": "2026-01-01T00:00:00.000Z", "seconds": 1.0, "status": 500, "detail": "<b>no</b>"}
    ended, other = sent(row, tries=[tried], attempts=10, message_id=uuid7()), sent(made().row)
    text = operator.get(f"{DELIVERIES}?endpoint__id__exact={row.pk}").content.decode()
    assert str(ended.pk) in text
    assert str(other.pk) not in text
    page = operator.get(reverse("admin:messaging_webhookdelivery_change", args=[ended.pk])).content.decode()
    assert "&lt;b&gt;no" in page
    assert str(ended.message_id) in page
    for expected in ("1 to be sent once more.", "0 to be sent once more."):
        answer = operator.post(DELIVERIES, {"action": "resend", "_selected_action": [ended.pk]}, follow=True)
        assert [str(each) for each in answer.context["messages"]] == [expected]
    ended.refresh_from_db()
    assert (ended.state, ended.attempts) == ("pending", 0)
