"""The shapes around every answer of this surface: refusals, and what all operations have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, Meta, Struct, UnsetType
from rest_framework.request import Request

from messaging.api.common.middleware import request_id
from messaging.api.common.operations import WORKSPACE, F, describe
from messaging.api.common.refusals import (
    Broken,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    WrongMediaType,
    headers_of,
)
from messaging.api.common.rendering import answer
from messaging.api.common.views import ApiView
from messaging.errors import (
    Conflict,
    DispatchError,
    EncryptionFailed,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    QueryTimeout,
    QuotaExceeded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

STATUS: dict[type[DispatchError], HTTPStatus] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    Malformed: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    NotAcceptable: HTTPStatus.NOT_ACCEPTABLE,
    Conflict: HTTPStatus.CONFLICT,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    WrongMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    Broken: HTTPStatus.INTERNAL_SERVER_ERROR,
    EncryptionFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    QueryTimeout: HTTPStatus.SERVICE_UNAVAILABLE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""What each error is on the wire; one that is not named is what its nearest ancestor is."""

_UNPROVIDED = "provider_not_configured"
REASONS: dict[str, HTTPStatus] = {
    "suppressed": HTTPStatus.FORBIDDEN,
    "recipient_opted_out": HTTPStatus.FORBIDDEN,
    "expired": HTTPStatus.REQUEST_TIMEOUT,
    "invalid_recipient": HTTPStatus.BAD_REQUEST,
    "invalid_address": HTTPStatus.BAD_REQUEST,
    "render_failed": HTTPStatus.BAD_REQUEST,
    "hard_bounce": HTTPStatus.BAD_REQUEST,
    "outcome_unknown": HTTPStatus.GATEWAY_TIMEOUT,
    _UNPROVIDED: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The number for a reason that carries none of its provider's; one that is not named is a fault of the sending."""

FIELDS: dict[str, str] = {
    "template": "template_id",
    "subject": "title",
    "body": "content",
    "text": "content",
    "data": "values",
    "key": "name",
    "channel": "system",
    "contact_id": "to",
}
"""Where the domain names a field by another word."""

UNKNOWN = frozenset({"unknown_field", "unknown_parameter"})
"""What is said of a name that is the caller's own."""

_NUMBER = re.compile(r"(?:\A|_)(\d{3,9})\Z")

_REFUSALS = {
    400: "A value is refused; `details.fields` says which.",
    401: "Nobody was recognised.",
    403: "The caller may not do this.",
    404: "There is no such thing in the organisation.",
    405: "The path does not answer this method.",
    406: "The caller takes no JSON.",
    409: "It is taken already, or cannot be done in the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests or tries, or more messages than the day has left; try again after `Retry-After`.",
    500: "A fault on our side, or of the provider.",
    503: "It cannot be done now; try again after `Retry-After`.",
}


class Place(Struct, kw_only=True, frozen=True):
    """A field that is wrong."""

    field: str
    code: str
    message: str


class Details(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """More about an error, for programs."""

    reason: str
    fields: list[Place] | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    id: str | UnsetType = UNSET
    """The message that was made all the same."""
    request_id: str | UnsetType = UNSET


class Error(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a request was refused, or a message failed."""

    code: Annotated[int, Meta(extra_json_schema={"format": "int32"})]
    """The HTTP status, or the number by which a provider knows the failure."""
    message: str
    details: Details | UnsetType = UNSET


def status_of(error: DispatchError) -> HTTPStatus:
    """The HTTP status of an error."""
    if _is_unprovided(error):
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


def _is_unprovided(error: DispatchError) -> bool:
    return any(place.code == _UNPROVIDED for place in error.errors)


def number_of(reason: str) -> int:
    """The number for the reason that a message failed for: its provider's own where it has one."""
    found = _NUMBER.search(reason)
    return int(found[1]) if found else REASONS.get(reason, HTTPStatus.INTERNAL_SERVER_ERROR).value


def refused(request: HttpRequest, error: DispatchError) -> HttpResponse:
    """A refusal in this surface's shape."""
    status = status_of(error).value
    fields = [Place(field=_field(each), code=each.code, message=each.detail) for each in error.errors]
    reason = _UNPROVIDED if _is_unprovided(error) else error.code
    details = Details(reason=reason, fields=fields or UNSET, request_id=request_id(request) or UNSET)
    return answer(Error(code=status, message=error.detail, details=details), status, headers_of(error))


def _field(place: FieldError) -> str:
    """A place in the domain's words as this surface names it, `/subject` as `title`; what nobody knows, as it came."""
    first, *rest = place.pointer.removeprefix("/").replace("~1", "/").replace("~0", "~").split("/")
    return ".".join([first if place.code in UNKNOWN else FIELDS.get(first, first), *rest])


class View(ApiView):
    """A path of this surface."""

    def refuse(self, error: DispatchError) -> HttpResponse:
        return refused(self.request, error)


class Nothing(View):
    """Any other path."""

    authentication_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing here.")


def operation(
    name: str,
    *,
    answers: Mapping[int, Any],
    takes: Any = None,
    parameters: tuple[OpenApiParameter, ...] = (),
    tag: str = "messages",
) -> Callable[[F], F]:
    """Describe an operation for the schema: its name, what it takes, what it answers when all is well."""
    return describe(
        name,
        tag=tag,
        answers=answers,
        refusal=Error,
        refusals=_REFUSALS,
        takes=takes,
        parameters=(WORKSPACE, *parameters),
    )
