"""The shapes around every answer of /api/v1: problem details (RFC 9457) and pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from django.http import HttpRequest, HttpResponse
from msgspec import Struct

from messaging.api.common import cursors
from messaging.api.common.cursors import Keyed, Slice
from messaging.api.common.middleware import request_id
from messaging.api.common.refusals import (
    Broken,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    WrongMediaType,
    headers_of,
)
from messaging.api.common.rendering import encode
from messaging.errors import (
    Conflict,
    DispatchError,
    EncryptionFailed,
    Forbidden,
    Invalid,
    NotFound,
    QueryTimeout,
    QuotaExceeded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

PROBLEM = "application/problem+json"

STATUS: dict[type[DispatchError], HTTPStatus] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    WrongMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    Broken: HTTPStatus.INTERNAL_SERVER_ERROR,
    EncryptionFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What each error is on the wire; one that is not named is what its nearest ancestor is."""


class ProblemError(Struct, kw_only=True, frozen=True):
    """One place that is wrong: a JSON pointer into the body, or `/name` of a query parameter."""

    pointer: str
    code: str
    detail: str


class Problem(Struct, kw_only=True, frozen=True):
    """Why a request was refused; `code` is stable and for programs, `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemError]


T = TypeVar("T")
K = TypeVar("K", bound=Keyed)


class Page(Struct, Generic[T], kw_only=True, frozen=True):
    """A stretch of a list; `next` and `previous` are the URLs of its neighbours."""

    results: list[T]
    next: str | None
    previous: str | None


def status_of(error: DispatchError) -> HTTPStatus:
    """The HTTP status of an error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def problem(request: HttpRequest, error: DispatchError) -> HttpResponse:
    """A refusal as problem details."""
    status = status_of(error)
    body = Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=error.detail,
        code=error.code,
        request_id=request_id(request),
        errors=[ProblemError(pointer=each.pointer, code=each.code, detail=each.detail) for each in error.errors],
    )
    return HttpResponse(encode(body), status=status.value, content_type=PROBLEM, headers=headers_of(error))


def page(request: HttpRequest, found: Slice[K], show: Callable[[K], Any], *, query: str) -> Page[Any]:
    """A stretch of rows with the URLs of its neighbours."""
    return Page(
        results=[show(row) for row in found.rows],
        next=_url(request, found.next, query),
        previous=_url(request, found.previous, query),
    )


def _url(request: HttpRequest, place: cursors.Cursor | None, query: str) -> str | None:
    if place is None:
        return None
    parameters = request.GET.copy()
    parameters["cursor"] = cursors.write(place, query=query)
    return request.build_absolute_uri(f"{request.path}?{parameters.urlencode()}")


def listed(rows: Sequence[Any]) -> Page[Any]:
    """A short list in whole, as one page."""
    return Page(results=list(rows), next=None, previous=None)
