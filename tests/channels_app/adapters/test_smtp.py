"""The SMTP adapter against a sink of our own, and against an independent server."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller

from channels_app import spread
from channels_app.adapters.smtp import SmtpAdapter, relay_from_url
from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.types import (
    Accepted,
    Ambiguous,
    Attachment,
    Channel,
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    SharedContent,
    Throttled,
    Transient,
)
from tests.channels_app.contract import AdapterContract, answers, make_message, yes
from tests.peers.smtp import Conduct, Sink, running, self_signed


def adapter_for(port: int, *, scheme: str = "smtp", login: str = "", **query: object) -> SmtpAdapter:
    settings = "&".join(f"{name}={value}" for name, value in query.items())
    url = f"{scheme}://{login}localhost:{port}?{settings}"
    return SmtpAdapter.from_options(Channel.EMAIL, {"url": url, "default_from": "Dispatch <dispatch@example.com>"})


def to(local: str, **fields: Any) -> OutboundMessage:
    return make_message(address=f"{local}@example.com", **fields)


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running() as sink:
        yield sink


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def either_sink(request) -> Iterator[Sink]:
    with running(Conduct(pipelining=request.param)) as sink:
        yield sink


class TestContract(AdapterContract):
    name = "smtp"

    @pytest.fixture
    def adapter(self, either_sink) -> ChannelAdapter:
        return adapter_for(either_sink.port)

    @pytest.fixture
    def hasty(self, either_sink) -> ChannelAdapter:
        return adapter_for(either_sink.port, timeout=2)


# What becomes of a message


@pytest.mark.parametrize(
    ("trick", "kind", "code"),
    [
        ("rcpt-421", Transient, "smtp_421"),
        ("rcpt-450", Transient, "smtp_450"),
        ("rcpt-550", Permanent, "smtp_550"),
        ("rcpt-530", NotConfigured, "auth_needed"),
        ("eager-550", Permanent, "smtp_550"),
        ("data-451", Transient, "smtp_451"),
        ("data-554", Permanent, "smtp_554"),
        ("final-452", Transient, "smtp_452"),
        ("final-421", Transient, "smtp_421"),
        ("final-552", Permanent, "smtp_552"),
        ("cut-rcpt", Transient, "connection_lost"),
        ("cut-data", Transient, "connection_lost"),
        ("cut-after", Ambiguous, "outcome_unknown"),
        ("nonsense", Ambiguous, "outcome_unknown"),
        ("endless", Ambiguous, "outcome_unknown"),
        ("chatter", Ambiguous, "outcome_unknown"),
    ],
)
def test_a_refusal_or_cut_means_the_same_at_every_server_and_the_next_message_goes_out(either_sink, trick, kind, code):
    batch = [to("first"), to("before"), to(trick), to("after")]
    first, before, struck, after = answers(adapter_for(either_sink.port), batch)
    assert (type(first), type(before), type(struck)) == (Accepted, Accepted, kind), struck
    assert struck.code == code
    if kind is not NotConfigured:
        assert isinstance(after, Accepted)
        assert [letter.recipients[0] for letter in either_sink.letters if letter.answered] == [
            "first@example.com",
            "before@example.com",
            "after@example.com",
        ]
    if kind is Permanent:
        assert either_sink.connections == 1


def test_a_cut_while_the_body_leaves_is_a_doubt_only_if_the_final_dot_had_left(either_sink):
    large = SharedContent(
        key=uuid4(),
        sender="sender@example.com",
        attachments=(Attachment(filename="a", content=bytes(32 * 1024 * 1024), content_type="a/b"),),
    )
    assert isinstance(outcome(adapter_for(either_sink.port), to("cut-body", shared=large)), Transient)
    assert isinstance(outcome(adapter_for(either_sink.port), to("cut-body")), Ambiguous)


@pytest.mark.parametrize(("code", "kind"), [(451, Transient), (550, Permanent)])
def test_a_refused_sender_fails_its_own_messages_only(either_sink, code, kind):
    refused = SharedContent(key=uuid4(), sender=f"mail-{code}@example.com")
    first, second, third = answers(adapter_for(either_sink.port), [to("a"), to("b", shared=refused), to("c")])
    assert isinstance(first, Accepted)
    assert isinstance(second, kind)
    assert isinstance(third, Accepted)
    assert either_sink.connections == 1


def test_the_servers_words_are_kept_without_their_escape_codes(sink):
    struck = outcome(adapter_for(sink.port), to("escape"))
    assert struck == Permanent(code="smtp_550", detail="550 red and bells second line")


@pytest.mark.parametrize("trick", ["endless", "chatter", "nonsense"])
def test_an_answer_without_end_is_cut_short(sink, trick):
    struck = outcome(adapter_for(sink.port), to(trick))
    assert isinstance(struck, Ambiguous)
    assert struck.detail.startswith("protocol_error")


def test_a_slow_answer_is_a_doubt_and_the_deadline_holds_however_it_drips(either_sink):
    adapter = adapter_for(either_sink.port, timeout=1.0)
    with ThreadPoolExecutor(2) as pool:
        for struck in pool.map(lambda trick: outcome(adapter, to(trick)), ("stall-5", "drip")):
            assert isinstance(struck, Ambiguous)
            assert struck.detail.startswith("timeout")


def test_a_server_that_stops_answering_is_left_alone_for_the_rest_of_the_batch(sink):
    batch = [to("stall-5"), to("stall-5"), to("a"), to("b")]
    found = answers(adapter_for(sink.port, timeout=0.7), batch)
    assert [type(one) for one in found] == [Ambiguous, Ambiguous, Throttled, Throttled]
    assert len(sink.letters) == 2


def test_an_accepted_message_tells_its_message_id_and_the_servers_words(sink):
    message = to("someone")
    assert outcome(adapter_for(sink.port), message) == Accepted(
        provider_message_id=f"{message.id}@example.com", detail={"reply": "250 2.0.0 Ok: queued as 1.1"}
    )
    (letter,) = sink.letters
    parsed = BytesParser(policy=policy.default).parsebytes(letter.raw)
    assert parsed["Message-ID"] == f"<{message.id}@example.com>"
    assert parsed.get_content() == "Good morning\r\n"
    assert (letter.sender, letter.recipients) == ("sender@example.com", ("someone@example.com",))


def test_dots_and_large_files_arrive_as_they_were(either_sink):
    content = os.urandom(300_000)
    shared = SharedContent(
        key=uuid4(),
        sender="sender@example.com",
        attachments=(Attachment(filename="ü.bin", content=content, content_type="application/octet-stream"),),
    )
    text = ".\n..\n.dot\n\n.\n"
    assert isinstance(outcome(adapter_for(either_sink.port), to("a", shared=shared, text=text)), Accepted)
    parsed = BytesParser(policy=policy.default).parsebytes(either_sink.letters[0].raw)
    assert parsed.get_body(("plain",)).get_content() == text.replace("\n", "\r\n")
    (part,) = parsed.iter_attachments()
    assert (part.get_filename(), part.get_payload(decode=True)) == ("ü.bin", content)


def test_a_message_that_no_letter_can_carry_is_refused_before_a_word_is_said(sink):
    batch = [to("a", subject="a\r\nBcc: evil@example.com"), make_message(address="nobody")]
    found = answers(adapter_for(sink.port), batch)
    assert [(type(one), getattr(one, "code", "")) for one in found] == [
        (Permanent, "invalid_message"),
        (Permanent, "invalid_recipient"),
    ]
    assert sink.connections == 0


# Several connections, where the server takes its time


@pytest.fixture
def soon_slow(monkeypatch) -> None:
    """Let whatever a server takes count as slow, from the second message on."""
    monkeypatch.setattr(spread, "SLOW", 0.0)
    monkeypatch.setattr(spread, "IN_A_ROW", 2)


@pytest.mark.usefixtures("soon_slow")
def test_letters_to_a_slow_server_are_sent_side_by_side(either_sink):
    # The server answers two letters of a pair together, so that nobody who waits for the one could send the other.
    batch = [to(name) for name in ("a", "b", "c", *(f"pair+{number}" for number in range(8)))]
    assert {type(one) for one in answers(adapter_for(either_sink.port), batch)} == {Accepted}
    assert len({letter.recipients for letter in either_sink.letters}) == len(either_sink.letters) == len(batch)


@pytest.mark.usefixtures("soon_slow")
def test_connections_that_a_server_does_not_let_in_cost_no_message_anything():
    with running(Conduct(lets_in=3)) as sink:
        session = adapter_for(sink.port).open()
        for names in ("abcdefgh", "ijklmnop"):
            found = list(session.deliver(iter([to(name) for name in names]), yes))
            assert [type(one) for _, one in found] == [Accepted] * len(names)
        session.close()
        assert len(sink.letters) == 16
        assert sink.connections == 16 + 3, "in the second batch one more is tried than was let in"


@pytest.mark.usefixtures("soon_slow")
@pytest.mark.parametrize(
    ("trick", "kind"), [("cut-after", Ambiguous), ("final-452", Transient), ("rcpt-550", Permanent)]
)
def test_what_befalls_one_of_several_letters_befalls_it_alone(either_sink, trick, kind):
    batch = [to(name) for name in ("a", "b", "c", "d", trick, *"efghijklmnopqrstuvwxyz")]
    found = answers(adapter_for(either_sink.port), batch)
    assert [type(one) for one in found] == [Accepted] * 4 + [kind] + [Accepted] * 22
    taken = [letter.recipients for letter in either_sink.letters if letter.answered]
    assert len(set(taken)) == len(taken) == 26


@pytest.mark.usefixtures("soon_slow")
def test_nothing_further_is_begun_on_any_connection_once_nothing_may_be_sent(either_sink):
    asked = iter([True] * 7)
    batch = [to(name) for name in "abcdefghijklmnopqrstuvwxyz"]
    session = adapter_for(either_sink.port).open()
    found = dict(session.deliver(iter(batch), lambda: next(asked, False)))
    session.close()
    assert len(found) == len(batch)
    assert [type(one) for one in found.values()].count(Accepted) == len(either_sink.letters) == 7
    assert {(one.wait, one.code) for one in found.values() if isinstance(one, Throttled)} == {(0.0, "not_begun")}


# Copies


def test_copies_are_recipients_of_the_same_letter(either_sink):
    shared = SharedContent(
        key=uuid4(), sender="sender@example.com", cc=("Copy <copy@example.com>",), bcc=("blind@example.com",)
    )
    assert isinstance(outcome(adapter_for(either_sink.port), to("a", shared=shared)), Accepted)
    (letter,) = either_sink.letters
    assert letter.recipients == ("a@example.com", "copy@example.com", "blind@example.com")
    assert b"blind" not in letter.raw


def test_nobody_is_named_twice_to_the_server(either_sink):
    copies = ("copy@example.com", "Copy <copy@EXAMPLE.com>", "a@example.com")
    shared = SharedContent(key=uuid4(), sender="sender@example.com", cc=copies, bcc=("copy@example.com",))
    assert isinstance(outcome(adapter_for(either_sink.port), to("a", shared=shared)), Accepted)
    assert either_sink.letters[0].recipients == ("a@example.com", "copy@example.com")


def test_a_refused_copy_does_not_hold_up_the_letter(either_sink):
    shared = SharedContent(key=uuid4(), sender="sender@example.com", cc=("rcpt-550@example.com", "copy@example.com"))
    found = outcome(adapter_for(either_sink.port), to("a", shared=shared))
    assert isinstance(found, Accepted)
    assert found.detail["refused"] == ["rcpt-550@example.com: 550 5.0.0 refused as asked"]
    assert either_sink.letters[0].recipients == ("a@example.com", "copy@example.com")


def test_nothing_goes_to_the_copies_of_a_refused_recipient(either_sink):
    shared = SharedContent(key=uuid4(), sender="sender@example.com", cc=("copy@example.com",))
    found = answers(adapter_for(either_sink.port), [to("rcpt-550", shared=shared), to("b")])
    assert [type(one) for one in found] == [Permanent, Accepted]
    assert [letter.recipients for letter in either_sink.letters] == [("b@example.com",)]


# Connections


def test_one_connection_carries_batch_after_batch(either_sink):
    session = adapter_for(either_sink.port).open()
    for _ in range(3):
        assert [type(found) for _, found in session.deliver(iter([to("a"), to("b")]), yes)] == [Accepted, Accepted]
    session.close()
    assert either_sink.connections == 1
    assert either_sink.commands["QUIT"] == 1


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_server_that_does_not_let_go_of_a_refused_letter_gets_the_next_one_over_a_new_connection(pipelining):
    with running(Conduct(clings=True, pipelining=pipelining)) as sink:
        batch = [to("a"), to("final-451"), to("b"), to("final-554"), to("c")]
        kinds = [type(found) for found in answers(adapter_for(sink.port), batch)]
        assert kinds == [Accepted, Transient, Accepted, Permanent, Accepted]
        assert [letter.recipients for letter in sink.letters] == [(f"{name}@example.com",) for name in "abc"]


@pytest.mark.parametrize("farewell", ["", "unasked", "at mail"])
@pytest.mark.parametrize("pipelining", [True, False])
def test_a_server_that_hangs_up_between_messages_costs_none_of_them_an_attempt(farewell, pipelining):
    conduct = Conduct(letters_per_connection=2, farewell=farewell, pipelining=pipelining)
    with running(conduct) as sink:
        found = answers(adapter_for(sink.port), [to(f"r{number}") for number in range(9)])
        assert {type(one) for one in found} == {Accepted}
        assert [letter.recipients[0] for letter in sink.letters] == [f"r{number}@example.com" for number in range(9)]
        assert sink.connections == 5


def test_a_server_that_leaves_at_every_mail_makes_the_batch_wait_at_no_cost(either_sink):
    leaving = SharedContent(key=uuid4(), sender="mail-421@example.com")
    found = answers(adapter_for(either_sink.port), [to("a"), to("b", shared=leaving), to("c")])
    assert [type(one) for one in found] == [Accepted, Throttled, Throttled]
    assert either_sink.connections == 2


def test_a_connection_that_broke_while_it_lay_idle_is_made_anew(sink):
    session = adapter_for(sink.port).open()
    assert isinstance(next(session.deliver(iter([to("a")]), yes))[1], Accepted)
    sink.hang_up()
    assert isinstance(next(session.deliver(iter([to("b")]), yes))[1], Accepted)
    session.close()
    assert len(sink.letters) == 2


def test_may_send_is_asked_again_after_the_connection_was_made_anew(sink):
    session = adapter_for(sink.port).open()
    assert isinstance(next(session.deliver(iter([to("a")]), yes))[1], Accepted)
    sink.hang_up()
    assert next(session.deliver(iter([to("b")]), lambda: False))[1] == Throttled(wait=0.0, code="not_begun")
    session.close()
    assert len(sink.letters) == 1


def test_a_connection_idle_for_long_is_tried_before_it_is_used(sink, monkeypatch):
    monkeypatch.setattr("channels_app.adapters.smtp_connection.IDLE", 0.0)
    assert {type(one) for one in answers(adapter_for(sink.port), [to("a"), to("b")])} == {Accepted}
    assert sink.commands["NOOP"] == 1


def test_a_letter_is_announced_along_with_the_one_before_where_the_server_allows_it(either_sink):
    session = adapter_for(either_sink.port).open()
    outcomes = session.deliver(iter([to("a"), to("b"), to("c")]), yes)
    announced = []
    for _, found in outcomes:
        assert isinstance(found, Accepted)
        announced.append(either_sink.commands["MAIL"])
    session.close()
    # The first of a batch tells whether the server takes any: only then the next is drawn before its turn.
    assert announced == ([1, 3, 3] if either_sink.conduct.pipelining else [1, 2, 3])
    assert [letter.recipients[0][0] for letter in either_sink.letters] == ["a", "b", "c"]


def test_a_letter_that_was_announced_and_may_not_be_sent_never_leaves(either_sink):
    session = adapter_for(either_sink.port).open()
    left = iter([True, True, False])
    found = [type(one) for _, one in session.deliver(iter([to("a"), to("b"), to("c")]), lambda: next(left))]
    assert found == [Accepted, Accepted, Throttled]
    assert [type(one) for _, one in session.deliver(iter([to("d")]), yes)] == [Accepted]
    session.close()
    assert [letter.recipients[0][0] for letter in either_sink.letters] == ["a", "b", "d"]


def test_a_session_whose_batch_was_left_goes_on_with_the_next(either_sink):
    session = adapter_for(either_sink.port).open()
    outcomes = session.deliver(iter([to("a"), to("b"), to("c")]), yes)
    assert [isinstance(next(outcomes)[1], Accepted) for _ in range(2)] == [True, True]
    outcomes.close()
    assert [type(one) for _, one in session.deliver(iter([to("d")]), yes)] == [Accepted]
    session.close()
    assert [letter.recipients[0][0] for letter in either_sink.letters] == ["a", "b", "d"]


def test_a_message_is_drawn_before_its_turn_only_while_all_goes_well(either_sink):
    drawn: list[str] = []

    def batch() -> Iterator[OutboundMessage]:
        for local in ("a", "b", "final-452", "c", "d"):
            drawn.append(local)
            yield to(local)

    session = adapter_for(either_sink.port).open()
    seen = [len(drawn) for _ in session.deliver(batch(), yes)]
    session.close()
    assert seen == [1, 3, 4, 4, 5]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_out_of_reach_costs_one_message_its_attempt_and_gives_the_rest_back():
    first, *rest = answers(adapter_for(free_port()), [to("a"), to("b"), to("c")])
    assert isinstance(first, Transient)
    assert first.code == "connection_failed"
    assert [type(one) for one in rest] == [Throttled, Throttled]
    assert all(isinstance(one, Throttled) and one.wait > 0 for one in rest)


def test_a_server_that_never_greets_is_given_up_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        struck = outcome(adapter_for(mute.getsockname()[1], timeout=0.2), to("a"))
    assert isinstance(struck, Transient)
    assert struck.code == "timeout"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".invalid"])
def test_a_name_that_cannot_be_resolved_is_transient(host):
    adapter = SmtpAdapter.from_options(Channel.EMAIL, {"url": f"smtp://{host}:25?timeout=2"})
    struck = outcome(adapter, to("a"))
    assert isinstance(struck, Transient)
    assert struck.code in ("lookup_failed", "lookup_timeout")
    assert not adapter.probe().ok


@pytest.mark.parametrize(
    ("conduct", "kind"),
    [
        (Conduct(greeting="421 4.3.2 too busy"), Throttled),
        (Conduct(farewell="at ehlo"), Throttled),
        (Conduct(greeting="554 5.3.2 not here"), Transient),
        (Conduct(greeting="hello"), Transient),
    ],
)
def test_a_server_that_turns_everybody_away_is_asked_once_a_batch(conduct, kind):
    with running(conduct) as sink:
        first, second = answers(adapter_for(sink.port), [to("a"), to("b")])
        assert (type(first), type(second)) == (kind, Throttled)
        assert sink.connections == 1


def test_a_server_that_knows_only_helo_is_spoken_to_in_its_words():
    with running(Conduct(ehlo=False)) as sink:
        assert isinstance(outcome(adapter_for(sink.port), to("a")), Accepted)
        assert sink.commands["HELO"] == 1


def test_a_message_over_the_servers_size_is_refused_without_sending_it():
    with running(Conduct(size=1_000)) as sink:
        small, large = answers(adapter_for(sink.port), [to("a"), to("b", text="x" * 2_000)])
        assert isinstance(small, Accepted)
        assert isinstance(large, Permanent)
        assert large.code == "message_too_large"


def test_a_size_beyond_all_bounds_is_none():
    with running(Conduct(size="9" * 5_000)) as sink:
        (found,) = answers(adapter_for(sink.port), [to("a")])
        assert isinstance(found, Accepted)


# International addresses


def test_an_international_local_part_travels_by_smtputf8(either_sink):
    message = make_message(address="用户@例子.example", name="用户")
    assert isinstance(outcome(adapter_for(either_sink.port), message), Accepted)
    (letter,) = either_sink.letters
    assert letter.recipients == ("用户@xn--fsqu00a.example",)
    assert letter.parameters == "SMTPUTF8"


def test_an_international_local_part_is_refused_where_the_server_cannot_carry_it():
    with running(Conduct(smtputf8=False)) as sink:
        found = answers(
            adapter_for(sink.port),
            [make_message(address="用户@example.com"), make_message(address="user@例子.example")],
        )
        assert isinstance(found[0], Permanent)
        assert found[0].code == "smtputf8_required"
        assert isinstance(found[1], Accepted)


# Secrets and TLS

LOGIN = "us%40er:p%3Aa%2Fss%20w%C3%B6rd@"
SECRET = ("us@er", "p:a/ss wörd")


@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN", "LOGIN PLAIN", "=LOGIN PLAIN"])
def test_credentials_are_percent_decoded_and_given_by_what_the_server_offers(mechanisms):
    with running(Conduct(auth=SECRET, mechanisms=mechanisms)) as sink:
        assert isinstance(outcome(adapter_for(sink.port, login=LOGIN), to("a")), Accepted)
        assert sink.logins == [SECRET]


@pytest.mark.parametrize(
    ("conduct", "code"),
    [
        (Conduct(auth=("us@er", "other")), "auth_refused"),
        (Conduct(), "auth_not_offered"),
        (Conduct(auth=SECRET, mechanisms="GSSAPI"), "auth_not_offered"),
    ],
)
def test_refused_credentials_end_every_message_and_are_tried_once(conduct, code):
    with running(conduct) as sink:
        found = answers(adapter_for(sink.port, login=LOGIN), [to("a"), to("b")])
        assert [type(one) for one in found] == [NotConfigured, NotConfigured]
        assert found[0].code == code
        assert sink.connections == 1


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


def test_starttls_secures_what_follows(certificate):
    with running(Conduct(starttls=True, certificate=certificate, auth=SECRET)) as sink:
        adapter = adapter_for(sink.port, login=LOGIN, starttls=1, ca_file=certificate[0])
        assert {type(one) for one in answers(adapter, [to("a"), to("b")])} == {Accepted}
        assert [letter.secured for letter in sink.letters] == [True, True]
        assert sink.connections == 1
        assert sink.logins == [SECRET]
        assert adapter.probe().ok


def test_what_was_said_in_clear_before_tls_is_forgotten(certificate):
    conduct = Conduct(starttls=True, certificate=certificate, auth=SECRET, injected=b"250 evil\r\n", mechanisms="PLAIN")
    with running(conduct) as sink:
        found = outcome(adapter_for(sink.port, login=LOGIN, starttls=1, ca_file=certificate[0]), to("a"))
        # Had it come in a packet of its own, it would have broken the handshake.
        assert isinstance(found, Accepted) or getattr(found, "code", "") == "tls_failed"


def test_tls_from_the_first_byte_secures_everything(certificate):
    with running(Conduct(tls=True, certificate=certificate)) as sink:
        adapter = adapter_for(sink.port, scheme="smtps", ca_file=certificate[0])
        found = answers(adapter, [to("a"), to("b"), to("cut-after"), to("c")])
        assert [type(one) for one in found] == [Accepted, Accepted, Ambiguous, Accepted]
        assert all(letter.secured for letter in sink.letters)
        assert sink.connections == 2


def test_a_server_that_no_longer_offers_starttls_gets_neither_credentials_nor_letters():
    with running(Conduct(auth=SECRET)) as sink:
        adapter = adapter_for(sink.port, login=LOGIN, starttls=1)
        first, second = answers(adapter, [to("a"), to("b")])
        assert isinstance(first, Transient)
        assert first.code == "starttls_not_offered"
        assert isinstance(second, Throttled)
        assert (sink.logins, sink.letters) == ([], [])
        assert not adapter.probe().ok


@pytest.mark.parametrize(("name", "days"), [("localhost", 1), ("other.example", 1), ("localhost", -1)])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_unknown_or_expired_or_for_another_name_is_refused(tmp_path, name, days, scheme):
    files = self_signed(tmp_path, name=name, days=days)
    trusted = {} if (name, days) == ("localhost", 1) else {"ca_file": files[0]}
    starttls = {"starttls": 1} if scheme == "smtp" else {}
    with running(Conduct(starttls=True, tls=scheme == "smtps", certificate=files, auth=SECRET)) as sink:
        struck = outcome(adapter_for(sink.port, scheme=scheme, login=LOGIN, **starttls, **trusted), to("a"))
        assert isinstance(struck, Transient)
        assert struck.code == "tls_certificate_refused"
        assert (sink.logins, sink.letters) == ([], [])


def test_an_operator_may_take_any_certificate(certificate):
    with running(Conduct(starttls=True, certificate=certificate)) as sink:
        assert isinstance(outcome(adapter_for(sink.port, starttls=1, verify=0), to("a")), Accepted)


def test_the_deadline_of_all_providers_holds_unless_the_url_has_its_own(sink):
    def struck(query: str, timeout: float) -> Outcome:
        options = {"url": f"smtp://localhost:{sink.port}{query}", "timeout": timeout}
        return outcome(SmtpAdapter.from_options(Channel.EMAIL, options), to("stall-0.5"))

    assert isinstance(struck("", 0.2), Ambiguous)
    assert isinstance(struck("?timeout=30", 0.2), Accepted)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "relay.example",
        "http://relay.example",
        "smtp://",
        "smtp://relay.example:port",
        "smtp://relay.example:99999",
        "smtp://relay.example/path",
        "smtp://relay.example?startls=1",
        "smtp://relay.example?starttls=maybe",
        "smtp://relay.example?timeout=0",
        "smtp://relay.example?timeout=nan",
        "smtp://relay.example?timeout=forever",
        "smtps://relay.example?ca_file=/nowhere/ca.pem",
        "smtp://user:secret-word@relay.example?starttls=0",
    ],
)
def test_wrong_settings_are_refused_without_telling_the_password(url):
    with pytest.raises(ProviderMissing) as refused:
        SmtpAdapter.from_options(Channel.EMAIL, {"url": url})
    assert "secret-word" not in str(refused.value)


def test_letters_for_another_machine_leave_by_tls_unless_the_operator_says_otherwise():
    relay = relay_from_url("smtp://relay.example")
    assert (relay.port, relay.starttls) == (25, True)
    assert relay.tls is not None
    assert (relay.tls.verify_mode, relay.tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert relay_from_url("smtp://relay.example?starttls=0").tls is None
    assert relay_from_url("smtp://localhost").tls is None
    assert relay_from_url("smtp://localhost?starttls=1").starttls


def test_a_password_for_another_machine_demands_tls_unless_the_operator_allows_otherwise():
    relay = relay_from_url("smtp://user:secret-word@relay.example")
    assert relay.starttls
    assert relay.tls is not None
    assert relay.port == 587
    assert "secret-word" not in repr(relay)
    assert relay_from_url("smtp://user:secret-word@relay.example?starttls=0&plain_auth=1").tls is None
    assert relay_from_url("smtp://user:secret-word@127.0.0.1").tls is None
    assert relay_from_url("smtp://relay.example").port == 25
    assert relay_from_url("smtps://relay.example").port == 465


def test_a_malformed_default_sender_is_refused_at_start():
    with pytest.raises(ProviderMissing):
        SmtpAdapter.from_options(Channel.EMAIL, {"url": "smtp://127.0.0.1", "default_from": "nobody"})


# Other servers


class Inbox:
    """An aiosmtpd handler that keeps what comes and refuses `refused@…`."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith("refused@"):
            return "550 5.1.1 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 ok"


