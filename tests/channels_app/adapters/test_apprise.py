"""Destinations that Apprise reaches, by its json:// service against a server of our own."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from channels_app import addresses
from channels_app.adapters import apprise_ways
from channels_app.adapters.apprise import AppriseAdapter
from channels_app.adapters.webhook import WebhookAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import InvalidAddress, ProviderMissing
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    NotConfigured,
    OnUnknown,
    OutboundMessage,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from tests.channels_app.contract import ROWS, AdapterContract, Behaviour, answers, make_message
from tests.peers import smtp
from tests.peers.http import Peer, running
from tests.peers.smtp import self_signed


def adapter_for(peer: Peer, *paths: str, **options: Any) -> AppriseAdapter:
    """Make an adapter to whose destinations the paths give their names."""
    destinations = {path: f"json://127.0.0.1:{peer.port}{path}" for path in paths}
    return AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": destinations, **options})


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


def to(name: str = "/", **fields: Any) -> OutboundMessage:
    return make_message(Channel.WEBHOOK, name, **fields)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


class TestContract(AdapterContract):
    name = "apprise"

    @pytest.fixture
    def adapter(self, peer) -> ChannelAdapter:
        return adapter_for(peer, *(path for path in ROWS[self.name].values() if isinstance(path, str)))

    @pytest.fixture
    def hasty(self, peer) -> ChannelAdapter:
        paths = (path for path in ROWS[self.name].values() if isinstance(path, str))
        return adapter_for(peer, *paths, timeout=2.0)

    def message(self, adapter: ChannelAdapter, behaviour: Behaviour = Behaviour.ACCEPT) -> OutboundMessage:
        return to(self.address(behaviour))


def test_subject_and_text_become_title_and_message(peer):
    assert outcome(adapter_for(peer, "/"), to(subject="Disk", text="90 % & <more>", html="<b>90 %</b>")) == Accepted()
    told = json.loads(peer.requests[0].body)
    assert (told["title"], told["message"]) == ("Disk", "90 % & <more>")


def test_a_body_stands_in_for_a_text_that_is_missing(peer):
    outcome(adapter_for(peer, "/"), to(subject="", text="", html="<p>90&nbsp;%</p>"))
    assert "90" in json.loads(peer.requests[0].body)["message"]


def test_with_nothing_to_say_nobody_is_called(peer):
    found = outcome(adapter_for(peer, "/"), to(text=""))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert peer.requests == []


@pytest.mark.parametrize(
    ("path", "kind", "code"),
    [
        ("/status-302", Permanent, "http_302"),
        ("/status-400", Permanent, "http_400"),
        ("/status-401", NotConfigured, "provider_refused_credentials"),
        ("/status-404", NotConfigured, "provider_refused_credentials"),
        ("/status-408", Transient, "http_408"),
        ("/status-429", Throttled, "throttled"),
        ("/status-500", Transient, "http_500"),
        ("/cut", Ambiguous, "outcome_unknown"),
    ],
)
def test_what_apprise_tells_of_an_answer_decides(peer, path, kind, code):
    found = outcome(adapter_for(peer, path), to(path))
    assert (type(found), getattr(found, "code", "")) == (kind, code), found


@pytest.mark.parametrize("path", ["/huge", "/endless-body"])
def test_a_large_or_endless_answer_is_read_up_to_a_limit(peer, path, monkeypatch):
    monkeypatch.setattr(apprise_ways, "ANSWER_LIMIT", 4096)
    answers_read = seen(monkeypatch)

    assert outcome(adapter_for(peer, path, timeout=60.0), to(path)) == Accepted()
    assert [len(answer.content) for answer in answers_read] == [4096]


@pytest.mark.parametrize("path", ["/stall", "/drip", "/drip-body", "/endless"])
def test_no_request_goes_on_beyond_the_deadline(peer, path):
    """The server stalls until the end of the test: its thread ends all the same."""
    before = set(threading.enumerate())

    outcome(adapter_for(peer, path, timeout=1.0), to(path))

    for thread in set(threading.enumerate()) - before:
        if thread.name == "apprise":
            thread.join(60.0)
            assert not thread.is_alive()


@pytest.mark.parametrize("query", ["", "?redirect=yes"])
def test_a_redirect_is_followed_only_where_the_url_says_so_and_its_body_is_bounded(peer, monkeypatch, query):
    """The body of the redirect has no end."""
    url = f"json://127.0.0.1:{peer.port}/bomb{query}"
    monkeypatch.setattr(apprise_ways, "ANSWER_LIMIT", 4096)
    adapter = AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": {"ops": url}, "timeout": 60.0})

    found = outcome(adapter, to("ops"))

    # Where it leads there is no name.
    expected = Ambiguous if query else Permanent
    assert isinstance(found, expected), found
    assert getattr(found, "code", "") in {"http_302", "outcome_unknown"}
    assert len(peer.requests) == 1


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_a_certificate_is_checked_unless_the_url_says_not_to(tmp_path):
    with running(tls=self_signed(tmp_path)) as peer:
        for query, kind in (("", Transient), ("?verify=no", Accepted)):
            destinations = {"ops": f"jsons://localhost:{peer.port}/{query}"}
            adapter = AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": destinations})
            assert isinstance(outcome(adapter, to("ops")), kind)
        assert len(peer.requests) == 1


def seen(monkeypatch: pytest.MonkeyPatch) -> list[requests.Response]:
    """Collect what Apprise's services are answered."""
    found: list[requests.Response] = []
    send = apprise_ways._Requests.request

    def noting(self: Any, *arguments: Any, **options: Any) -> requests.Response:
        found.append(send(self, *arguments, **options))
        return found[-1]

    monkeypatch.setattr(apprise_ways._Requests, "request", noting)
    return found


