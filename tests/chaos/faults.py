"""The faults: each strikes a stack that is sending, and is judged by the database and by what the receiver took."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import redis

from config.stack.processes import WORKERS
from tests.client import Client
from tests.ledger import Ledger, Mail, sink
from tests.running import PATIENCE, Stack, eventually
from tests.servers import Pair

GROUP = 100
MARKED = 2 * GROUP
"""Letters that may be in doubt when a process dies: the group in hand and the one marked ahead."""
CONNECTIONS = 2
"""Processes that send e-mail, each over one connection."""
STRIKE_AT = 0.3
WINDOW = (0.2, 0.8)
"""The part of all letters at which a fault begins, and where it must have begun to count."""
LEASE = 6.0
GRACE = next(worker.grace for worker in WORKERS if worker.name == "email")
AWAY = 5.0
"""Seconds for which a server stays away."""
RESUME = 15.0
"""Seconds within which sending goes on by itself."""
MEANWHILE = 50
"""Messages that are accepted while the fault lasts."""
BATCH = 10_000
TRIES = 5
"""Times that messages are accepted anew because too many had arrived before the fault could strike."""


@dataclass(kw_only=True)
class Report:
    """What a fault did. Times are in seconds from the moment at which the struck part could work again."""

    fault: str
    accepted: int = 0
    sent: int = 0
    lost: int = 0
    repeated: int = 0
    limit: int = 0
    struck_at: float = 0.0
    """The part of all letters that had arrived."""
    resumed: float = 0.0
    finished: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether the fault struck while there was work in progress."""
        return WINDOW[0] <= self.struck_at <= WINDOW[1]


def flaws(report: Report) -> list[str]:
    """Everything about a report that must not be."""
    found = list(report.violations)
    if not report.valid:
        found.append("void: it did not strike in the window")
    if report.lost:
        found.append(f"{report.lost} lost")
    if report.repeated > report.limit:
        found.append(f"{report.repeated} repeated, {report.limit} allowed")
    if report.resumed > RESUME:
        found.append(f"went on after {report.resumed:.1f} s only")
    return found


@dataclass(kw_only=True)
class Trial:
    """A stack under load."""

    pair: Pair
    stack: Stack
    mail: Mail
    ledger: Ledger
    client: Client
    names: Iterator[int] = field(default_factory=count)
    """Nobody gets two messages."""

    def accept(self, number: int) -> None:
        """Have so many messages accepted."""
        for start in range(0, number, BATCH):
            size = min(BATCH, number - start)
            self.client.batch([f"someone-{next(self.names)}@example.com" for _ in range(size)])


@dataclass(kw_only=True)
class Blow:
    """When work could go on again, and how to tell a letter of the time after it."""

    since: float
    is_new: Callable[[dict[str, Any]], bool]
    limit: int
    judge: Callable[[], list[str]] = list
    ready: float = 0.0
    """When the struck part had started again, where it had to: how long that takes is the machine's affair."""


def _of_new_claims(trial: Trial, since: float) -> Callable[[dict[str, Any]], bool]:
    """Tell letters that came after somebody claimed anew from those of claims that outlived the fault."""
    first: float | None = None
    asked = 0.0

    def is_new(letter: dict[str, Any]) -> bool:
        nonlocal first, asked
        if first is None and time.monotonic() - asked > 0.1:
            asked = time.monotonic()
            ((first,),) = trial.ledger.rows(
                "SELECT extract(epoch FROM min(at))::float8 FROM messaging_messageevent "
                "WHERE type = 'sending' AND at > to_timestamp(%s)",
                since,
            )
        return first is not None and bool(letter["time"] > first)

    return is_new


def worker_kill(trial: Trial) -> Blow:
    """Kill the process that sends, and its children, and start it again at once."""
    trial.stack.parts["email"].kill()
    since, known = time.time(), {letter["connection"] for letter in trial.mail.letters}
    trial.stack.start("email")
    return Blow(
        since=since,
        is_new=lambda letter: letter["connection"] not in known,
        limit=MARKED * CONNECTIONS,
        ready=time.time(),
    )


