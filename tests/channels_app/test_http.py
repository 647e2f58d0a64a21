"""The guarded client, against a peer that shares no code with it."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from channels_app import silences, sockets
from channels_app.egress import Egress
from channels_app.errors import InvalidMessage, UrlRefused
from channels_app.http import BODY_LIMIT, MOST_WAIT, Answer, Client, Unanswered
from channels_app.types import Ambiguous, Throttled, Transient
from tests.channels_app.urls import FORMS, NEVER
from tests.peers.http import Asked, Manner, Peer, Reply, running
from tests.peers.smtp import self_signed

_NAMES = {url: f"{number}-{address}" for number, (url, address) in enumerate(FORMS)}
FORM = pytest.mark.parametrize(("url", "address"), FORMS, ids=list(_NAMES.values()))
INWARD = "http://inward.example/hook"

_connected: list[tuple[str, int]] = []


def _note_connections(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        _connected.append(arguments[1][:2])


sys.addaudithook(_note_connections)


@pytest.fixture
def connected() -> list[tuple[str, int]]:
    """Every address that a connection is tried to."""
    _connected.clear()
    return _connected


def found(address: str, port: int) -> sockets.Found:
    """Write an address as a resolver gives it."""
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


def leading_to(*addresses: str) -> sockets.Resolver:
    """Resolve every name to these addresses."""
    return lambda host, port: [found(address, port) for address in addresses]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with running() as peer:
        yield peer


@pytest.fixture
def make() -> Iterator[Callable[..., Client]]:
    """Make clients that are closed afterwards; by default they may go to this machine."""
    made: list[Client] = []

    def make(*allow: str, resolver: sockets.Resolver = sockets.resolve, **options: object) -> Client:
        egress = Egress.from_words(allow or ["127.0.0.0/8"])
        client = Client(egress=egress, resolver=resolver, **options)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def failure(client: Client, url: str, body: bytes = b"{}") -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        client.request("POST", url, body=body)
    return caught.value


# Where it does not go


@FORM
def test_a_form_that_leads_inward_is_refused_when_it_is_asked_for(make, connected, url, address):
    client = make("nothing.example")
    with pytest.raises(UrlRefused):
        client.request("POST", url, body=b"{}")
    assert connected == []


@FORM
def test_a_redirect_to_such_a_form_is_told_and_not_followed(make, connected, url, address):
    def answering(asked: Asked) -> Reply:
        return Reply(status=302, headers={"location": url}, body=b"elsewhere")

    with running(answering) as peer:
        client = make("redirecting.example", resolver=leading_to("127.0.0.1"))
        answer = client.request("POST", f"http://redirecting.example:{peer.port}/", body=b"{}")
        assert answer.status == 302
        assert connected == [("127.0.0.1", peer.port)]
        assert len(peer.requests) == 1


@FORM
@pytest.mark.parametrize("beside", [(), ("1.1.1.1",)], ids=["alone", "behind a public one"])
def test_a_name_that_resolves_to_such_an_address_is_refused(make, connected, url, address, beside):
    client = make("nothing.example", resolver=leading_to(*beside, address))
    with pytest.raises(UrlRefused):
        client.request("POST", INWARD, body=b"{}")
    assert connected == []


@FORM
def test_a_name_that_turns_inward_after_it_was_let_through_is_refused(make, connected, url, address):
    answers = iter([["127.0.0.77"], [address]])
    with running(
        lambda asked: Reply(headers={"connection": "close"}, manner=Manner.FAREWELL), host="127.0.0.77"
    ) as peer:
        client = make("127.0.0.77", resolver=lambda host, port: [found(each, port) for each in next(answers)])
        there = f"http://turning.example:{peer.port}/"
        assert client.request("POST", there).status == 200
        with pytest.raises(UrlRefused):
            client.request("POST", there)
        assert connected == [("127.0.0.77", peer.port)]


@pytest.mark.parametrize("url", NEVER)
def test_a_url_that_is_none_of_the_web_is_refused(make, connected, url):
    with pytest.raises(UrlRefused):
        make("nothing.example", resolver=leading_to("1.1.1.1")).request("POST", url, body=b"{}")
    assert connected == []


def test_a_name_is_looked_up_once_for_a_connection_and_that_address_is_used(make, connected, peer):
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[sockets.Found]:
        asked.append(host)
        return [found("127.0.0.1", port)]

    client = make(resolver=resolver)
    for _ in range(3):
        assert client.request("POST", f"http://hooks.example:{peer.port}/").status == 200
    assert asked == ["hooks.example"]
    assert connected == [("127.0.0.1", peer.port)]


def test_without_a_guard_it_goes_where_it_is_told(peer):
    client = Client(egress=None)
    assert client.request("POST", peer.url("/")).status == 200
    client.close()


# What it sends


def test_a_request_arrives_as_it_was_made_and_with_nothing_else(make, peer):
    answer = make().request(
        "POST", peer.url("/hook?a=1"), body=b'{"a":1}', headers={"Content-Type": "application/json"}
    )
    assert answer == Answer(status=200, headers={"content-type": "text/plain", "content-length": "5"}, body=b"taken")
    asked = peer.requests[-1]
    assert (asked.method, asked.target, asked.body) == ("POST", "/hook?a=1", b'{"a":1}')
    assert {name.lower(): value for name, value in asked.headers} == {
        "host": f"127.0.0.1:{peer.port}",
        "user-agent": "Dispatch",
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "content-type": "application/json",
        "content-length": "7",
    }


def test_a_connection_is_used_again_and_one_that_was_closed_is_not(make):
    with running() as peer:
        client = make()
        for _ in range(3):
            client.request("POST", peer.url("/"))
        assert peer.connections == 1
        for _ in range(3):
            client.request("POST", peer.url("/farewell"))
            peer.ended.acquire()
        assert peer.connections == 3
        assert len(peer.requests) == 6


def test_threads_share_a_client(make):
    with running() as peer:
        client = make(connections=4)
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(client.request("POST", peer.url("/")).status))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 12


def test_cookies_of_an_answer_are_not_sent_along_with_the_next_request(make):
    with running(lambda asked: Reply(headers={"set-cookie": "who=me; Path=/"})) as peer:
        client = make()
        client.request("POST", peer.url("/"))
        client.request("POST", peer.url("/"))
        assert peer.requests[1].header("cookie") == ""


def test_the_environment_changes_nothing(make, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    with running() as peer, running() as proxy:
        monkeypatch.setenv("NETRC", str(netrc))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        make().request("POST", peer.url("/"))
        assert proxy.connections == 0
        assert peer.requests[0].header("authorization") == ""


@pytest.mark.parametrize("value", ["a\r\nx-injected: 1", "a\nb", " a", "\u20ac"])
def test_a_header_that_cannot_be_carried_is_refused(make, peer, value):
    with pytest.raises(InvalidMessage) as caught:
        make().request("POST", peer.url("/"), headers={"x-a": value})
    assert caught.value.field == "headers"


def test_a_header_may_not_be_named_like_two(make, peer):
    with pytest.raises(InvalidMessage):
        make().request("POST", peer.url("/"), headers={"x-a\r\nx-b": "1"})


# What comes back


@pytest.mark.parametrize("status", [200, 204, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
def test_every_status_is_an_answer(make, peer, status):
    answer = make().request("POST", peer.url(f"/status-{status}?retry-after=7"))
    assert (answer.status, answer.retry_after()) == (status, 7.0)


def test_what_is_said_before_an_answer_is_not_the_answer(make):
    with running() as peer:
        client = make()
        for _ in range(2):
            answer = client.request("POST", peer.url("/interim"))
            assert (answer.status, answer.body) == (200, b"taken")
        assert peer.connections == 1


@pytest.mark.parametrize("trick", ["huge", "endless-body", "bomb"])
def test_a_large_or_endless_body_is_cut_at_the_limit(make, peer, trick):
    answer = make().request("POST", peer.url(f"/{trick}"))
    assert (len(answer.body), answer.truncated) == (BODY_LIMIT, True)


def test_a_body_of_just_the_limit_is_whole(make):
    with running(lambda asked: Reply(body=b"x" * BODY_LIMIT)) as peer:
        client = make()
        for _ in range(2):
            answer = client.request("POST", peer.url("/"))
            assert (len(answer.body), answer.truncated) == (BODY_LIMIT, False)
        assert peer.connections == 1


def test_a_body_is_not_unpacked(make):
    packed = b"\x1f\x8b" + bytes(100)
    with running(lambda asked: Reply(headers={"content-encoding": "gzip"}, body=packed)) as peer:
        assert make().request("POST", peer.url("/")).body == packed


def test_the_status_stands_when_the_body_is_cut(make, peer):
    answer = make().request("POST", peer.url("/cut-body"))
    assert (answer.status, answer.truncated) == (200, True)


def test_the_status_stands_when_the_body_drips_past_the_deadline(make, peer):
    answer = make(deadline=1.0).request("POST", peer.url("/drip-body"))
    assert (answer.status, answer.truncated) == (200, True)
    assert answer.body.strip(b"x") == b""


@pytest.mark.parametrize(
    ("trick", "code"),
    [
        ("stall", "timeout"),
        ("drip", "timeout"),
        ("cut", "connection_lost"),
        ("garbage", "protocol_error"),
        ("endless", "protocol_error"),
        ("switch", "protocol_error"),
        ("hints", "protocol_error"),
    ],
)
def test_no_answer_after_the_request_left_is_a_doubt(make, peer, trick, code):
    error = failure(make(deadline=1.0), peer.url(f"/{trick}"))
    assert (error.code, error.may_have_left) == (code, True)
    assert isinstance(error.outcome(), Ambiguous)


def test_a_client_goes_on_after_each_of_them(make, peer):
    client = make(deadline=1.0)
    for trick in ("stall", "cut", "garbage", "endless", "endless-body", "drip-body"):
        with pytest.raises(Unanswered) if trick in ("stall", "cut", "garbage", "endless") else nullcontext():
            client.request("POST", peer.url(f"/{trick}"))
        assert client.request("POST", peer.url("/")).status == 200


def test_a_server_that_stopped_answering_rests_and_no_other_does(make):
    with running() as peer, running() as other:
        client = make(rests=True, deadline=1.0)
        with ThreadPoolExecutor(silences.IN_A_ROW) as pool:
            for error in pool.map(lambda url: failure(client, url), [peer.url("/stall")] * silences.IN_A_ROW):
                assert isinstance(error.outcome(), Ambiguous)
        found = failure(client, peer.url("/")).outcome()
        assert isinstance(found, Throttled)
        assert found.alone
        assert 0 < found.wait <= silences.REST
        assert len(peer.requests) == silences.IN_A_ROW
        assert client.request("POST", other.url("/")).status == 200


def test_after_its_rest_one_request_finds_out_for_all(monkeypatch):
    known = silences.Silences()
    monkeypatch.setattr(silences, "REST", 0.0)
    for _ in range(silences.IN_A_ROW):
        known.note("hooks.example", silent=True)
    monkeypatch.undo()
    assert known.wait("hooks.example") == 0.0
    assert known.wait("hooks.example") > 0
    known.note("hooks.example", silent=False)
    assert known.wait("hooks.example") == 0.0


def test_a_request_that_was_cut_while_it_left_is_no_doubt(make, peer):
    error = failure(make(), peer.url("/refuse-early"), body=bytes(32 * 1024 * 1024))
    assert not error.may_have_left
    assert isinstance(error.outcome(), Transient)


def test_a_server_that_is_not_there_is_no_doubt(make):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = failure(make(), f"http://127.0.0.1:{port}/")
    assert (error.code, error.may_have_left) == ("connection_failed", False)


def test_the_next_address_is_tried_where_the_first_is_not_there(make, connected, peer):
    client = make(resolver=leading_to("127.0.0.99", "127.0.0.1"))
    assert client.request("POST", f"http://two.example:{peer.port}/").status == 200
    assert connected == [("127.0.0.99", peer.port), ("127.0.0.1", peer.port)]


def test_a_name_without_an_address_is_no_doubt(make):
    error = failure(make(resolver=leading_to()), "http://none.example/")
    assert (error.code, error.may_have_left) == ("connection_failed", False)


def test_a_name_that_cannot_be_resolved_is_no_doubt(make):
    def resolver(host: str, port: int) -> list[sockets.Found]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = failure(make(resolver=resolver), "http://unknown.example/")
    assert (error.code, error.detail, error.may_have_left) == ("lookup_failed", "Name or service not known", False)


def test_a_look_up_that_hangs_ends_with_the_deadline(make):
    release = threading.Event()

    def resolver(host: str, port: int) -> list[sockets.Found]:
        release.wait()
        return []

    error = failure(make(deadline=0.2, resolver=resolver), "http://hanging.example/")
    release.set()
    assert (error.code, error.may_have_left) == ("lookup_timeout", False)


@pytest.mark.parametrize("trick", ["stall", "cut", "garbage", "endless"])
def test_no_error_repeats_the_url(make, peer, trick):
    error = failure(make(deadline=1.0), peer.url(f"/{trick}?token=secret"))
    assert "secret" not in "".join(traceback.format_exception(error))


def test_no_log_repeats_the_url(make, caplog):
    broken = Reply(headers={"x-a: 1\r\nno colon here\r\nx-b": "2"}, manner=Manner.FAREWELL)
    with caplog.at_level(logging.DEBUG), running(lambda asked: broken) as peer:
        make().request("POST", peer.url("/?token=secret"))
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", ["http://[secret/", "secret://secret/", "http://secret@example.com/"])
def test_no_refusal_repeats_the_url(make, url):
    with pytest.raises(UrlRefused) as caught:
        make().request("POST", url)
    assert "secret" not in str(caught.value)


# TLS


def test_a_certificate_is_checked_against_the_authorities_and_the_name(make, tmp_path: Path):
    (tmp_path / "other").mkdir()
    ours = self_signed(tmp_path)
    other = self_signed(tmp_path / "other", name="other.example")
    with running(tls=ours) as peer:
        trusting = make(ca_file=str(ours[0]))
        for _ in range(3):
            assert trusting.request("POST", peer.url("/")).status == 200
        assert peer.connections == 1
        error = failure(make(), peer.url("/"))
        assert (error.code, error.may_have_left) == ("tls_certificate_refused", False)
    with running(tls=other) as peer:
        error = failure(make(ca_file=str(other[0])), peer.url("/"))
        assert error.code == "tls_certificate_refused"


@pytest.mark.parametrize("trick", ["stall", "drip"])
def test_the_deadline_holds_within_tls(make, tmp_path, trick):
    ours = self_signed(tmp_path)
    with running(tls=ours) as peer:
        error = failure(make(ca_file=str(ours[0]), deadline=2.0), peer.url(f"/{trick}"))
        assert (error.code, error.may_have_left) == ("timeout", True)


def test_a_greeting_that_never_comes_ends_with_the_deadline(make):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(make(deadline=0.5), f"https://127.0.0.1:{silent.getsockname()[1]}/")
    assert (error.code, error.may_have_left) == ("timeout", False)


def test_a_server_without_tls_is_no_doubt(make):
    def greet(listening: socket.socket) -> None:
        with listening.accept()[0] as line:
            line.sendall(b"220 this is no web server\r\n")
            line.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        greeter = threading.Thread(target=greet, args=(listening,))
        greeter.start()
        error = failure(make(), f"https://127.0.0.1:{listening.getsockname()[1]}/")
        greeter.join()
    assert (error.code, error.may_have_left) == ("tls_failed", False)


# How long to wait


def waits(asked: str) -> float | None:
    return Answer(status=429, headers={"retry-after": asked}, body=b"").retry_after()


@pytest.mark.parametrize(
    "asked",
    [
        *("", "soon", "-1", "NaN", "inf", "1e400", "1.5", "\u0663", "0x10"),
        "Thu, 01 Jan 2026 00:00:00 +99999999999999999999",
        "Thu, 32 Jan 2026 25:00:00 GMT",
    ],
)
def test_a_wait_that_makes_no_sense_is_none(asked):
    assert waits(asked) is None


@pytest.mark.parametrize("digits", [10, 400, 5000])
def test_a_wait_of_any_number_of_digits_is_a_long_one(digits):
    assert waits("9" * digits) == MOST_WAIT


def test_a_wait_is_told_in_seconds_or_by_a_date():
    assert waits(" 120 ") == 120.0
    assert waits("Thu, 01 Jan 1970 00:00:00 GMT") == 1.0
    assert waits("0") == 1.0
    soon = waits(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert soon is not None
    assert 0 < soon <= 3600


# Sockets


def test_a_socket_notices_a_peer_that_has_gone(peer):
    dialled = sockets.dial("127.0.0.1", peer.port, time.monotonic() + 30, socket.socket)
    with dialled:
        assert dialled.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 0
        assert dialled.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
