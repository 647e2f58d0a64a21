"""The webhook adapter against a peer that verifies by the published scheme, without the library that signs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from channels_app.adapters.webhook import WebhookAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    ReceiptKind,
    Throttled,
    Transient,
)
from tests.channels_app.contract import AdapterContract, Behaviour, answers, make_message
from tests.channels_app.urls import FORMS, NEVER
from tests.peers.http import Asked, Peer, Reply, running


def secret(letter: str = "k", size: int = 32) -> str:
    return "whsec_" + base64.b64encode(letter.encode() * size).decode()


def adapter_for(**options: Any) -> WebhookAdapter:
    return WebhookAdapter.from_options(
        Channel.WEBHOOK, {"secrets": [secret()], "allow": ["127.0.0.1"], "timeout": 30.0, **options}
    )


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


def is_signed(asked: Asked, key: str) -> bool:
    """Verify as the specification says: an HMAC over id, time and body, one of those in the header."""
    signed = f"{asked.header('webhook-id')}.{asked.header('webhook-timestamp')}.".encode() + asked.body
    digest = hmac.new(base64.b64decode(key.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    given = asked.header("webhook-signature").split(" ")
    return any(hmac.compare_digest(f"v1,{base64.b64encode(digest).decode()}", each) for each in given)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


@pytest.fixture
def adapter() -> WebhookAdapter:
    return adapter_for()


def to(peer: Peer, path: str = "/", **fields: Any) -> OutboundMessage:
    return make_message(Channel.WEBHOOK, peer.url(path), **fields)


class TestContract(AdapterContract):
    name = "webhook"

    @pytest.fixture(autouse=True)
    def serve(self, peer) -> None:
        self.peer = peer

    def message(self, adapter: ChannelAdapter, behaviour: Behaviour = Behaviour.ACCEPT) -> OutboundMessage:
        return to(self.peer, self.address(behaviour))

    @pytest.fixture
    def hasty(self) -> ChannelAdapter:
        return adapter_for(timeout=2.0)

    @pytest.fixture
    def adapter(self) -> ChannelAdapter:
        return adapter_for()


# What is posted


def test_a_message_is_posted_whole(adapter, peer):
    message = to(
        peer,
        "/hook?for=me",
        id=UUID("019377a0-0000-7000-8000-000000000001"),
        name="Somebody",
        subject="Grüße",
        html="<p>Hello</p>",
        text="Hello",
        metadata={"order": 7, "tags": ["a"]},
    )
    assert isinstance(outcome(adapter, message), Accepted)
    (asked,) = peer.requests
    assert (asked.method, asked.target) == ("POST", "/hook?for=me")
    assert asked.header("content-type") == "application/json"
    assert asked.header("user-agent") == "Dispatch"
    assert json.loads(asked.body) == {
        "type": "message",
        "timestamp": "2024-11-29T11:13:14.752Z",
        "data": {
            "id": str(message.id),
            "name": "Somebody",
            "subject": "Grüße",
            "body": "<p>Hello</p>",
            "text": "Hello",
            "metadata": {"order": 7, "tags": ["a"]},
        },
    }


def test_what_a_message_lacks_is_null(adapter, peer):
    outcome(adapter, to(peer, subject=""))
    data = json.loads(peer.requests[0].body)["data"]
    assert (data["name"], data["subject"], data["body"], data["metadata"]) == (None, None, None, {})


def test_a_document_is_posted_to_the_letter_with_its_own_headers(adapter, peer):
    document = '{"event":"message.sent", "at":1.0}'
    outcome(adapter, to(peer, document=document, headers={"X-Webhook-Event": "message.sent", "webhook-id": "mine"}))
    (asked,) = peer.requests
    assert asked.body.decode() == document
    assert asked.header("x-webhook-event") == "message.sent"
    assert asked.header("webhook-id") != "mine"
    assert is_signed(asked, secret())


# How it is signed


def test_a_post_is_signed_by_the_published_scheme(adapter, peer):
    before = int(time.time())
    message = to(peer)
    outcome(adapter, message)
    (asked,) = peer.requests
    assert asked.header("webhook-id") == str(message.id)
    assert before <= int(asked.header("webhook-timestamp")) <= time.time()
    assert re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", asked.header("webhook-signature"))
    assert is_signed(asked, secret())
    assert not is_signed(asked, secret("x"))


def test_while_a_secret_is_replaced_both_sign(peer):
    outcome(adapter_for(secrets=[secret("n"), secret("o")]), to(peer))
    (asked,) = peer.requests
    assert len(asked.header("webhook-signature").split(" ")) == 2
    assert is_signed(asked, secret("n"))
    assert is_signed(asked, secret("o"))


def test_a_recipients_own_secrets_take_the_place_of_the_common_ones(adapter, peer):
    outcome(adapter, to(peer, credentials={"secrets": f"{secret('a')} {secret('b')}"}))
    (asked,) = peer.requests
    assert is_signed(asked, secret("a"))
    assert is_signed(asked, secret("b"))
    assert not is_signed(asked, secret())


def test_a_repeat_bears_the_same_id_and_says_the_same(adapter, peer):
    message = to(peer, id=UUID("019377a0-0000-7000-8000-000000000001"))
    assert adapter.on_unknown is OnUnknown.REPEAT
    answers(adapter, [message])
    answers(adapter, [message])
    first, second = peer.requests
    assert first.header("webhook-id") == second.header("webhook-id")
    assert first.body == second.body


def test_nothing_is_posted_without_a_secret(peer):
    found = outcome(adapter_for(secrets=[]), to(peer))
    assert isinstance(found, NotConfigured)
    assert found.code == "signing_secret_missing"
    assert peer.requests == []


@pytest.mark.parametrize("wrong", ["whsec_-", "whsec_!!!", "whsec_c2hvcnQ=", "Geheimnis", secret(size=65), "whsec_ü"])
def test_a_secret_that_is_none_is_refused_and_not_repeated(adapter, peer, wrong):
    with pytest.raises(ProviderMissing) as caught:
        adapter_for(secrets=[wrong])
    assert wrong not in str(caught.value)
    found = outcome(adapter, to(peer, credentials={"secrets": wrong}))
    assert isinstance(found, Permanent)
    assert found.code == "provider_not_configured"
    assert wrong not in found.detail
    assert peer.requests == []


def test_secrets_show_in_no_representation(peer):
    message = to(peer, credentials={"secrets": secret()}, document='{"private":1}')
    assert secret() not in repr(message)
    assert "private" not in repr(message)


# What the answer means


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("200", Accepted),
        ("201", Accepted),
        ("204", Accepted),
        ("299", Accepted),
        ("300", ("redirected", Permanent)),
        ("301", ("redirected", Permanent)),
        ("302?location=http://127.0.0.1:1/", ("redirected", Permanent)),
        ("304", ("redirected", Permanent)),
        ("307", ("redirected", Permanent)),
        ("308", ("redirected", Permanent)),
        ("400", ("http_400", Permanent)),
        ("401", ("http_401", Permanent)),
        ("403", ("http_403", Permanent)),
        ("404", ("not_found", Permanent)),
        ("405", ("http_405", Permanent)),
        ("408", ("http_408", Transient)),
        ("409", ("http_409", Permanent)),
        ("410", ("gone", Permanent)),
        ("413", ("document_too_large", Permanent)),
        ("421", ("misdirected", Permanent)),
        ("422", ("http_422", Permanent)),
        ("425", ("http_425", Transient)),
        ("429", ("throttled", Throttled)),
        ("499", ("http_499", Permanent)),
        ("500", ("http_500", Transient)),
        ("502", ("http_502", Transient)),
        ("503", ("http_503", Transient)),
        ("504", ("http_504", Transient)),
        ("599", ("http_599", Transient)),
        ("101", ("outcome_unknown", Ambiguous)),
    ],
)
def test_a_status_decides(adapter, peer, answer, expected):
    found = outcome(adapter, to(peer, f"/status-{answer}"))
    kind = (found.code, type(found)) if not isinstance(found, Accepted) else Accepted
    assert kind == expected


def test_an_acceptance_keeps_the_answer_and_is_the_delivery_too(adapter, peer):
    message = to(peer, attempt=2)
    found = outcome(adapter, message)
    assert isinstance(found, Accepted)
    assert found.detail == {"status": 200, "body": "taken", "truncated": False}
    assert found.provider_message_id == str(message.id)
    (receipt,) = found.receipts
    assert (receipt.kind, receipt.message_id, receipt.after) == (ReceiptKind.DELIVERED, message.id, 0.0)
    assert receipt.key == f"{message.id}:2:delivered"


@pytest.mark.parametrize("trick", ["huge", "endless-body"])
def test_of_a_long_answer_a_beginning_is_kept(adapter, peer, trick):
    found = outcome(adapter, to(peer, f"/{trick}"))
    assert isinstance(found, Accepted)
    assert found.detail["body"] == "x" * 500
    assert found.detail["truncated"] is True


def test_the_receivers_words_are_kept_without_their_escape_codes(adapter, peer):
    found = outcome(adapter, to(peer, "/escape"))
    assert isinstance(found, Permanent)
    assert found.detail == "400 red and bells"


@pytest.mark.parametrize(
    ("asked", "wait"), [("7", 7.0), ("0", 1.0), ("-1", 30.0), ("NaN", 30.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 1.0)]
)
def test_a_throttle_names_its_wait_or_has_ours(adapter, asked, wait):
    with running(lambda _: Reply(status=429, headers={"retry-after": asked})) as peer:
        found = outcome(adapter, to(peer))
    assert isinstance(found, Throttled)
    assert found.wait == wait


def test_a_failure_for_now_names_its_wait(adapter, peer):
    found = outcome(adapter, to(peer, "/status-503?retry-after=120"))
    assert isinstance(found, Transient)
    assert found.retry_after == 120.0
    found = outcome(adapter, to(peer, "/status-503"))
    assert isinstance(found, Transient)
    assert found.retry_after is None


def test_a_receiver_that_is_not_there_is_tried_again(adapter, peer):
    with running() as gone:
        address = gone.url("/")
    found = outcome(adapter, make_message(Channel.WEBHOOK, address))
    assert isinstance(found, Transient)
    assert found.code == "connection_failed"


# Where it may not go


@pytest.mark.parametrize("url", [*(url for url, _ in FORMS), *NEVER], ids=ascii)
def test_a_url_that_leads_inward_is_refused_for_good(url):
    found = outcome(adapter_for(allow=[]), make_message(Channel.WEBHOOK, url))
    assert isinstance(found, Permanent)
    assert found.code == "url_refused"


# Settings


def test_webhooks_are_one_channel_and_ask_for_sound_settings():
    with pytest.raises(ProviderMissing, match="not push"):
        WebhookAdapter.from_options(Channel.PUSH, {})
    with pytest.raises(ProviderMissing, match="EGRESS_ALLOW"):
        adapter_for(allow=["http://inside/"])


def test_a_header_that_cannot_be_carried_is_refused(adapter, peer):
    found = outcome(adapter, to(peer, headers={"x-a": "a\r\nx-b: 1"}))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert peer.requests == []
