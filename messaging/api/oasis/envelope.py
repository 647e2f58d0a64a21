"""The shapes around every answer of the OASIS messaging API, and what each refusal is called in it.

Operations that manage messages wrap what they give twice; those between avatars wrap it once, and where nobody is
recognised answer HTTP 200 like everything under the prefix, unless `OASIS_HTTP_ERRORS` is `strict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from msgspec import UNSET, Meta, Struct, UnsetType

from messaging.api.common.middleware import request_id
from messaging.api.common.refusals import (
    Broken,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    TokenExpired,
    WrongMediaType,
    headers_of,
)
from messaging.api.common.rendering import answer, stamp
from messaging.dispatch.rates import Allowance
from messaging.errors import (
    Conflict,
    DispatchError,
    EncryptionFailed,
    FieldError,
    Forbidden,
    IdempotencyInFlight,
    IdempotencyMismatch,
    Invalid,
    NotFound,
    QueryTimeout,
    QuotaExceeded,
    TooLarge,
    TransitionRefused,
    Unauthenticated,
    Unavailable,
)

STRICT: Final = "strict"

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]
Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
T = TypeVar("T")
_AS_THEY_ARE: Final[Mapping[str, str]] = {}


class Meaning(NamedTuple):
    """What a refusal is on the wire."""

    code: str
    title: str
    status: HTTPStatus


MESSAGE_NOT_FOUND = Meaning("MESSAGE_NOT_FOUND", "Message not found", HTTPStatus.NOT_FOUND)
INVALID_RECIPIENT = Meaning("INVALID_RECIPIENT", "Invalid recipient", HTTPStatus.BAD_REQUEST)
SEND_FAILED = Meaning("MESSAGE_SEND_FAILED", "Message send failed", HTTPStatus.BAD_GATEWAY)
TEMPLATE_NOT_FOUND = Meaning("TEMPLATE_NOT_FOUND", "Template not found", HTTPStatus.NOT_FOUND)
ENCRYPTION_ERROR = Meaning("ENCRYPTION_ERROR", "Encryption error", HTTPStatus.INTERNAL_SERVER_ERROR)
NO_PROVIDER = Meaning("PROVIDER_NOT_AVAILABLE", "Provider not available", HTTPStatus.INTERNAL_SERVER_ERROR)
_INVALID = Meaning("VALIDATION_ERROR", "Validation failed", HTTPStatus.BAD_REQUEST)
_NOBODY = "Unauthorized. Log in first, and send the token as Authorization: Bearer."
_EXPIRED = Meaning("TOKEN_EXPIRED", _NOBODY, HTTPStatus.UNAUTHORIZED)
_RATE = Meaning("RATE_LIMIT_EXCEEDED", "Rate limit exceeded", HTTPStatus.TOO_MANY_REQUESTS)
_UNAVAILABLE = Meaning("SERVICE_UNAVAILABLE", "Service unavailable", HTTPStatus.SERVICE_UNAVAILABLE)

BY_CODE: Final[Mapping[str, Meaning]] = {
    "message_not_found": MESSAGE_NOT_FOUND,
    "avatar_not_found": Meaning("AVATAR_NOT_FOUND", "Avatar not found", HTTPStatus.NOT_FOUND),
    "invalid_recipient": INVALID_RECIPIENT,
    "contact_not_found": INVALID_RECIPIENT,
    "contact_unreachable": INVALID_RECIPIENT,
    "suppressed": INVALID_RECIPIENT,
    "recipient_opted_out": INVALID_RECIPIENT,
    "template_not_found": TEMPLATE_NOT_FOUND,
    "encryption_failed": ENCRYPTION_ERROR,
    "encryption_not_configured": ENCRYPTION_ERROR,
    "provider_not_configured": NO_PROVIDER,
    "invalid_guid": Meaning("INVALID_GUID", "Invalid GUID", HTTPStatus.BAD_REQUEST),
    "invalid_parameter": Meaning("INVALID_PARAMETER", "Invalid parameter", HTTPStatus.BAD_REQUEST),
    "missing_content": Meaning("MISSING_REQUIRED_FIELD", "Missing required field", HTTPStatus.BAD_REQUEST),
    "missing_body": Meaning("MISSING_REQUIRED_FIELD", "The request body is required.", HTTPStatus.BAD_REQUEST),
    "invalid_token": Meaning("TOKEN_INVALID", _NOBODY, HTTPStatus.UNAUTHORIZED),
    "invalid_key": Meaning("TOKEN_INVALID", _NOBODY, HTTPStatus.UNAUTHORIZED),
}
"""Codes of the domain that have a name of their own here, whatever kind of error bears them."""

BY_KIND: Final[Mapping[type[DispatchError], Meaning]] = {
    Malformed: _INVALID,
    Invalid: _INVALID,
    IdempotencyMismatch: Meaning("IDEMPOTENCY_MISMATCH", "Idempotency key reused", HTTPStatus.UNPROCESSABLE_ENTITY),
    IdempotencyInFlight: Meaning("IDEMPOTENCY_IN_FLIGHT", "Request in progress", HTTPStatus.CONFLICT),
    Unauthenticated: Meaning("UNAUTHORIZED", _NOBODY, HTTPStatus.UNAUTHORIZED),
    Forbidden: Meaning("FORBIDDEN", "Forbidden", HTTPStatus.FORBIDDEN),
    NotFound: Meaning("NOT_FOUND", "Not found", HTTPStatus.NOT_FOUND),
    MethodNotAllowed: Meaning("METHOD_NOT_ALLOWED", "Method not allowed", HTTPStatus.METHOD_NOT_ALLOWED),
    NotAcceptable: Meaning("NOT_ACCEPTABLE", "Not acceptable", HTTPStatus.NOT_ACCEPTABLE),
    TransitionRefused: Meaning("INVALID_STATE", "Invalid state", HTTPStatus.CONFLICT),
    Conflict: Meaning("CONFLICT", "Conflict", HTTPStatus.CONFLICT),
    TooLarge: Meaning("PAYLOAD_TOO_LARGE", "Payload too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    WrongMediaType: Meaning("UNSUPPORTED_MEDIA_TYPE", "Unsupported media type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    RateLimited: _RATE,
    QuotaExceeded: _RATE,
    EncryptionFailed: ENCRYPTION_ERROR,
    Broken: Meaning("INTERNAL_ERROR", "Internal error", HTTPStatus.INTERNAL_SERVER_ERROR),
    QueryTimeout: _UNAVAILABLE,
    Unavailable: _UNAVAILABLE,
}
"""What each error is on the wire; one that is not named is what its nearest ancestor is."""

_MILD: Final = frozenset({"missing_body"})
"""Refusals that come as HTTP 200, beside those of callers whom nobody recognised."""


class Outcome(Struct, Generic[T], kw_only=True, frozen=True):
    """What a management operation gives."""

    success: bool
    data: T
    message: str


class Done(Struct, Generic[T], kw_only=True, frozen=True, rename="camel"):
    """The answer of a management operation."""

    result: Outcome[T]
    is_error: No = False
    message: str = "Success"


class Result(Struct, Generic[T], kw_only=True, frozen=True, rename="camel"):
    """The answer of an operation between avatars."""

    result: T
    is_error: No = False
    is_warning: bool = False
    message: str = "Success"


class Results(Struct, Generic[T], kw_only=True, frozen=True, rename="camel"):
    """A stretch of a list between avatars."""

    result: list[T]
    results_count: int
    is_error: No = False
    is_warning: bool = False
    message: str = "Success"


class Listing(Results[T], Generic[T], kw_only=True, frozen=True, rename="camel"):
    """A stretch of the list of messages, and how many there are in all."""

    total_count: int
    total_is_estimate: bool | UnsetType = UNSET
    """Only there, and true, where there are too many to be counted one by one."""
    limit: int
    offset: int


class Wrong(Struct, kw_only=True, frozen=True):
    """One place of the request that is wrong."""

    field: str
    message: str


class About(Struct, kw_only=True, frozen=True, rename="camel", omit_defaults=True):
    """Which request was refused, and when."""

    request_id: str
    timestamp: Moment
    message_id: str | UnsetType = UNSET
    """The message that was stored and did not go out."""
    rate_limit_reset: int | UnsetType = UNSET
    """When there is more room again, in seconds of Unix time."""
    retry_after: int | UnsetType = UNSET
    """Seconds to wait."""


class Failure(Struct, kw_only=True, frozen=True, rename="camel"):
    """Why a request was refused. `message` says what kind of refusal it is, `exception` what exactly is wrong."""

    result: bool | None = None
    is_error: Yes = True
    is_warning: bool = False
    message: str
    exception: str
    error_code: str
    errors: list[Wrong] | UnsetType = UNSET
    metadata: About


def done(data: T, message: str = "Success") -> Done[T]:
    """What a management operation gives, wrapped."""
    return Done(result=Outcome(success=True, data=data, message=message))


def meaning_of(error: DispatchError) -> Meaning:
    """What an error is called here: by its code, else by the first place that has one, else by its kind."""
    if isinstance(error, TokenExpired):
        return _EXPIRED
    for code in (error.code, *(each.code for each in error.errors)):
        if code in BY_CODE:
            return BY_CODE[code]
    return next((BY_KIND[kind] for kind in type(error).__mro__ if kind in BY_KIND), BY_KIND[Broken])


def failed(
    request: HttpRequest,
    meaning: Meaning,
    exception: str,
    *,
    result: bool | None = None,
    errors: list[Wrong] | UnsetType = UNSET,
    **about: Any,
) -> Failure:
    """A refusal as it is shown."""
    return Failure(
        result=result,
        message=meaning.title,
        exception=exception,
        error_code=meaning.code,
        errors=errors,
        metadata=About(request_id=request_id(request), timestamp=stamp(timezone.now()), **about),
    )


def failure(
    request: HttpRequest,
    error: DispatchError,
    *,
    result: bool | None = None,
    names: Mapping[str, str] = _AS_THEY_ARE,
    allowance: Allowance | None = None,
) -> HttpResponse:
    """A refusal as an answer. `names` says what the domain's fields are called in the request."""
    meaning = meaning_of(error)
    errors = [Wrong(field=_field(each, names), message=each.detail) for each in error.errors]
    about: dict[str, Any] = {}
    if isinstance(error, RateLimited | QuotaExceeded):
        reset = allowance.reset if allowance is not None else int(timezone.now().timestamp()) + error.retry_after
        about = {"rate_limit_reset": reset, "retry_after": error.retry_after}
    shown = failed(request, meaning, error.detail, result=result, errors=errors or UNSET, **about)
    return answer(shown, status=_status(meaning, error).value, headers=_headers(error))


def _headers(error: DispatchError) -> dict[str, str]:
    """Those of any surface; an answer of 200 asks nobody to say who they are."""
    mild = isinstance(error, Unauthenticated) and settings.OASIS_HTTP_ERRORS != STRICT
    return {} if mild else headers_of(error)


def _status(meaning: Meaning, error: DispatchError) -> HTTPStatus:
    mild = meaning.status == HTTPStatus.UNAUTHORIZED or error.code in _MILD
    return HTTPStatus.OK if mild and settings.OASIS_HTTP_ERRORS != STRICT else meaning.status


def _field(error: FieldError, names: Mapping[str, str]) -> str:
    first, *rest = error.pointer.removeprefix("/").split("/")
    # A field that does not exist here is the caller's own word.
    return ".".join([first if error.code == "unknown_field" else names.get(first, first), *rest])
