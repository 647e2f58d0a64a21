"""The web push adapter against a push service of our own, which verifies and decrypts what it is given."""

from __future__ import annotations

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from json import loads
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import structs

from channels_app.adapters.push import PAYLOAD_LIMIT, TTL, PushAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Device,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from tests.channels_app.contract import AdapterContract, Behaviour, answers, make_message
from tests.peers import http, push
from tests.peers.http import Peer
from tests.peers.push import Browser, PushService
from tests.peers.smtp import self_signed

SUBJECT = "mailto:operator@example.com"


def new_key() -> str:
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


KEY = new_key()


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def both(tls) -> Iterator[tuple[Peer, PushService]]:
    with push.running(tls) as running:
        yield running


@pytest.fixture
def peer(both) -> Peer:
    return both[0]


@pytest.fixture
def service(both) -> PushService:
    return both[1]


def adapter_for(peer: Peer, **options: Any) -> PushAdapter:
    given = {"key": KEY, "subject": SUBJECT, "ca_file": str(peer.certificate), "allow": ["127.0.0.1"]}
    return PushAdapter.from_options(Channel.PUSH, {**given, **options})


@pytest.fixture
def adapter(peer) -> PushAdapter:
    return adapter_for(peer)


def device(peer: Peer, path: str, browser: Browser | None = None) -> Device:
    known = browser or Browser()
    return Device(id=uuid4(), endpoint=peer.url(path), p256dh=known.p256dh, auth=known.auth)


def subscribed(peer: Peer, service: PushService, path: str = "/push/ann") -> Device:
    return device(peer, path, service.subscribe(path))


def to(*devices: Device, **fields: Any) -> OutboundMessage:
    return make_message(Channel.PUSH, "ann", devices=devices, **fields)


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


class TestContract(AdapterContract):
    name = "webpush"

    @pytest.fixture(autouse=True)
    def known(self, peer, service) -> None:
        self.peer, self.service = peer, service

    @pytest.fixture
    def adapter(self, peer) -> ChannelAdapter:
        return adapter_for(peer)

    @pytest.fixture
    def hasty(self, peer) -> ChannelAdapter:
        return adapter_for(peer, timeout=2.0)

    def message(self, adapter: ChannelAdapter, behaviour: Behaviour = Behaviour.ACCEPT) -> OutboundMessage:
        path = self.address(behaviour)
        return to(device(self.peer, path, self.service.subscribe(path)))


# What a device is given


def test_a_device_is_shown_the_message(adapter, peer, service):
    message = to(subscribed(peer, service), subject="Grüße", text="Bob answered you.", data={"thread": 7})
    found = outcome(adapter, message)
    assert isinstance(found, Accepted)
    assert found.provider_message_id == f"{service.origin}/message/1"
    assert found.detail == {"devices": 1, "reached": 1}
    shown = {"id": str(message.id), "title": "Grüße", "body": "Bob answered you.", "data": {"thread": 7}}
    assert service.shown == [("/push/ann", shown)]


def test_two_messages_of_one_content_are_encrypted_apart(adapter, peer, service):
    ann = subscribed(peer, service)
    message = to(ann)
    outcome(adapter, message)
    outcome(adapter, message)
    bodies = {asked.body for asked in peer.requests}
    assert len(bodies) == 2
    assert service.shown[0] == service.shown[1]


def test_each_push_service_gets_a_signature_of_its_own(tls, adapter, peer, service):
    with push.running(tls) as (other_peer, other):
        devices = subscribed(peer, service), subscribed(other_peer, other), subscribed(peer, service)
        found = outcome(adapter, to(*devices))
        assert isinstance(found, Accepted)
        assert found.detail == {"devices": 3, "reached": 3}
        assert len({asked.header("authorization") for asked in peer.requests}) == 1
        assert peer.requests[0].header("authorization") != other_peer.requests[0].header("authorization")


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://push.example/abc", "https://push.example"),
        ("https://push.example:443/abc", "https://push.example"),
        ("https://PUSH.example:8443/abc?x=1", "https://push.example:8443"),
    ],
)
def test_a_signature_names_the_origin_as_browsers_write_it(adapter, endpoint, origin):
    token = adapter._vapid.headers(endpoint)["Authorization"].partition("t=")[2].partition(",")[0]
    claims = token.split(".")[1]
    assert loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"] == origin


@pytest.mark.parametrize(("priority", "urgency"), [("urgent", "high"), ("normal", "normal"), ("bulk", "low")])
def test_the_lane_is_the_urgency(adapter, peer, service, priority, urgency):
    outcome(adapter, to(subscribed(peer, service), priority=priority))
    assert service.headers[0]["urgency"] == urgency


