"""Sends what is due to endpoints, many at once, by the adapter that sends webhooks.

Endpoints that work and endpoints that fail have lanes of their own, and in each of them an endpoint has a share of the
requests under way: one that stalls holds its share and nothing else. A turn sends until nothing is due, or its time is
up; while it waits for the last answers, the next turn goes on with what has become due meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import Error, close_old_connections

from channels_app.adapters.webhook import WebhookAdapter
from channels_app.base import ChannelAdapter, Session
from channels_app.types import Channel, OutboundMessage, SharedContent
from messaging.content import signatures
from messaging.errors import EncryptionFailed
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.webhooks import campaignos, deliveries, disabling, documents, subjects, trying
from messaging.webhooks.deliveries import Lane, Tried
from messaging.webhooks.subjects import Subjects
from messaging.webhooks.trying import Begun

log = structlog.get_logger(__name__)

AT_ONCE: Final = 48
"""Requests that one turn has under way."""
SHARES: Final = {Lane.STEADY: 12, Lane.FAILING: 1}
"""Requests of this process that one endpoint may hold."""
TURNS: Final = {Lane.STEADY: 3, Lane.FAILING: 1}
"""Turns of this process at a time."""
TURN_SECONDS: Final = 15.0
"""For how long a turn begins requests; a worker that is asked to stop has the time for it, and for the answers."""
_MARGIN: Final = 10.0
"""Seconds of a claim beyond the waiting and the sending."""
_GROUP: Final = 50
"""Outcomes that are recorded together at the most."""
_SHARED: Final = SharedContent(key=UUID(int=0))

_under_way: dict[Lane, Counter[UUID]] = {lane: Counter() for lane in Lane}
"""By endpoint, what this process has claimed and not yet heard of."""
_lock = threading.Lock()
_turns = {lane: threading.BoundedSemaphore(number) for lane, number in TURNS.items()}


def send(lane: Lane) -> int:
    """Send what is due to the endpoints of a lane; give how many requests were made."""
    with _turn(lane) as mine:
        return _Turn(lane).run() if mine else 0


@contextmanager
def _turn(lane: Lane) -> Iterator[bool]:
    """One of the turns that this process takes at a time; false where all are taken."""
    got = _turns[lane].acquire(blocking=False)
    try:
        yield got
    finally:
        if got:
            _turns[lane].release()


@cache
def _adapter() -> ChannelAdapter:
    """The adapter of this process; it keeps connections open from turn to turn."""
    return WebhookAdapter.from_options(
        Channel.WEBHOOK,
        {
            "allow": settings.EGRESS_ALLOW,
            "ca_file": settings.EGRESS_CA_FILE,
            "timeout": settings.WEBHOOK_DEADLINE_SECONDS,
            "concurrency": AT_ONCE,
            "rests": False,  # An endpoint that stalls has its share of the requests.
        },
    )


class _Turn:
    """Claims, sends and records, in one thread; the requests have threads of the adapter's session."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.deadline = float(settings.WEBHOOK_DEADLINE_SECONDS)
        self.ends = time.monotonic() + TURN_SECONDS
        self.begun: dict[UUID, Begun] = {}
        """Requests under way, by the delivery."""
        self.mine: Counter[UUID] = Counter()
        """This turn's part of what the process holds."""
        self.tried: list[Tried] = []
        self.made = 0
        self.drawing = True

    def run(self) -> int:
        session = _adapter().open()
        try:
            before = -1
            # A round ends where every endpoint has its share under way; once they have answered there is room again.
            while before < self.made and time.monotonic() < self.ends:
                before = self.made
                self._round(session)
        finally:
            session.close()
            self._record()
            with _lock:
                _under_way[self.lane] -= self.mine
        return self.made

    def _round(self, session: Session) -> None:
        self.drawing = True
        for key, outcome in session.deliver(self._outbound(), lambda: True):
            begun = self.begun.pop(key)
            self._leave(begun.delivery.endpoint_id)
            self.tried.append(trying.tried(begun, outcome))
            # Nobody draws while every thread is busy, nor at the end: what is known would wait with them.
            if not self.drawing or len(self.tried) >= _GROUP or len(self.begun) >= AT_ONCE - 1:
                self._record()

    def _outbound(self) -> Iterator[OutboundMessage]:
        """What is due, claim by claim, until nothing may be begun or the turn is over."""
        while time.monotonic() < self.ends:
            self._record()
            token, claimed = self._claim()
            if not claimed:
                break
            yield from self._prepared(token, claimed)
        self.drawing = False
        self._record()

    def _claim(self) -> tuple[UUID, list[WebhookDelivery]]:
        lease = 2 * self.deadline + _MARGIN
        # Two turns that looked at once would give an endpoint its share twice.
        with _lock:
            token, claimed = deliveries.claim(
                self.lane, limit=AT_ONCE, share=SHARES[self.lane], busy=_under_way[self.lane], lease=lease
            )
            number = Counter(each.endpoint_id for each in claimed)
            _under_way[self.lane] += number
            self.mine += number
        return token, claimed

    def _prepared(self, token: UUID, claimed: list[WebhookDelivery]) -> Iterator[OutboundMessage]:
        # A request that is begun by then ends within the claim.
        latest = time.monotonic() + self.deadline + _MARGIN / 2
        known = subjects.read(claimed)
        signers = _Signers()
        for delivery in claimed:
            begun = Begun(delivery=delivery, claim=token, began=time.monotonic())
            if begun.began > latest:
                # It is due again when its claim ends.
                self._leave(delivery.endpoint_id)
                continue
            made = _outbound(delivery, known, signers)
            if isinstance(made, str):
                self._leave(delivery.endpoint_id)
                self.tried.append(trying.untried(begun, made))
                continue
            self.begun[delivery.id] = begun
            self.made += 1
            yield made

    def _leave(self, endpoint_id: UUID) -> None:
        with _lock:
            _under_way[self.lane] -= Counter([endpoint_id])
        self.mine -= Counter([endpoint_id])

    def _record(self) -> None:
        """Write down what is known. Where that fails, the claims end by themselves, and the same is sent again."""
        tried, self.tried = self.tried, []
        if not tried:
            return
        try:
            held = deliveries.record(tried)
            worked = {each.endpoint_id for each in held if each.worked}
            disabling.worked(worked)
            gone = {each.endpoint_id for each in held if each.gone}
            failed = Counter(each.endpoint_id for each in held if each.failed)
            disabling.failed({key: number for key, number in failed.items() if key not in worked - gone}, gone=gone)
        except Error as error:
            log.warning("webhooks_not_recorded", number=len(tried), error=type(error).__name__)
            close_old_connections()


