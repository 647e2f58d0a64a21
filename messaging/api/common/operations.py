"""Tells the schema of an operation: its name, what it takes, what it answers and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from messaging.api.common.rendering import JSON

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key with the same body gives the same answer, and sends once.",
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`respond-async` (RFC 7240): the answer does not wait for the outcome.",
)
WORKSPACE = OpenApiParameter(
    "X-Workspace", str, OpenApiParameter.HEADER, description="Id or slug; the first joined where it is left out."
)


class Array(Generic[T]):
    """Says of an answer that it is a bare array of such Structs."""


def describe(
    name: str,
    *,
    tag: str,
    answers: Mapping[int, Any],
    refusal: Any,
    refusals: Mapping[int, str],
    refused_as: str = JSON,
    takes: Any = None,
    taken_as: tuple[str, ...] = (JSON,),
    parameters: tuple[OpenApiParameter, ...] = (),
) -> Callable[[F], F]:
    """Describe an operation; an answer of None has no body. A status that is both answered and refused has the shape
    of the answer."""
    responses: dict[Any, Any] = {
        (status, refused_as): OpenApiResponse(refusal, description=text) for status, text in refusals.items()
    }
    responses.update({(status, JSON): answer for status, answer in answers.items() if answer is not None})
    responses.update({status: OpenApiResponse(description="Done.") for status, answer in answers.items() if not answer})
    return extend_schema(
        operation_id=name,
        request=dict.fromkeys(taken_as, takes) if takes is not None else None,
        responses=responses,
        parameters=list(parameters),
        tags=[tag],
    )
