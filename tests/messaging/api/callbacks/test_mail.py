"""What an e-mail service reports over HTTP moves the messages that it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from messaging.dispatch import delivery, providers
from messaging.dispatch.queue import Lane
from messaging.models import Suppression
from tests.factories import accept_message, make_workspace, message
from tests.messaging.api.callbacks.conftest import BASE
from tests.messaging.api.callers import assert_problem
from tests.messaging.invariants import check_all
from tests.peers import postmark
from tests.peers.postmark import CREDENTIALS, TOKEN, Postmark

pytestmark = pytest.mark.usefixtures("transactional_db")

EMAIL = Lane.named("email.normal")
PATH = "/api/v1/callbacks/postmark"


@pytest.fixture
def service(settings: Settings) -> Iterator[Postmark]:
    """A Postmark on loopback as the provider of e-mail."""
    with postmark.running() as (server, taken):
        told = {"POSTMARK_SERVER_TOKEN": TOKEN, "POSTMARK_API_URL": server.url(), "WEBHOOK_SECRET": CREDENTIALS}
        settings.PUBLIC_BASE_URL = BASE
        settings.CHANNELS = {
            **settings.CHANNELS,
            "email": [
                {"adapter": "anymail", "url": "anymail://postmark", "default_from": "hi@example.com", "settings": told}
            ],
        }
        providers.registry.cache_clear()
        yield taken
    providers.registry.cache_clear()


def sent(service: Postmark, to: str = "ann@example.com", **fields: Any) -> tuple[Any, dict[str, Any]]:
    """Send a message; give its key and what the service took."""
    key = accept_message(make_workspace(), to, **fields)
    delivery.deliver(EMAIL)
    return key, service.taken[-1]


def report(web: Client, kind: str, taken: dict[str, Any], **more: Any) -> Any:
    headers, body = postmark.report(kind, taken, **more)
    return web.generic("POST", PATH, body, content_type=headers["Content-Type"], headers=headers)


def test_a_message_is_followed_from_its_acceptance_to_a_click(web: Client, service: Postmark):
    key, taken = sent(service)
    row = message(key)
    assert (row.status, row.provider, row.provider_message_id) == ("SENT", "postmark", taken["MessageID"])
    for kind, status in (("Delivery", "DELIVERED"), ("Open", "OPENED"), ("Click", "CLICKED")):
        for _ in range(2):
            assert report(web, kind, taken).status_code == 200
        assert message(key).status == status
    assert [event.type for event in message(key).events.all()] == [
        "queued",
        "sending",
        "sent",
        "delivered",
        "opened",
        "clicked",
    ]
    assert check_all() == []


def test_a_hard_bounce_suppresses_and_a_soft_one_does_not(web: Client, service: Postmark):
    soft, taken = sent(service)
    report(web, "Bounce", taken, Type="SoftBounce")
    assert (message(soft).status, message(soft).error_code) == ("BOUNCED", "soft_bounce")
    assert not Suppression.objects.exists()
    hard, taken = sent(service, "bob@example.com")
    report(web, "Bounce", taken, ID=7)
    assert (message(hard).status, message(hard).error_code) == ("BOUNCED", "hard_bounce")
    assert Suppression.objects.get().address == "bob@example.com"


def test_what_befalls_a_copy_leaves_the_message_alone(web: Client, service: Postmark):
    key, taken = sent(service, cc=("carol@example.com",))
    assert report(web, "Bounce", taken, recipient="carol@example.com").status_code == 200
    assert message(key).status == "SENT"
    assert not Suppression.objects.exists()
    report(web, "Delivery", taken)
    assert message(key).status == "DELIVERED"


def test_a_report_settles_what_became_of_an_answer_that_was_lost(web: Client, service: Postmark):
    key, taken = sent(service, "cut@example.com")
    row = message(key)
    assert (row.status, row.error_code) == ("SENDING", "outcome_unknown")
    report(web, "Delivery", taken)
    row = message(key)
    assert (row.status, row.provider_message_id) == ("DELIVERED", taken["MessageID"])
    assert check_all() == []


@pytest.mark.parametrize("authorization", [None, "Basic bm9ib2R5Ondyb25n"])
def test_a_report_of_somebody_else_is_refused(web: Client, service: Postmark, authorization: str | None):
    key, taken = sent(service)
    headers, body = postmark.report("Bounce", taken)
    headers = {**headers, "Authorization": authorization or ""}
    answer = web.generic("POST", PATH, body, content_type="application/json", headers=headers)
    assert_problem(answer, 403, "callback_refused")
    assert message(key).status == "SENT"


def test_amazon_is_asked_to_log_in(web: Client, settings: Settings):
    client = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    told = {"AMAZON_SES_CLIENT_PARAMS": client, "WEBHOOK_SECRET": CREDENTIALS}
    options = {"adapter": "anymail", "url": "anymail://amazon_ses", "settings": told}
    settings.CHANNELS = {**settings.CHANNELS, "email": [options]}
    providers.registry.cache_clear()
    said = {"Type": "Notification", "MessageId": "n", "Message": "{}"}
    answer = web.generic("POST", "/api/v1/callbacks/amazon_ses", json.dumps(said).encode(), content_type="text/plain")
    providers.registry.cache_clear()
    assert_problem(answer, 401, "callback_login_awaited")
    assert answer["WWW-Authenticate"].startswith("Basic ")
