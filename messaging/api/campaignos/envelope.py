"""The shapes around every answer of this surface: refusals, pages, and what all operations have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, Struct, UnsetType
from rest_framework.request import Request

from messaging.api.common import queries
from messaging.api.common.operations import F, describe
from messaging.api.common.queries import PageQuery
from messaging.api.common.refusals import (
    Broken,
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    RateLimited,
    WrongMediaType,
    headers_of,
)
from messaging.api.common.rendering import JSON, answer
from messaging.api.common.views import ApiView
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
    TransitionRefused,
    Unauthenticated,
    Unavailable,
)

CODES: dict[type[DispatchError], tuple[str, HTTPStatus]] = {
    Malformed: ("VALIDATION_ERROR", HTTPStatus.BAD_REQUEST),
    Invalid: ("VALIDATION_ERROR", HTTPStatus.BAD_REQUEST),
    Unauthenticated: ("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED),
    Forbidden: ("FORBIDDEN", HTTPStatus.FORBIDDEN),
    NotFound: ("NOT_FOUND", HTTPStatus.NOT_FOUND),
    MethodNotAllowed: ("METHOD_NOT_ALLOWED", HTTPStatus.METHOD_NOT_ALLOWED),
    NotAcceptable: ("NOT_ACCEPTABLE", HTTPStatus.NOT_ACCEPTABLE),
    Conflict: ("CONFLICT", HTTPStatus.CONFLICT),
    TransitionRefused: ("INVALID_STATE", HTTPStatus.CONFLICT),
    TooLarge: ("PAYLOAD_TOO_LARGE", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    WrongMediaType: ("UNSUPPORTED_MEDIA_TYPE", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    RateLimited: ("RATE_LIMITED", HTTPStatus.TOO_MANY_REQUESTS),
    QuotaExceeded: ("RATE_LIMITED", HTTPStatus.TOO_MANY_REQUESTS),
    Broken: ("INTERNAL_ERROR", HTTPStatus.INTERNAL_SERVER_ERROR),
    EncryptionFailed: ("INTERNAL_ERROR", HTTPStatus.INTERNAL_SERVER_ERROR),
    QueryTimeout: ("UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE),
    Unavailable: ("UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE),
}
"""What each error is on the wire; one that is not named is what its nearest ancestor is."""

FIELDS: dict[str, str] = {
    "template": "templateId",
    "contact": "contactId",
    "data": "metadata",
    "kind": "type",
    "scheduled_at": "startAt",
    "ends_at": "endAt",
}
"""Where the domain names a field otherwise than by the same word in camel case."""

_REFUSALS = {
    400: "A value is refused; `details.fields` says which.",
    401: "Nobody was recognised.",
    403: "The caller may not do this, or the CSRF token of the session is missing.",
    404: "The caller is not in the workspace, or there is no such thing in it.",
    405: "The path does not answer this method.",
    406: "The caller takes no JSON.",
    409: "It is taken already, or cannot be done in the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests or tries, or more messages than the day has left; try again after `Retry-After`.",
    500: "A fault on our side.",
    503: "It cannot be done now; try again after `Retry-After`.",
}


class Details(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """More about a refusal."""

    reason: str | UnsetType = UNSET
    """What exactly it was, for programs."""
    fields: dict[str, list[str]] | UnsetType = UNSET
    """What is wrong, by the field that is."""


class Error(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Why a request was refused."""

    code: str
    message: str
    details: Details | UnsetType = UNSET


class Refusal(Struct, kw_only=True, frozen=True):
    """The answer to a request that was refused."""

    error: Error


class Pagination(Struct, rename="camel", kw_only=True, frozen=True, omit_defaults=True):
    """Where a page stands in its list."""

    page: int
    limit: int
    total: int
    total_pages: int
    total_is_estimate: bool = False
    """Whether `total` was estimated, since there is more than is counted one by one."""


T = TypeVar("T")
R = TypeVar("R")


class Page(Struct, Generic[T], kw_only=True, frozen=True):
    """A page of a list."""

    data: list[T]
    pagination: Pagination


class Success(Struct, kw_only=True, frozen=True):
    """It was done, and there is nothing more to say."""

    success: bool = True


def paged(
    rows: Iterable[R], show: Callable[[R], T], *, query: PageQuery, total: int, estimated: bool = False
) -> Page[T]:
    """The rows of one page with its place."""
    return Page(
        data=[show(row) for row in rows],
        pagination=Pagination(
            page=query.page,
            limit=query.limit,
            total=total,
            total_pages=-(-total // query.limit),
            total_is_estimate=estimated,
        ),
    )


def refused(request: HttpRequest, error: DispatchError) -> HttpResponse:
    """A refusal in this surface's shape."""
    code, status = _code_of(error)
    body = Refusal(error=Error(code=code, message=error.detail, details=_details(error)))
    return answer(body, status.value, headers_of(error))


def field_name(pointer: str) -> str:
    """A place in the domain's words as this surface names it: `/contact_id` is `contactId`."""
    first, *rest = pointer.removeprefix("/").replace("~1", "/").replace("~0", "~").split("/")
    head, *words = first.split("_")
    return ".".join([FIELDS.get(first) or head + "".join(word.capitalize() for word in words), *rest])


def _code_of(error: DispatchError) -> tuple[str, HTTPStatus]:
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), CODES[Broken])


def _details(error: DispatchError) -> Details | UnsetType:
    fields: dict[str, list[str]] = {}
    for each in (known for known in error.errors if known.pointer):
        fields.setdefault(field_name(each.pointer), []).append(each.detail)
    # An error's own code says more than the surface's only where it is not the one that its kind always has.
    told = error.code != type(error).code
    if not fields and not told:
        return UNSET
    return Details(reason=error.code if told else UNSET, fields=fields or UNSET)


class View(ApiView):
    """A path of this surface; methods are not told the workspace, the caller is in it."""

    def dispatch(
        self, request: HttpRequest, *args: Any, workspace_id: UUID | None = None, **kwargs: Any
    ) -> HttpResponseBase:
        """Let the path, not a header, name the workspace that the caller must be in."""
        if workspace_id is not None:
            request.META["HTTP_X_WORKSPACE"] = str(workspace_id)
        return super().dispatch(request, *args, **kwargs)

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
    tag: str,
    answers: Mapping[int, Any],
    takes: Any = None,
    taken_as: tuple[str, ...] = (JSON,),
    query: type[Struct] | None = None,
    parameters: tuple[OpenApiParameter, ...] = (),
) -> Callable[[F], F]:
    """Describe an operation for the schema: its name, what it takes, what it answers when all is well."""
    return describe(
        name,
        tag=tag,
        answers=answers,
        refusal=Refusal,
        refusals=_REFUSALS,
        takes=takes,
        taken_as=taken_as,
        parameters=(*(queries.parameters(query) if query else ()), *parameters),
    )
