"""Answers requests that send: once for each Idempotency-Key, with the outcome where it is waited for."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from rest_framework.request import Request

from messaging.api.common.rendering import JSON, encode
from messaging.dispatch import idempotency, intake, sending
from messaging.dispatch.idempotency import Answer, Key
from messaging.dispatch.intake import Acceptance, Draft, Recipient
from messaging.dispatch.sending import Accept, Sent
from messaging.tenancy.access import Caller

ASYNC = "respond-async"
"""The preference of a caller who does not wait for outcomes (RFC 7240)."""


def once(
    request: Request,
    caller: Caller,
    body: bytes,
    work: Callable[[], object],
    *,
    status: int = 202,
    encrypted: bool = False,
) -> HttpResponse:
    """Do the work in one transaction and answer; a repeat of the request gets the first answer again."""
    key = _key(request, caller, body, encrypted=encrypted)
    return _response(idempotency.once(key, lambda: Answer(status=status, body=encode(work()))))


def accept_one(caller: Caller, draft: Draft, recipient: Recipient, *, awaited: bool = False) -> Acceptance:
    """Accept one message from the caller.

    Raises:
        DispatchError: see `intake.accept`.
    """
    return intake.accept(
        workspace_id=caller.workspace_id,
        author_id=caller.user_id,
        test=caller.test,
        draft=draft,
        recipients=[recipient],
        batch=False,
        awaited=awaited,
    )


def send(
    request: Request,
    caller: Caller,
    body: bytes,
    *,
    accept: Accept,
    show: Callable[[Sent], tuple[int, object]],
    wait: bool = True,
    whole: bool = False,
    encrypted: bool = False,
) -> HttpResponse:
    """Accept messages, wait for the outcome of the first and answer; a repeat of the request gets the same answer.

    `accept` and `whole` are those of `dispatch.sending.send`. `show` gives the HTTP status and what to encode. A caller
    who prefers not to wait is answered at once.
    """
    at_once = prefers(request, ASYNC)

    def answer(sent: Sent) -> Answer:
        status, value = show(sent)
        return Answer(status=status, body=encode(value))

    given = sending.send(
        workspace_id=caller.workspace_id,
        key=_key(request, caller, body, encrypted=encrypted),
        accept=accept,
        show=answer,
        wait=wait and not at_once,
        whole=whole,
    )
    response = _response(given)
    if at_once:
        response["Preference-Applied"] = ASYNC
    return response


def prefers(request: Request, preference: str) -> bool:
    """Whether the request names this preference."""
    named = (each.partition(";")[0].partition("=")[0] for each in request.META.get("HTTP_PREFER", "").split(","))
    return any(name.strip().lower() == preference for name in named)


def _key(request: Request, caller: Caller, body: bytes, *, encrypted: bool) -> Key | None:
    value = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if value is None:
        return None
    path, query = request.path.rstrip("/").encode(), str(request.META.get("QUERY_STRING", "")).encode()
    mode = b"test" if caller.test else b"live"
    # What is sent has an author: the same of another person is another message.
    fingerprint = idempotency.fingerprint(str(request.method).encode(), path, query, mode, caller.user_id.bytes, body)
    return Key(workspace_id=caller.workspace_id, value=value, fingerprint=fingerprint, encrypted=encrypted)


def _response(answer: Answer) -> HttpResponse:
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return HttpResponse(answer.body, status=answer.status, content_type=JSON, headers=headers)
