"""What every operation of /api/v1 has in common: its refusals, and how the schema tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter

from messaging.api.common.operations import IDEMPOTENCY_KEY, WORKSPACE, F, describe
from messaging.api.common.views import ApiView
from messaging.api.v1.envelope import PROBLEM, Problem, problem
from messaging.errors import DispatchError

__all__ = ["IDEMPOTENCY_KEY", "View", "operation"]

_REFUSALS = {
    400: "The request is malformed.",
    401: "Nobody was recognised.",
    403: "The caller may not do this.",
    404: "There is no such thing in the workspace.",
    405: "The path does not answer this method.",
    406: "The caller takes no JSON.",
    409: "It cannot be done in the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A value is refused; `errors` says which.",
    429: "Too many requests or tries, or more messages than the day has left; try again after `Retry-After`.",
    500: "A fault on our side.",
    503: "It cannot be done now; try again after `Retry-After`.",
}


class View(ApiView):
    """A path of /api/v1."""

    def refuse(self, error: DispatchError) -> HttpResponse:
        return problem(self.request, error)


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
        refusal=Problem,
        refusals=_REFUSALS,
        refused_as=PROBLEM,
        takes=takes,
        parameters=(WORKSPACE, *parameters),
    )