class _Signers(dict[UUID, tuple[str, ...]]):
    """The secrets of endpoints, each opened once for a claim."""

    def of(self, endpoint: WebhookEndpoint) -> tuple[str, ...]:
        if endpoint.id not in self:
            self[endpoint.id] = signatures.secrets_of(endpoint)
        return self[endpoint.id]


def _outbound(delivery: WebhookDelivery, known: Subjects, signers: _Signers) -> OutboundMessage | str:
    """A delivery as it goes out, or why it cannot."""
    endpoint = delivery.endpoint
    surface = campaignos if endpoint.format == WebhookEndpoint.Format.CAMPAIGNOS else documents
    document = surface.document(delivery, known)
    if document is None:
        return trying.NOTHING_LEFT
    try:
        secrets = signers.of(endpoint)
    except EncryptionFailed as error:
        log.error("webhook_secret_not_opened", endpoint_id=str(endpoint.id), error=error.detail)
        return error.code
    return OutboundMessage(
        id=delivery.id,
        known_as=delivery.event_id,
        workspace_id=endpoint.workspace_id,
        channel=Channel.WEBHOOK,
        address=endpoint.url,
        shared=_SHARED,
        headers=campaignos.headers(delivery, document, secrets) if surface is campaignos else {},
        credentials={signatures.CREDENTIAL: " ".join(secrets)},
        document=document,
        attempt=delivery.attempts,
    )