def mail_to(port: int, *, to: str = "b", mode: str = "insecure", **options: Any) -> AppriseAdapter:
    """Make an adapter whose destination `ops` is somebody at a mail server here."""
    url = f"mailto://127.0.0.1:{port}?from=a@example.com&to={to}@example.com&mode={mode}&verify=no"
    return AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": {"ops": url}, **options})


@pytest.mark.parametrize(
    ("mode", "conduct"),
    [
        ("insecure", smtp.Conduct()),
        ("starttls", smtp.Conduct(starttls=True)),
        ("ssl", smtp.Conduct(tls=True)),
    ],
)
def test_a_mail_server_is_a_destination_too(mode, conduct):
    with smtp.running(conduct) as sink:
        assert outcome(mail_to(sink.port, mode=mode), to("ops", text="90 %")) == Accepted()
        assert sink.letters[0].secured is (mode != "insecure")


@pytest.mark.parametrize("trick", ["stall-3600", "drip", "endless", "chatter"])
def test_a_mail_server_that_does_not_come_to_an_end_is_left_by_the_deadline(trick):
    before = set(threading.enumerate())
    with smtp.running() as sink:
        found = outcome(mail_to(sink.port, to=trick, timeout=1.0), to("ops"))
        assert isinstance(found, Ambiguous | Transient)
        for thread in {thread for thread in threading.enumerate() if thread.name == "apprise"} - before:
            thread.join(60.0)
            assert not thread.is_alive()


def test_a_mail_server_that_talks_without_end_is_heard_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(apprise_ways, "ANSWER_LIMIT", 4096)
    with smtp.running() as sink:
        assert isinstance(outcome(mail_to(sink.port, to="chatter", timeout=60.0), to("ops")), Transient)


@pytest.mark.parametrize("scheme", ["json", "mailto"])
def test_a_destination_that_is_not_there_is_tried_again(scheme):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}?from=a@example.com&to=b@example.com&mode=insecure"
    adapter = AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": {"ops": url}})
    found = outcome(adapter, to("ops"))
    assert isinstance(found, Transient)
    assert found.code == "connection_failed"


def test_a_mail_server_that_lets_nobody_in_is_tried_again():
    with smtp.running(smtp.Conduct(greeting="421 too busy")) as sink:
        assert isinstance(outcome(mail_to(sink.port), to("ops")), Transient)


def test_every_service_that_speaks_http_is_bounded(peer):
    """Apprise loads all of them for the first destination."""
    adapter_for(peer, "/")
    loaded = [module for name, module in sys.modules.items() if name.startswith("apprise.plugins.")]
    speaking = [module for module in loaded if hasattr(module, "requests")]
    assert len(speaking) > 100
    assert {type(module.requests) for module in speaking} == {apprise_ways._Requests}
    assert [module.__name__ for module in loaded if isinstance(getattr(module, "Session", None), type)] == []


def test_the_words_of_apprise_are_kept(peer):
    found = outcome(adapter_for(peer, "/status-503"), to("/status-503"))
    assert isinstance(found, Transient)
    assert "error=503" in found.detail


def test_a_second_copy_is_better_than_none():
    assert AppriseAdapter.on_unknown is OnUnknown.REPEAT


def test_a_destination_that_no_setting_names_is_refused(peer):
    found = outcome(adapter_for(peer, "/"), to("/other"))
    assert isinstance(found, Permanent)
    assert found.code == "unknown_destination"


def test_names_are_for_apprise_and_urls_for_webhooks(peer):
    apprise, webhook = adapter_for(peer, "/"), WebhookAdapter.from_options(Channel.WEBHOOK, {})
    for address, named in (("/", True), ("https://example.com/hook", False)):
        assert apprise.takes(address) is named
        assert webhook.takes(address) is not named
    assert not apprise.takes("/other")


def test_a_webhook_may_go_to_a_name_that_is_set():
    try:
        addresses.name_destinations(["ops", "on-call"])
        assert addresses.normalise(Channel.WEBHOOK, " ops ") == "ops"
        assert addresses.normalise(Channel.WEBHOOK, "https://example.com/") == "https://example.com/"
        for other in ("Ops", "nobody", "", "ops\n", "slack://token"):
            with pytest.raises(InvalidAddress):
                addresses.normalise(Channel.WEBHOOK, other)
    finally:
        addresses.name_destinations(())
    with pytest.raises(InvalidAddress):
        addresses.normalise(Channel.WEBHOOK, "ops")


@pytest.mark.parametrize("path", ["/", "/status-400", "/cut"])
def test_a_destinations_url_is_repeated_in_no_outcome_and_no_log(peer, caplog, path):
    url = f"json://user:a-secret@127.0.0.1:{peer.port}{path}"
    adapter = AppriseAdapter.from_options(Channel.WEBHOOK, {"destinations": {"ops": url}})
    with caplog.at_level(logging.DEBUG):
        found = outcome(adapter, to("ops", text="in confidence"))
    for secret in ("a-secret", "in confidence"):
        assert secret not in f"{found!r}{caplog.text}"


@pytest.mark.parametrize(
    "options",
    [{}, {"destinations": {}}, {"destinations": {"ops": "nothing://a-secret"}}, {"destinations": {"ops": ""}}],
)
def test_wrong_settings_are_refused_and_not_repeated(options):
    with pytest.raises(ProviderMissing) as caught:
        AppriseAdapter.from_options(Channel.WEBHOOK, options)
    assert "a-secret" not in str(caught.value)


def test_apprise_serves_webhooks_alone():
    with pytest.raises(ProviderMissing, match="not of sms"):
        AppriseAdapter.from_options(Channel.SMS, {"destinations": {"ops": "json://127.0.0.1"}})
