"""A session made of one function: for providers that take one message a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from uuid import UUID

from channels_app.base import Session
from channels_app.errors import ChannelError
from channels_app.types import Ambiguous, OutboundMessage, Outcome, Permanent, Throttled


class ThreadedSession(Session):
    """Calls `send_one` in up to `concurrency` threads at once.

    `send_one` must be safe to call from several threads, bound its own time, and answer by an outcome. What it raises
    is answered too: a ChannelError as Permanent, anything else as Ambiguous, since the request may have left.
    """

    def __init__(
        self, send_one: Callable[[OutboundMessage], Outcome], concurrency: int, close: Callable[[], None] | None = None
    ) -> None:
        self._send_one = send_one
        self._concurrency = concurrency
        self._close = close
        self._pool: ThreadPoolExecutor | None = None

    def deliver(self, batch: Iterator[OutboundMessage], may_send: Callable[[], bool]) -> Iterator[tuple[UUID, Outcome]]:
        """Send as many at once as there are threads; yield each outcome once it is known, in whatever order."""
        pool = self._pool = self._pool or ThreadPoolExecutor(self._concurrency, "provider")
        under_way: dict[Future[Outcome], UUID] = {}
        try:
            for message in batch:
                if not may_send():
                    yield message.id, _NOT_BEGUN
                    break
                under_way[pool.submit(self._answer, message)] = message.id
                # Drawing may wait: nothing that is known already waits with it, and a thread is free when it returns.
                yield from _finished(under_way, at_most=self._concurrency - 1)
            yield from _finished(under_way, at_most=0)
            # Nothing is left here unless may_send said no.
            for message in batch:
                yield message.id, _NOT_BEGUN
        finally:
            wait(under_way)

    def close(self) -> None:
        """End the threads and whatever the adapter keeps open."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        if self._close is not None:
            self._close()

    def _answer(self, message: OutboundMessage) -> Outcome:
        try:
            return self._send_one(message)
        except ChannelError as error:
            return Permanent(code=error.code, detail=str(error))
        except Exception as error:
            return Ambiguous(detail=f"the adapter failed: {type(error).__name__}")


_NOT_BEGUN = Throttled(wait=0.0, code="not_begun")


def _finished(under_way: dict[Future[Outcome], UUID], *, at_most: int) -> Iterator[tuple[UUID, Outcome]]:
    """Yield what is done, and wait until at most so many are under way."""
    while True:
        for future in [future for future in under_way if future.done()]:
            yield under_way.pop(future), future.result()
        if len(under_way) <= at_most:
            return
        wait(under_way, return_when=FIRST_COMPLETED)