def test_a_push_service_keeps_the_message_as_long_as_it_is_of_use(adapter, peer, service):
    ann = subscribed(peer, service)
    now = datetime.now(UTC)
    for expires_at in (None, now + timedelta(hours=1), now + timedelta(days=365), now - timedelta(seconds=5)):
        outcome(adapter, to(ann, expires_at=expires_at))
    forever, hour, capped, past = (int(headers["ttl"]) for headers in service.headers)
    assert (forever, capped, past) == (TTL, TTL, 0)
    assert 3_500 < hour <= 3_600


def test_all_tries_of_a_message_have_one_topic(adapter, peer, service):
    ann = subscribed(peer, service)
    message = to(ann)
    outcome(adapter, message)
    outcome(adapter, structs.replace(message, attempt=2))
    assert {headers["topic"] for headers in service.headers} == {message.id.hex}
    assert adapter.on_unknown is OnUnknown.REPEAT


@pytest.mark.parametrize(
    ("topic", "kept"), [("scores", True), ("x" * 32, True), ("x" * 33, False), ("ü", False), ("a b", False), (7, False)]
)
def test_a_topic_of_the_callers_replaces_what_waits_under_it(adapter, peer, service, topic, kept):
    message = to(subscribed(peer, service), metadata={"topic": topic})
    outcome(adapter, message)
    assert service.headers[0]["topic"] == (topic if kept else message.id.hex)


def test_a_message_of_just_the_limit_is_taken_and_one_byte_more_is_not(adapter, peer, service):
    ann = subscribed(peer, service)
    outcome(adapter, to(ann, subject="", text=""))
    room = PAYLOAD_LIMIT - len(b'{"id":"%s","title":"","body":"","data":{}}' % str(UUID(int=0)).encode())
    assert isinstance(outcome(adapter, to(ann, subject="", text="x" * room)), Accepted)
    assert len(peer.requests[-1].body) == 4_096
    found = outcome(adapter, to(ann, subject="", text="x" * (room + 1)))
    assert isinstance(found, Permanent)
    assert found.code == "payload_too_large"
    assert len(peer.requests) == 2


# What the answer means


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/push/nobody", Permanent, "subscription_gone"),
        ("/status-404", Permanent, "subscription_gone"),
        ("/status-410", Permanent, "subscription_gone"),
        ("/status-413", Permanent, "http_413"),
        ("/status-400", Permanent, "http_400"),
        ("/status-302?location=https://127.0.0.1/", Permanent, "http_302"),
        ("/status-401", NotConfigured, "provider_refused_credentials"),
        ("/status-403", NotConfigured, "provider_refused_credentials"),
        ("/status-408", Transient, "http_408"),
        ("/status-500", Transient, "http_500"),
        ("/status-429", Throttled, "http_429"),
    ],
)
def test_what_a_push_service_says_decides(adapter, peer, path, kind, code):
    found = outcome(adapter, to(device(peer, path)))
    assert (type(found), getattr(found, "code", "")) == (kind, code), found


@pytest.mark.parametrize(("path", "wait"), [("/status-429?retry-after=7", 7.0), ("/status-429", 10.0)])
def test_a_throttle_waits_as_long_as_it_is_asked_to(adapter, peer, path, wait):
    found = outcome(adapter, to(device(peer, path)))
    assert isinstance(found, Throttled)
    assert found.wait == wait


def test_the_wish_of_a_server_in_trouble_is_kept(adapter, peer):
    found = outcome(adapter, to(device(peer, "/status-503?retry-after=60")))
    assert isinstance(found, Transient)
    assert found.retry_after == 60.0


def test_what_was_encrypted_for_another_device_is_refused_by_a_strict_service(adapter, peer, service):
    wrong = replace(subscribed(peer, service), p256dh=Browser().p256dh)
    found = outcome(adapter, to(wrong))
    assert isinstance(found, Permanent)
    assert found.code == "http_400"


# Several devices


def test_a_message_that_reaches_one_device_is_sent_and_dead_ones_are_named(adapter, peer, service):
    dead = device(peer, "/push/old")
    found = outcome(adapter, to(dead, subscribed(peer, service), device(peer, "/status-503")))
    assert isinstance(found, Accepted)
    assert found.detail == {"devices": 3, "reached": 1}
    assert found.gone == (dead.id,)


