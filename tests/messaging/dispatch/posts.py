"""Requests that send, without HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from messaging.dispatch import intake, sending
from messaging.dispatch.idempotency import Answer, Key
from messaging.dispatch.sending import Sent
from messaging.models import Message, MessageEvent, Workspace
from tests.factories import draft


@dataclass
class Post:
    """One request, which can be made again."""

    workspace: Workspace
    to: tuple[str, ...] = ("ann@example.com",)
    key: str | None = None
    body: bytes = b"{}"
    encrypted: bool = False
    wait: bool = True
    fields: dict[str, Any] = field(default_factory=dict)
    seen: list[Sent] = field(default_factory=list)
    accepted: threading.Event = field(default_factory=threading.Event)
    backends: set[int] = field(default_factory=set)
    answers: int = 0
    fails: BaseException | None = None

    def make(self) -> Answer:
        workspace_id = self.workspace.id
        named = (
            Key(workspace_id=workspace_id, value=self.key, fingerprint=self.body, encrypted=self.encrypted)
            if self.key is not None
            else None
        )
        return sending.send(workspace_id=workspace_id, key=named, accept=self.accept, show=self.show, wait=self.wait)

    def accept(self, awaited: bool) -> list[UUID]:
        accepted = intake.accept(
            workspace_id=self.workspace.id,
            author_id=None,
            test=False,
            draft=draft(**self.fields),
            recipients=[intake.Recipient(to=to) for to in self.to],
            batch=len(self.to) > 1,
            awaited=awaited,
        )
        self.backends.add(connection.connection.info.backend_pid)
        transaction.on_commit(self.accepted.set)
        return accepted.ids

    def show(self, sent: Sent) -> Answer:
        if self.fails is not None:
            raise self.fails
        self.seen.append(sent)
        return Answer(status=200, body=f"{sent.message.id} {sent.message.status} {len(self.seen)}".encode())

    @property
    def sent(self) -> Sent:
        return self.seen[-1]


@contextmanager
def under_way(post: Post) -> Iterator[Future[Answer]]:
    """The request made in a thread of its own, its message accepted and waited for."""

    def run() -> Answer:
        try:
            return post.make()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(run)
        assert post.accepted.wait(30)
        yield making


def only() -> Message:
    return Message.objects.get()


def story(key: UUID) -> list[str]:
    return list(MessageEvent.objects.filter(message_id=key).order_by("at", "id").values_list("type", flat=True))