def child_kill(trial: Trial) -> Blow:
    """Kill one child of the process that sends; its parent replaces it."""
    worker = trial.stack.parts["email"]
    (victim, *_) = sorted(worker.pids() - {worker.pid})
    os.kill(victim, signal.SIGKILL)
    since = time.time()
    # The child that lives on may well send all the rest by the connection that it has.
    return Blow(since=since, is_new=_of_new_claims(trial, since), limit=MARKED)


def worker_term(trial: Trial) -> Blow:
    """Ask the process that sends to stop, and start it again when it has: what it had begun, it finishes."""
    worker = trial.stack.parts["email"]
    asked = time.time()
    worker.ask_to_stop()
    code = worker.wait(PATIENCE)
    took = time.time() - asked
    since, known = time.time(), {letter["connection"] for letter in trial.mail.letters}
    claims = trial.ledger.number("SELECT count(*) FROM messaging_claim")
    trial.stack.start("email")
    flaws = [f"it ended with exit code {code}"] if code else []
    flaws += [f"it took {took:.0f} s to stop"] if took > GRACE else []
    flaws += [f"it left {claims} claims"] if claims else []
    return Blow(
        since=since,
        is_new=lambda letter: letter["connection"] not in known,
        limit=0,
        judge=lambda: flaws,
        ready=time.time(),
    )


def worker_stop(trial: Trial) -> Blow:
    """Stop the process that sends, and its children, for twice its lease."""
    worker = trial.stack.parts["email"]
    worker.halt()
    stopped = time.time()
    time.sleep(2 * LEASE)
    since = time.time()
    worker.resume()

    def late() -> list[str]:
        # A letter is in order if its message was claimed again; before the worker went on, nobody could claim.
        claims = dict(
            trial.ledger.rows(
                "SELECT message_id::text, min(extract(epoch FROM at))::float8 FROM messaging_messageevent "
                "WHERE type = 'sending' AND at > to_timestamp(%s) GROUP BY 1",
                stopped + 1,
            )
        )
        count = sum(
            claims.get(letter["message_id"].partition("@")[0], letter["time"]) >= letter["time"]
            for letter in trial.mail.letters
            if letter["time"] > since
        )
        return [f"{count} letters left after the end of their lease"] if count > CONNECTIONS else []

    return Blow(since=since, is_new=_of_new_claims(trial, since), limit=MARKED * CONNECTIONS, judge=late)


def broker_kill(trial: Trial) -> Blow:
    """Kill the broker, accept meanwhile, and start it again after some seconds."""
    trial.pair.valkey.kill()
    began = time.time()
    trial.accept(MEANWHILE)
    time.sleep(max(0.0, began + AWAY - time.time()))
    trial.pair.start_broker()
    since = time.time()
    return Blow(since=since, is_new=_of_new_claims(trial, since), limit=0)


def broker_flush(trial: Trial) -> Blow:
    """Let the broker forget everything: tasks, bells and bindings."""
    with redis.Redis.from_url(trial.stack.env["REDIS_URL"]) as client:
        client.flushall()
    since = time.time()
    trial.accept(MEANWHILE)
    return Blow(since=since, is_new=_of_new_claims(trial, since), limit=0)


def database_kill(trial: Trial) -> Blow:
    """Kill the database with all its processes, ask for accepts meanwhile, and start it again after some seconds."""
    trial.pair.postgres.kill()
    began = time.time()
    answers = []
    while time.time() < began + AWAY:
        answers.append(trial.client.ask_for("meanwhile@example.com"))
    trial.pair.start_database()
    since = time.time()
    eventually(lambda: trial.client.ask_for("afterwards@example.com").status == 202, "accepts succeed again")
    trial.client.accepted += 1
    wrong = [
        f"without a database an accept was answered {answer.status}, Retry-After {answer.headers.get('Retry-After')}"
        for answer in answers
        if answer.status != 503 or not answer.headers.get("Retry-After")
    ]
    return Blow(
        since=since,
        is_new=_of_new_claims(trial, since),
        limit=MARKED * CONNECTIONS,
        judge=lambda: wrong,
    )


