"""What a request can be refused for before the domain sees it, and what every exception means to the caller.

DispatchError
├── Invalid
│   └── Malformed      the body is not one JSON value
├── Unauthenticated
│   └── TokenExpired   the access token was good once
├── WrongMediaType         the body is of a kind that is not read here
├── NotAcceptable          the answer cannot be given in a form that the caller takes
├── MethodNotAllowed       the path does not answer this method; `allowed` says which
├── RateLimited            too many tries; `retry_after` says when to come back
└── Broken                 a fault of ours
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, InterfaceError, InternalError, OperationalError
from django.http import Http404
from psycopg_pool import PoolTimeout, TooManyRequests
from rest_framework import exceptions

from messaging.content.rendering import RenderFailed
from messaging.content.screen import Unclean
from messaging.errors import (
    DispatchError,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    QueryTimeout,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
)

log = structlog.get_logger(__name__)

QUERY_RETRY_SECONDS = 5


class Malformed(Invalid):
    """The body is not one JSON value, or the request is broken in itself."""

    code = "malformed_json"


class TokenExpired(Unauthenticated):
    """The access token was good once."""

    code = "invalid_token"


class WrongMediaType(DispatchError):
    """The body is of a kind that is not read here."""

    code = "unsupported_media_type"


class NotAcceptable(DispatchError):
    """The answer cannot be given in a form that the caller takes."""

    code = "not_acceptable"


class MethodNotAllowed(DispatchError):
    """The path does not answer this method."""

    code = "method_not_allowed"

    def __init__(self, detail: str, *, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = tuple(allowed)


class RateLimited(DispatchError):
    """Too many tries."""

    code = "rate_limited"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Broken(DispatchError):
    """A fault of ours."""

    code = "internal_error"


def refusal_of(error: Exception) -> DispatchError:
    """Say what an exception means to the caller; one that nobody foresaw is logged and Broken."""
    if isinstance(error, DispatchError):
        return error
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    log.error("request_failed", exc_info=error)
    return Broken("Something went wrong on our side.")


def headers_of(error: DispatchError, *, realm: str = "api") -> dict[str, str]:
    """What HTTP has a refusal tell beside its body: who may ask, when to come back, which methods there are."""
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        case Unavailable() | RateLimited() | QuotaExceeded():
            return {"Retry-After": str(error.retry_after)}
        case QueryTimeout():
            return {"Retry-After": str(QUERY_RETRY_SECONDS)}
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.allowed)}
    return {}


def _of_database(error: Any) -> DispatchError:
    """Tell a statement that ran out of time, a full disk and a database that is away from each other."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    log.warning("database_refused", error=type(error).__name__, sqlstate=state)
    if state == "57014":
        return QueryTimeout("Finding the answer took too long; ask for less.")
    if state == "53100":
        return Unavailable("There is no room to store this now.", code="storage_full", retry_after=30)
    if isinstance(error, DataError):
        # Screened at the edge; what slips through is still the caller's value and not our fault.
        return Invalid("A value cannot be stored.")
    return Unavailable("The database cannot be reached or is busy; try again.")


def _of_unclean(error: Any) -> DispatchError:
    return Invalid(error.detail, code=error.code, errors=[FieldError(error.pointer, error.code, error.detail)])


def _of_method(error: Any) -> DispatchError:
    return MethodNotAllowed(str(error.detail), allowed=())


_TRANSLATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], DispatchError]], ...] = (
    (Unclean, _of_unclean),
    (RenderFailed, lambda error: Invalid.at("/data", "render_failed", error.detail)),
    (RecursionError, lambda _: Invalid.at("", "too_deep", "Values are nested too deeply.")),
    ((OperationalError, InterfaceError, InternalError, DataError, PoolTimeout, TooManyRequests), _of_database),
    (exceptions.MethodNotAllowed, _of_method),
    (
        (exceptions.NotAuthenticated, exceptions.AuthenticationFailed),
        lambda _: Unauthenticated("The token is invalid or has expired.", code="invalid_token"),
    ),
    # The one permission that DRF itself checks is the CSRF token of a session.
    (exceptions.PermissionDenied, lambda error: Forbidden(str(error.detail), code="csrf_failed")),
    (PermissionDenied, lambda _: Forbidden("This is not allowed.")),
    (Http404, lambda _: NotFound("There is nothing here.")),
    (SuspiciousOperation, lambda _: Malformed("The request is malformed.", code="malformed_request")),
)