def test_an_independent_server_takes_our_letters():
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    try:
        batch = [to("a", text=".\n.dot\n"), to("refused"), make_message(address="用户@example.com"), to("b")]
        found = answers(adapter_for(controller.port), batch)
    finally:
        controller.stop()
    assert [type(one) for one in found] == [Accepted, Permanent, Accepted, Accepted]
    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [
        ["a@example.com"],
        ["用户@example.com"],
        ["b@example.com"],
    ]
    assert inbox.envelopes[0].content.endswith(b"\r\n\r\n.\r\n.dot\r\n")


def test_the_sink_as_a_process_writes_down_what_it_took(tmp_path):
    record = tmp_path / "received.jsonl"
    command = [sys.executable, "-m", "tests.peers.smtp", "--record", str(record), "--delay-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as peer:
        try:
            assert peer.stdout is not None
            port = int(peer.stdout.readline().split()[-1])
            message = to("a")
            assert isinstance(outcome(adapter_for(port), message), Accepted)
            (line,) = [json.loads(line) for line in record.read_text().splitlines()]
            assert line["message_id"] == f"{message.id}@example.com"
            assert line["to"] == ["a@example.com"]
        finally:
            peer.terminate()


def test_sessions_of_one_adapter_work_side_by_side(sink):
    adapter = adapter_for(sink.port)
    found: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda: found.extend(answers(adapter, [to("a") for _ in range(50)]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(one) for one in found] == [Accepted] * 200
    assert len({letter.raw for letter in sink.letters}) == 200
