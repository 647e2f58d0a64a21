"""The state of providers: what they answered, what probes found, and what follows for a channel."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    Health,
    NotConfigured,
    Outcome,
    Permanent,
    Throttled,
    Transient,
)
from messaging.dispatch import delivery, limits, providers, queue
from messaging.dispatch.limits import Answers, ChannelState, Probe, ProviderState
from messaging.dispatch.queue import Lane
from messaging.state import Priority
from tests.factories import accept_batch, make_workspace
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import ScriptedAdapter, accept_all, answer

ACCEPTED = Accepted(provider_message_id="p")


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin with nothing known."""
    queue.valkey().flushdb()
    yield
    queue.valkey().flushdb()


def told(*outcomes: Outcome) -> Answers:
    found = Answers()
    for outcome in outcomes:
        found.begin()
        found.add(outcome)
    return found


def provider(answers: Answers, *, ok: bool = True, at: float = 1.0) -> ProviderState:
    return ProviderState(
        name="smtp", sandbox=False, answers=answers, probe=Probe(provider="smtp", ok=ok, detail="", took=0.1, at=at)
    )


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (ACCEPTED, (1, 0, 0, 0)),
        (Permanent(code="no_such_user"), (0, 1, 0, 0)),
        (Transient(code="greylisted"), (0, 0, 1, 0)),
        (Ambiguous(), (0, 0, 1, 0)),
        (NotConfigured(), (0, 0, 1, 0)),
        (Throttled(wait=3.0), (0, 0, 0, 1)),
        (Throttled(wait=0.0), (0, 0, 0, 0)),
    ],
)
def test_each_outcome_says_something_about_the_provider(outcome: Outcome, counted: tuple[int, ...]) -> None:
    found = told(outcome)
    assert (found.accepted, found.refused, found.failed, found.throttled) == counted


def test_only_the_first_answer_of_a_batch_is_timed() -> None:
    found = told(ACCEPTED, ACCEPTED, ACCEPTED)
    assert found.responses == 1
    assert found.seconds >= 0


def test_a_failure_is_remembered_with_its_reason() -> None:
    found = told(Transient(code="first")) + told(ACCEPTED, Transient(code="second")) + told(ACCEPTED)
    assert found.last_code == "second"
    assert (found.accepted, found.failed) == (2, 2)


def test_answers_are_written_and_read_over_all_processes() -> None:
    for _ in range(2):
        limits.write({("email", "smtp"): told(ACCEPTED, ACCEPTED, Transient(code="timeout"))})
    limits.write({("sms", "twilio"): told(ACCEPTED)})
    found = limits.answers(Channel.EMAIL, "smtp")
    assert (found.accepted, found.failed, found.responses, found.last_code) == (4, 2, 2, "timeout")
    assert found.last_success > 0
    assert limits.answers(Channel.EMAIL, "other") == Answers()


def test_answers_of_an_earlier_hour_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(limits.time, "time", lambda: now - 3600)
    limits.write({("email", "smtp"): told(ACCEPTED)})
    monkeypatch.undo()
    found = limits.answers(Channel.EMAIL, "smtp")
    assert found.accepted == 0
    assert found.last_success == pytest.approx(now - 3600, abs=1)


@pytest.mark.parametrize(
    ("state", "health"),
    [
        (provider(Answers()), 1.0),
        (provider(Answers(), ok=False), 0.0),
        (provider(Answers(accepted=8, refused=1, failed=1)), 0.9),
        (provider(Answers(throttled=5)), 1.0),
        (provider(Answers(accepted=1, last_success=2.0), ok=False), 1.0),
        (provider(Answers(accepted=1, last_success=2.0), ok=False, at=3.0), 0.0),
    ],
)
def test_answers_tell_more_than_probes_unless_the_probe_is_newer_and_fails(state: ProviderState, health: float) -> None:
    assert state.health == pytest.approx(health)


def test_a_channel_is_as_well_as_its_best_provider() -> None:
    both = (provider(Answers(), ok=False), provider(Answers(accepted=1, failed=1)))
    assert ChannelState(channel=Channel.EMAIL, configured=True, sandbox=False, providers=both).health == 0.5
    assert ChannelState(channel=Channel.EMAIL, configured=True, sandbox=False).health is None


def test_a_probe_asks_every_provider_and_says_which_reach_nobody(install: Install, settings: Settings) -> None:
    install(accept_all, channel=Channel.SMS)
    settings.CHANNELS = {**settings.CHANNELS, "push": []}
    providers.registry.cache_clear()
    limits.probe()
    found = {state.channel: state for state in limits.states()}
    assert [each.name for each in found[Channel.SMS].providers] == ["scripted"]
    assert (found[Channel.SMS].sandbox, found[Channel.SMS].configured) == (False, True)
    assert (found[Channel.EMAIL].sandbox, found[Channel.EMAIL].providers[0].sandbox) == (True, True)
    assert (found[Channel.PUSH].configured, found[Channel.PUSH].providers) == (False, ())
    assert {state.health for state in found.values()} == {1.0, None}
    assert found[Channel.SMS].checked_at is not None


def test_a_provider_that_fails_its_probe_fails_the_channel(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(accept_all)
    monkeypatch.setattr(ScriptedAdapter, "probe", lambda self: Health(ok=False, detail="connection refused"))
    limits.probe()
    email = limits.states()[0]
    assert (email.health, email.providers[0].probe.detail) == (0.0, "connection refused")


def test_a_malformed_setting_is_told_as_a_failing_probe(settings: Settings) -> None:
    settings.CHANNELS = {**settings.CHANNELS, "email": [{"adapter": "smtp", "url": "nonsense"}]}
    providers.registry.cache_clear()
    try:
        limits.probe()
    finally:
        providers.registry.cache_clear()
    email = limits.states()[0]
    assert (email.health, email.sandbox, email.providers[0].probe.ok) == (0.0, False, False)


def test_before_the_first_probe_nothing_is_known_but_the_settings() -> None:
    assert {(state.configured, state.sandbox, state.health) for state in limits.states()} == {(True, True, None)}


def test_delivery_notes_what_the_provider_answered(
    install: Install, transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name of its own: notes of earlier deliveries may still be on their way.
    monkeypatch.setattr(ScriptedAdapter, "provider", "scripted-here")
    script = answer(
        lambda message: Permanent(code="no") if "bob" in message.address else Accepted(provider_message_id="p")
    )
    install(script)
    accept_batch(make_workspace(), ["ann@example.com", "bob@example.com", "cy@example.com"])
    delivery.deliver(Lane(Channel.EMAIL, Priority.NORMAL))
    deadline = time.monotonic() + 30
    while (found := limits.answers(Channel.EMAIL, "scripted-here")).accepted < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (found.accepted, found.refused, found.failed, found.responses) == (2, 1, 0, 1)
