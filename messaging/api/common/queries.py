"""Query parameters as Structs: read, checked, and told to the schema from the same fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from msgspec import Meta, Struct

from messaging.api.common import bodies
from messaging.api.common.cursors import LARGEST, LIMIT
from messaging.content.screen import screen
from messaging.errors import FieldError, Invalid

T = TypeVar("T", bound=Struct)

LAST_PAGE = 10_000_000


class Query(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """No query parameters at all; what an operation takes is added to it."""


class PageQuery(Query, rename="camel", kw_only=True, frozen=True):
    """Which page of a list is wanted, by its number."""

    page: Annotated[int, Meta(ge=1, le=LAST_PAGE, description="Page number.")] = 1
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="Items per page.")] = LIMIT

    @property
    def offset(self) -> int:
        """How many items stand on the pages before."""
        return (self.page - 1) * self.limit


def filled(given: QueryDict) -> dict[str, str]:
    """The parameters that have a value, each of which may stand there once.

    Raises:
        Invalid: one stands twice, or holds what cannot be taken in.
    """
    twice = [name for name in given if len([value for value in given.getlist(name) if value]) > 1]
    if twice:
        detail = "This parameter stands here more than once."
        raise Invalid(
            "A query parameter stands here more than once.",
            errors=[FieldError(f"/{name[:100]}", "repeated_parameter", detail) for name in twice],
        )
    values = {name: next(filter(None, given.getlist(name)), "") for name in given}
    screen(values)
    return {name: value for name, value in values.items() if value}


def read(values: Mapping[str, str], into: type[T]) -> T:
    """Give query parameters as a Struct.

    Raises:
        Invalid: one is unknown or cannot be used.
    """
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        place = bodies.field_error(error)
        if place.code == "unknown_field":
            place = FieldError(place.pointer, "unknown_parameter", "There is no such parameter.")
        raise Invalid(place.detail, errors=[place]) from error


def address(text: str) -> str:
    """An address, or how one begins, as it was meant: no address has a blank, which is what a plus that a URL did not
    encode arrives as."""
    if text.startswith(" ") and text[1:2].isdigit():
        return f"+{text[1:]}"
    return text.strip().replace(" ", "+") if "@" in text and '"' not in text else text


def parameters(of: type[Struct]) -> tuple[OpenApiParameter, ...]:
    """The same parameters as the schema tells them."""
    (reference,), components = msgspec.json.schema_components([of], ref_template="{name}")
    described: dict[str, Any] = components[reference["$ref"]]["properties"]
    return tuple(
        OpenApiParameter(
            name,
            {key: value for key, value in schema.items() if key != "description"},
            description=schema.get("description", ""),
        )
        for name, schema in described.items()
    )
