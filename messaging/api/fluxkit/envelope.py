"""The shape of every refusal of /messaging, and what all its operations have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from msgspec import UNSET, Struct, UnsetType
from rest_framework.request import Request

from messaging.api.common.operations import WORKSPACE, F, describe
from messaging.api.common.refusals import MethodNotAllowed, NotAcceptable, RateLimited, WrongMediaType, headers_of
from messaging.api.common.rendering import answer
from messaging.api.common.views import ApiView
from messaging.api.fluxkit.vocabulary import ChannelWord
from messaging.errors import (
    Conflict,
    DispatchError,
    Forbidden,
    Invalid,
    NotFound,
    QueryTimeout,
    QuotaExceeded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)


class Code(StrEnum):
    """Why a request was refused, for programs."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    PROVIDER_NOT_CONFIGURED = "PROVIDER_NOT_CONFIGURED"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    TEMPLATE_NOT_FOUND = "TEMPLATE_NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    CONFLICT = "CONFLICT"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    RATE_LIMITED = "RATE_LIMITED"
    SEND_FAILED = "SEND_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    UNAVAILABLE = "UNAVAILABLE"


HTTP: dict[Code, HTTPStatus] = {
    Code.VALIDATION_ERROR: HTTPStatus.BAD_REQUEST,
    Code.PROVIDER_NOT_CONFIGURED: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Code.FORBIDDEN: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.TEMPLATE_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Code.NOT_ACCEPTABLE: HTTPStatus.NOT_ACCEPTABLE,
    Code.CONFLICT: HTTPStatus.CONFLICT,
    Code.PAYLOAD_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Code.RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.SEND_FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}

CODES: dict[type[DispatchError], Code] = {
    Invalid: Code.VALIDATION_ERROR,
    Unauthenticated: Code.UNAUTHORIZED,
    Forbidden: Code.FORBIDDEN,
    NotFound: Code.NOT_FOUND,
    MethodNotAllowed: Code.METHOD_NOT_ALLOWED,
    NotAcceptable: Code.NOT_ACCEPTABLE,
    Conflict: Code.CONFLICT,
    TooLarge: Code.PAYLOAD_TOO_LARGE,
    WrongMediaType: Code.UNSUPPORTED_MEDIA_TYPE,
    RateLimited: Code.RATE_LIMITED,
    QuotaExceeded: Code.RATE_LIMITED,
    QueryTimeout: Code.UNAVAILABLE,
    Unavailable: Code.UNAVAILABLE,
}
"""What each error is on the wire; one that is not named is what its nearest ancestor is, else a fault of ours."""

REASONS: dict[str, Code] = {
    "provider_not_configured": Code.PROVIDER_NOT_CONFIGURED,
    "template_not_found": Code.TEMPLATE_NOT_FOUND,
    "encryption_failed": Code.INTERNAL_ERROR,
}
"""Reasons of the core, for a refusal or the end of a message, that have a code of their own here."""

FIELDS: dict[str, str] = {"reply_to": "replyTo"}
"""Where the domain names a field otherwise."""

_INDEX = re.compile(r"\.(\d+)(?=\.|\Z)")

_REFUSALS = {
    400: "A value is refused (`details.fields` says which), or the channel has no provider.",
    401: "Nobody was recognised.",
    403: "The caller may not do this.",
    404: "There is no such template, or no such path.",
    405: "The path does not answer this method.",
    406: "The caller takes no JSON.",
    409: "The same request is being worked on.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests, or more messages than the day has left; try again after `Retry-After`.",
    500: "The message was not sent (SEND_FAILED), or there is a fault on our side.",
    503: "It cannot be done now; try again after `Retry-After`.",
}


class Details(Struct, rename="camel", kw_only=True, frozen=True):
    """More about a refusal, as far as there is any."""

    channel: ChannelWord | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    template: str | UnsetType = UNSET
    message_ids: list[str] | UnsetType = UNSET
    """The messages to all recipients, where there were several: the others may have gone out."""
    fields: dict[str, list[str]] | UnsetType = UNSET
    """What is wrong, by the field that is."""


class Error(Struct, kw_only=True, frozen=True):
    """Why a request was refused: `code` is for programs, `message` for people."""

    code: Code
    message: str
    details: Details


class Refusal(Struct, kw_only=True, frozen=True):
    """The answer to a request that was refused."""

    error: Error


def refusal(code: Code, message: str, details: Details) -> tuple[int, Refusal]:
    """A refusal with its HTTP status."""
    return HTTP[code].value, Refusal(error=Error(code=code, message=message, details=details))


def refused(
    request: HttpRequest, error: DispatchError, *, channel: ChannelWord | None = None, template: str = ""
) -> HttpResponse:
    """A refusal of a request, which may have been one to send on a channel, by a template."""
    code = _code_of(error)
    match code:
        case Code.PROVIDER_NOT_CONFIGURED:
            details = Details(channel=channel or UNSET)
        case Code.TEMPLATE_NOT_FOUND:
            details = Details(template=template or UNSET)
        case _:
            details = Details(fields=_fields(error) or UNSET)
    status, body = refusal(code, error.detail, details)
    return answer(body, status, headers_of(error, realm="messaging"))


def field_name(pointer: str) -> str:
    """A place in the domain's words as callers spell it: `/to/1` is `to[1]`."""
    first, *rest = (part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/"))
    return _INDEX.sub(r"[\1]", ".".join([FIELDS.get(first, first), *rest]))


def _code_of(error: DispatchError) -> Code:
    if isinstance(error, Invalid) and error.errors and error.errors[0].code in REASONS:
        return REASONS[error.errors[0].code]
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), Code.INTERNAL_ERROR)


def _fields(error: DispatchError) -> dict[str, list[str]]:
    """What is wrong by field; a body that is wrong as a whole has no field."""
    fields: dict[str, list[str]] = {}
    for each in error.errors:
        if each.pointer:
            fields.setdefault(field_name(each.pointer), []).append(each.detail)
    return fields


class View(ApiView):
    """A path of /messaging."""

    channel: ClassVar[ChannelWord | None] = None
    template: str = ""
    """The template that the request named, once it was read."""

    def refuse(self, error: DispatchError) -> HttpResponse:
        return refused(self.request, error, channel=self.channel, template=self.template)


class Nothing(View):
    """Any other path."""

    authentication_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing here.")


def operation(
    name: str, *, answers: Mapping[int, Any], takes: Any = None, parameters: tuple[OpenApiParameter, ...] = ()
) -> Callable[[F], F]:
    """Describe an operation for the schema: its name, what it takes, what it answers when all is well."""
    return describe(
        name,
        tag="messaging",
        answers=answers,
        refusal=Refusal,
        refusals=_REFUSALS,
        takes=takes,
        parameters=(WORKSPACE, *parameters),
    )