FAULTS: dict[str, Callable[[Trial], Blow]] = {
    "worker-kill": worker_kill,
    "child-kill": child_kill,
    "worker-term": worker_term,
    "worker-stop": worker_stop,
    "broker-kill": broker_kill,
    "broker-flush": broker_flush,
    "database-kill": database_kill,
}


@contextmanager
def trial(pair: Pair, folder: Path, *, name: str) -> Iterator[Trial]:
    """Run a stack to strike, and a server that takes its letters, while the block lasts."""
    own = pair.store(name)
    with sink(folder) as mail, Stack(own.env, EMAIL_URL=mail.url) as stack:
        stack.start("api", "email", "inside", "beat")
        yield Trial(pair=pair, stack=stack, mail=mail, ledger=Ledger(own.url), client=Client(stack, own.key))


def strike(trial: Trial, fault: str, *, messages: int) -> Report:
    """Accept messages, strike while they are being sent, and wait until every one has gone out."""
    before = Counted.of(trial)
    report = Report(fault=fault)
    for _ in range(TRIES):
        report.struck_at = _load(trial, messages)
        if report.valid:
            break
    blow = FAULTS[fault](trial)
    _watch(trial, blow, report)
    _judge(trial, blow, report, before)
    return report


def _load(trial: Trial, messages: int) -> float:
    """Have messages accepted, and give the part of them that has arrived once it is time to strike."""
    arrived = len(trial.mail.letters)
    trial.accept(messages)
    enough = arrived + STRIKE_AT * messages
    eventually(lambda: len(trial.mail.letters) >= enough, "enough letters have arrived", step=0.01)
    return (len(trial.mail.letters) - arrived) / messages


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a trial has seen."""

    accepted: int
    sent: int
    arrived: int
    repeated: int

    @classmethod
    def of(cls, trial: Trial) -> Counted:
        return cls(
            accepted=trial.client.accepted,
            sent=trial.ledger.counts().get("SENT", 0),
            arrived=len(trial.mail.keys),
            repeated=trial.mail.repeated,
        )


def _watch(trial: Trial, blow: Blow, report: Report) -> None:
    """Wait for the next letter and for the last."""
    mail, ledger = trial.mail, trial.ledger
    known = sum(letter["time"] <= blow.since for letter in mail.letters)

    def first() -> float | None:
        return next((float(letter["time"]) for letter in mail.letters[known:] if blow.is_new(letter)), None)

    resumed = eventually(first, lambda: f"a further letter\n{trial.stack.tail('email')}")
    report.resumed = max(0.0, resumed - max(blow.since, blow.ready))
    eventually(lambda: ledger.all_in("SENT"), lambda: f"all are SENT: {ledger.counts()}", step=0.2)
    report.finished = time.time() - blow.since
    eventually(lambda: not ledger.number("SELECT count(*) FROM messaging_claim"), "the last claim ends")


def _judge(trial: Trial, blow: Blow, report: Report, before: Counted) -> None:
    now = Counted.of(trial)
    report.accepted = now.accepted - before.accepted
    report.sent = now.sent - before.sent
    report.lost = report.accepted - (now.arrived - before.arrived)
    report.repeated, report.limit = now.repeated - before.repeated, blow.limit
    report.violations = [*trial.ledger.violations(), *blow.judge(), *_other_keys(trial.mail)]
    if report.sent != report.accepted:
        report.violations.append(f"{report.accepted} were accepted, {report.sent} are SENT")


def _other_keys(mail: Mail) -> list[str]:
    """Repeats that the recipient could not know for repeats."""
    keys: dict[str, set[str]] = {}
    for letter in mail.letters:
        keys.setdefault(letter["to"][0], set()).add(letter["message_id"])
    return [f"{address} got {len(some)} Message-IDs" for address, some in keys.items() if len(some) > 1]
