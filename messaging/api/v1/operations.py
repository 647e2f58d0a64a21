"""What every operation of /api/v1 has in common: its refusals, and how the schema tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from messaging.api.common.views import ApiView
from messaging.api.v1.envelope import PROBLEM, Problem, problem
from messaging.errors import DispatchError

F = TypeVar("F", bound=Callable[..., Any])

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
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key with the same body gives the same answer, and sends once.",
)
WORKSPACE = OpenApiParameter(
    "X-Workspace", str, OpenApiParameter.HEADER, description="Id or slug; the first joined where it is left out."
)


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
    refusals = {status: OpenApiResponse(Problem, description=text) for status, text in _REFUSALS.items()}
    responses: dict[Any, Any] = {(status, PROBLEM): response for status, response in refusals.items()}
    responses.update({(status, "application/json"): answer for status, answer in answers.items() if answer is not None})
    responses.update({status: OpenApiResponse(description="Done.") for status, answer in answers.items() if not answer})
    return extend_schema(
        operation_id=name,
        request={"application/json": takes} if takes is not None else None,
        responses=responses,
        parameters=[WORKSPACE, *parameters],
        tags=[tag],
    )
