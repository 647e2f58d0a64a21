"""A session over several connections, for providers that take one message after the other on each.

While a provider is quick one connection is best: each message costs us more time than the wait for its answer. Once the
provider takes its time the waits are spent side by side.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Final
from uuid import UUID

from channels_app.base import Session
from channels_app.types import Accepted, OutboundMessage, Outcome, Permanent, Throttled

SLOW: Final = 0.05
"""Seconds for a message from which on others could well be sent beside it."""
IN_A_ROW: Final = 10
"""Messages in a row that must be slow: a busy moment is none of the provider's."""

_MaySend = Callable[[], bool]
_Answer = tuple[UUID, Outcome]


class Lane(Session):
    """A session over one connection, which can be made ahead of the first message."""

    @abstractmethod
    def prepare(self) -> bool:
        """Connect, unless there is a connection; tell whether the provider let us in. Never raises."""


class SpreadSession(Session):
    """Sends by one lane, and by up to `most` for the rest of a batch whose beginning was slow.

    Each further lane is connected before a message is drawn for it, so that a provider that lets no more of them in
    costs no message anything; it takes leave with the batch. A message that is neither taken nor refused for good ends
    the spreading: the first lane alone finds out what that means for the rest.
    """

    def __init__(self, make: Callable[[], Lane], most: int) -> None:
        self._make = make
        self._most = self._allowed = most
        self._first = make()
        self._pool: ThreadPoolExecutor | None = None

    def deliver(self, batch: Iterator[OutboundMessage], may_send: _MaySend) -> Iterator[_Answer]:
        """Send one message after the other, or several at one time where that is quicker."""
        watch = _Watch(batch)
        while not watch.over:
            watch.start()
            for answer in self._first.deliver(watch, may_send):
                watch.note()
                yield answer
                watch.go_on()
            if not watch.slow:
                return
            yield from self._spread(watch, may_send)

    def close(self) -> None:
        """Take leave, and end the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        self._first.close()

    def _spread(self, watch: _Watch, may_send: _MaySend) -> Iterator[_Answer]:
        """Send by all lanes until the batch is over, or something is wrong."""
        pool = self._pool = self._pool or ThreadPoolExecutor(self._most, "lane")
        self._allowed = min(self._allowed + 1, self._most)
        others = [self._make() for _ in range(self._allowed - 1)]
        opening = {pool.submit(lane.prepare): lane for lane in others}
        free = [self._first]
        sending: dict[Future[list[_Answer]], tuple[Lane, OutboundMessage]] = {}
        again: list[OutboundMessage] = []
        sound = True
        try:
            while True:
                while free and (message := _next(again, watch if sound else None)) is not None:
                    lane = free.pop()
                    sending[pool.submit(_send, lane, message, may_send)] = lane, message
                if not sending:
                    return
                wait(_all(sending, opening), return_when=FIRST_COMPLETED)
                free += self._opened(opening)
                for future in [future for future in sending if future.done()]:
                    (lane, message), answers = sending.pop(future), future.result()
                    if _is_refused(answers):
                        # Whoever is being let in just now can have the message as well.
                        wait(opening if not (free or sending) else ())
                        free += self._opened(opening)
                        if free or sending:
                            self._allowed -= 1
                            again.append(message)
                            continue
                    free.append(lane)
                    for answer in answers:
                        sound = sound and isinstance(answer[1], Accepted | Permanent)
                        yield answer
        finally:
            wait(_all(sending, opening))
            self._opened(opening)
            wait([pool.submit(lane.close) for lane in others])

    def _opened(self, opening: dict[Future[bool], Lane]) -> list[Lane]:
        """Give the lanes that are open by now. Next time one more is tried than was let in."""
        done = [(future.result(), opening.pop(future)) for future in list(opening) if future.done()]
        self._allowed -= sum(not opened for opened, _ in done)
        return [lane for opened, lane in done if opened]


class _Watch(Iterator[OutboundMessage]):
    """A batch that ends for one lane once that proved slow. What the next message waits for here does not count."""

    def __init__(self, batch: Iterator[OutboundMessage]) -> None:
        self._batch = batch
        self._row = 0
        self._since = 0.0
        self.over = False
        self.slow = False

    def start(self) -> None:
        self._row, self.slow = 0, False
        self.go_on()

    def go_on(self) -> None:
        self._since = time.monotonic()

    def note(self) -> None:
        self._row = self._row + 1 if time.monotonic() - self._since >= SLOW else 0
        self.slow = self._row >= IN_A_ROW

    def draw(self) -> OutboundMessage | None:
        begun = time.monotonic()
        message = next(self._batch, None)
        self.over = message is None
        self._since += time.monotonic() - begun
        return message

    def __next__(self) -> OutboundMessage:
        message = None if self.slow else self.draw()
        if message is None:
            raise StopIteration
        return message


def _send(lane: Lane, message: OutboundMessage, may_send: _MaySend) -> list[_Answer]:
    return list(lane.deliver(iter([message]), may_send))


def _is_refused(answers: list[_Answer]) -> bool:
    """Tell whether a lane was not let in again, so that its message was never begun."""
    return any(isinstance(outcome, Throttled) and outcome.wait > 0 for _, outcome in answers)


def _next(again: list[OutboundMessage], watch: _Watch | None) -> OutboundMessage | None:
    """Give the message to send next; none is drawn without the watch."""
    if again:
        return again.pop()
    return watch.draw() if watch is not None else None


def _all(*futures: Mapping[Any, object]) -> set[Future[Any]]:
    return {future for some in futures for future in some}
