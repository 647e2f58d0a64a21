"""Gives every request an id, which logs and answers carry."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

from messaging.models.keys import uuid7

_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)


class RequestId:
    """Takes the caller's `X-Request-ID` where it is sane, else makes one; binds it to the log and sends it back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _SANE.fullmatch(given) else str(uuid7())
        request.META["REQUEST_ID"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._get_response(request)
        response["X-Request-ID"] = request_id
        return response


def request_id(request: HttpRequest) -> str:
    """The id of a request; empty where the middleware did not run."""
    return str(request.META.get("REQUEST_ID", ""))