def test_where_all_are_dead_the_message_ends_and_names_them(adapter, peer):
    dead = device(peer, "/push/old"), device(peer, "/status-404")
    found = outcome(adapter, to(*dead))
    assert isinstance(found, Permanent)
    assert found.code == "subscription_gone"
    assert found.gone == tuple(each.id for each in dead)


@pytest.mark.parametrize(
    ("paths", "kind"),
    [
        (["/push/old", "/status-503"], Transient),
        (["/status-503", "/cut"], Ambiguous),
        (["/status-403", "/status-429"], Throttled),
        (["/status-429", "/status-503"], Transient),
        (["/status-403", "/push/old"], NotConfigured),
    ],
)
def test_while_one_device_may_still_be_reached_the_message_goes_on(adapter, peer, paths, kind):
    assert type(outcome(adapter, to(*(device(peer, path) for path in paths)))) is kind


def test_a_push_service_that_stalls_leaves_time_for_the_others(peer, service):
    found = outcome(adapter_for(peer, timeout=2.0), to(device(peer, "/stall"), subscribed(peer, service)))
    assert isinstance(found, Accepted)
    assert found.detail == {"devices": 2, "reached": 1}


def test_a_recipient_without_devices_is_not_reached(adapter, peer):
    found = outcome(adapter, to())
    assert isinstance(found, Permanent)
    assert found.code == "no_subscription"


@pytest.mark.parametrize(
    "fields", [{"p256dh": "AAAA"}, {"p256dh": "!"}, {"p256dh": ""}, {"auth": ""}, {"auth": "!"}, {"p256dh": "A" * 87}]
)
def test_keys_that_are_none_end_that_device_alone(adapter, peer, service, fields):
    broken = replace(subscribed(peer, service), **fields)
    found = outcome(adapter, to(broken, subscribed(peer, service)))
    assert isinstance(found, Accepted)
    assert found.gone == (broken.id,)


# Where it may go


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/push",
        "https://localhost/push",
        "https://169.254.169.254/latest",
        "https://10.0.0.1:8443/push",
        "https://0x7f000001/push",
        "https://push.example:22/push",
        "https://user@push.example/push",
    ],
)
def test_an_endpoint_that_leads_inward_is_not_asked(peer, endpoint):
    inward = replace(device(peer, "/"), endpoint=endpoint)
    found = outcome(adapter_for(peer, allow=[]), to(inward))
    assert isinstance(found, Permanent)
    assert found.code == "url_refused"
    assert found.gone == ()
    assert peer.requests == []


@pytest.mark.parametrize("endpoint", ["https://[::1]/push", "https://[2001:db8::1]/push", "https://push.example:x/"])
def test_an_endpoint_that_nothing_can_be_signed_for_is_that_of_no_device(adapter, peer, endpoint):
    strange = replace(device(peer, "/"), endpoint=endpoint)
    found = outcome(adapter, to(strange))
    assert isinstance(found, Permanent)
    assert (found.code, found.gone) == ("subscription_malformed", (strange.id,))


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(peer, service):
    found = outcome(adapter_for(peer, ca_file=""), to(subscribed(peer, service)))
    assert isinstance(found, Transient)
    assert found.code == "tls_certificate_refused"


def test_a_service_that_is_not_there_is_tried_again(tls):
    with http.running(tls=tls) as gone:
        pass
    found = outcome(adapter_for(gone), to(device(gone, "/push/ann")))
    assert isinstance(found, Transient)
    assert found.code == "connection_failed"


@pytest.mark.parametrize("path", ["/push/ann", "/status-410", "/stall", "/garbage"])
def test_neither_endpoint_nor_words_are_repeated_in_a_log(peer, service, caplog, path):
    with caplog.at_level(logging.DEBUG):
        outcome(adapter_for(peer, timeout=1.0), to(device(peer, path), text="a secret"))
    assert KEY not in caplog.text
    assert "a secret" not in caplog.text
    assert path not in caplog.text


# Settings


@pytest.mark.parametrize(
    "options",
    [
        {"key": ""},
        {"key": "short"},
        {"key": "!" * 43},
        {"subject": ""},
        {"subject": "operator@example.com"},
        {"allow": ["not/a/network"]},
    ],
)
def test_wrong_settings_are_refused_and_not_repeated(peer, options):
    with pytest.raises(ProviderMissing) as caught:
        adapter_for(peer, **options)
    assert KEY not in str(caught.value)


def test_web_push_is_one_channel():
    with pytest.raises(ProviderMissing, match="not sms"):
        PushAdapter.from_options(Channel.SMS, {"key": KEY, "subject": SUBJECT})
