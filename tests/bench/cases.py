"""The cases: each measures Dispatch and its baselines once, one right after the other, and notes the figures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.bench import client, hooks, raw, surfaces
from tests.bench.figures import Figures, percentile
from tests.bench.ground import Ground
from tests.bench.stacks import Dispatch, Handwritten, Stack

BATCH = 1000
_SLOWER = 40
"""The hand-written stack gets so many times fewer messages: about as many seconds."""
_EVENTS = 3
_PACE = 20.0
_BULK_SHARE = 5


class Bench:
    """Everything that a case needs. Baselines that a run does not ask for are never started."""

    def __init__(self, ground: Ground, figures: Figures, *, messages: int) -> None:
        self.ground = ground
        self.figures = figures
        self.messages = messages
        self.passed = 0
        self._stacks: dict[type[Stack], Stack] = {}
        self._post_office: dict[str, str] | None = None

    @property
    def dispatch(self) -> Stack:
        return self._stack(Dispatch)

    @property
    def handwritten(self) -> Stack:
        return self._stack(Handwritten)

    def _stack(self, kind: type[Stack]) -> Stack:
        if kind not in self._stacks:
            stack = self._stacks[kind] = kind(self.ground)
            stack.start()
            client.ask(stack.plan(messages=50, batch=25))
            client.ask(stack.plan(messages=20, clients=4))
            stack.await_sent()
        return self._stacks[kind]

    def post_office(self, count: int) -> float:
        """E-mails a second of django-post_office, from `send_many` to the last one marked as sent."""
        if self._post_office is None:
            self._post_office = {
                **self.ground.env,
                "BENCH_DATABASE_URL": self.ground.database("post_office"),
                "BENCH_SMTP_PORT": str(self.ground.smtp_port),
                "DJANGO_SETTINGS_MODULE": "tests.bench.postoffice.settings",
            }
            self.ground.run("-m", "django", "migrate", "--verbosity", "0", env=self._post_office)
        answer = json.loads(self.ground.run("-m", "tests.bench.postoffice", str(count), env=self._post_office))
        _check(answer["sent"] == count, f"post_office sent {answer['sent']} of {count}")
        return count / float(answer["seconds"])

    def raw(self, what: str, count: int, argument: str) -> float:
        """Rows or letters a second of the protocol alone."""
        return count / float(self.ground.run("-m", "tests.bench.raw", what, str(count), argument, env=self.ground.env))

    def drained(self, stack: Stack, count: int, **options: Any) -> float:
        """Messages a second from the first request to the last SENT; every message and event is counted after."""
        self.ground.settle()
        letters = self.ground.letters()
        asked = client.ask(stack.plan(messages=count, batch=BATCH, **options))
        stack.await_sent()
        outcome = stack.outcome(asked.began)
        letters = self.ground.letters() - letters
        told = f"{stack.name}: of {count} messages {outcome.sent} SENT, {outcome.events} events, {letters} letters"
        _check(outcome.sent == count and outcome.events == _EVENTS * count and letters == count, told)
        if isinstance(stack, Dispatch):
            self.passed += count
        return count / (outcome.last_sent - asked.began)


def email(bench: Bench) -> None:
    """Bulk e-mail from the first request to the last SENT."""
    few = max(BATCH // 5, bench.messages // _SLOWER)
    ours = bench.drained(bench.dispatch, bench.messages)
    note = _noting(bench, "e-mail, accept to SENT", ours, unit="msg/s")
    note("hand-written", bench.drained(bench.handwritten, few), floor="30x", goal="60x")
    bench.ground.settle()
    note("django-post_office", bench.post_office(few * 5), floor="6x", goal="13x")
    sent = bench.raw("smtp", bench.messages, str(bench.ground.smtp_port))
    note("raw SMTP, kept open", sent, floor="35%", goal="60%", as_percent=True)


def named(bench: Bench) -> None:
    """The same with the recipient's name in subject and body, so that each message is rendered."""
    few = max(BATCH // 5, bench.messages // _SLOWER)
    ours = bench.drained(bench.dispatch, bench.messages, named=True)
    note = _noting(bench, "the same, rendered for each", ours, unit="msg/s")
    note("hand-written", bench.drained(bench.handwritten, few, named=True))


def bulk(bench: Bench) -> None:
    """Bulk accept over HTTP, nobody sending meanwhile."""

    def accepted(stack: Stack, count: int) -> float:
        bench.ground.settle()
        stack.accept_only()
        try:
            return count / client.ask(stack.plan(messages=count, batch=BATCH)).seconds
        finally:
            stack.forget()

    ours = accepted(bench.dispatch, bench.messages)
    note = _noting(bench, f"bulk accept, {BATCH:,} a request", ours, unit="rows/s")
    note("hand-written", accepted(bench.handwritten, max(BATCH * 2, bench.messages // 10)), floor="", goal="15x")
    bench.ground.settle()
    written = bench.raw("copy", bench.messages, bench.dispatch.database_url)
    note("raw COPY", written, floor="40%", goal="60%", as_percent=True)


def single(bench: Bench) -> None:
    """One message a request, four clients that keep their connections, nobody sending meanwhile."""

    def accepted(stack: Stack, count: int) -> float:
        bench.ground.settle()
        stack.accept_only()
        try:
            return count / client.ask(stack.plan(messages=count, clients=4)).seconds
        finally:
            stack.forget()

    count = max(200, bench.messages // 5)
    note = _noting(bench, "single accept, 4 clients", accepted(bench.dispatch, count), unit="req/s")
    note("hand-written", accepted(bench.handwritten, count // 2), floor="1.4x", goal="2x")


def latency(bench: Bench) -> None:
    """From the request to the SENT that the database holds, at a gentle pace."""
    count = max(40, min(200, bench.messages // 100))
    ours = _latencies(bench, bench.dispatch, count)
    theirs = _latencies(bench, bench.handwritten, count)
    for share, goals in ((0.5, {}), (0.95, {}), (0.99, {"floor": "1x", "goal": "25 ms"})):
        bench.figures.add(
            f"POST to SENT at {_PACE:.0f}/s, p{share * 100:.0f}",
            "hand-written",
            percentile(ours, share),
            percentile(theirs, share),
            unit="ms",
            **goals,
        )


def urgent(bench: Bench) -> None:
    """The urgent lane while a campaign drains, against the same lane when nothing else goes on."""
    count = max(40, min(200, bench.messages // 100))
    lane = {"fields": {"priority": "urgent"}}
    idle = _latencies(bench, bench.dispatch, count, **lane)
    campaign = client.begin(
        bench.dispatch.plan(messages=bench.messages * _BULK_SHARE, batch=BATCH, fields={"priority": "bulk"})
    )
    time.sleep(1.0)
    busy = _latencies(bench, bench.dispatch, count, await_sent=False, **lane)
    client.wait(campaign)
    bench.dispatch.await_sent()
    bench.passed += bench.messages * _BULK_SHARE + 2 * count
    for share, goals in ((0.5, {}), (0.99, {"floor": "250 ms", "goal": "2x"})):
        bench.figures.add(
            f"urgent lane under a campaign, p{share * 100:.0f}",
            "the same, idle",
            percentile(busy, share),
            percentile(idle, share),
            unit="ms",
            **goals,
        )


def told(bench: Bench) -> None:
    """Events told to one endpoint that answers at once, from the first request to the last."""
    count = max(200, bench.messages // _SLOWER * 4)
    listener = hooks.Listener(bench.ground, bench.dispatch)
    bench.ground.hold(hooks.TELLER)
    try:
        bench.drained(bench.dispatch, count)
        hooks.await_waiting(bench.dispatch.database_url, count)
        bench.ground.settle()
    finally:
        bench.ground.release(hooks.TELLER)
    ours = hooks.rate(listener, count)
    listener.leave()
    note = _noting(bench, f"webhooks, {raw.AT_ONCE} at a time", ours, unit="events/s")
    note("requests, signed", bench.raw("hooks", count, str(listener.port)))


def words(bench: Bench) -> None:
    """The same deeds through every surface, and sends whose outcome is waited for."""
    bench.dispatch.await_sent()
    bench.ground.settle()
    plan = bench.dispatch.plan(messages=0)
    surfaces.measure(
        surfaces.Client(plan.port, plan.authorization), bench.figures, count=max(20, min(100, bench.messages // 100))
    )
    bench.dispatch.await_sent()


def _latencies(bench: Bench, stack: Stack, count: int, *, await_sent: bool = True, **options: Any) -> list[float]:
    """Milliseconds from the request's leaving to `sent_at`."""
    bench.ground.settle()
    sent_off = client.ask(stack.plan(messages=count, clients=4, rate=_PACE, **options)).sent_off
    if await_sent:
        stack.await_sent()
    deadline = time.monotonic() + 30.0
    while len(sent := stack.sent_at(sent_off)) < count:
        _check(time.monotonic() < deadline, f"{stack.name} sent {len(sent)} of {count}")
        time.sleep(0.1)
    return [1000 * (sent[key] - left) for key, left in sent_off.items()]


def _noting(bench: Bench, case: str, ours: float, *, unit: str) -> Callable[..., None]:
    def note(against: str, theirs: float, **about: Any) -> None:
        bench.figures.add(case, against, ours, theirs, unit=unit, **about)

    return note


def _check(sound: bool, what: str) -> None:
    if not sound:
        raise RuntimeError(what)


CASES: dict[str, Callable[[Bench], None]] = {
    "email": email,
    "named": named,
    "bulk": bulk,
    "single": single,
    "latency": latency,
    "urgent": urgent,
    "surfaces": words,
    "hooks": told,
}
"""Cases of which every round is measured."""
