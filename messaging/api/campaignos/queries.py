"""Query parameters as Structs: read, checked, and told to the schema from the same fields."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from msgspec import Meta, Struct

from messaging.api.common import bodies
from messaging.content.screen import screen
from messaging.errors import FieldError, Invalid

LIMIT = 50
LARGEST = 200
LAST_PAGE = 10_000_000

T = TypeVar("T", bound=Struct)


class PageQuery(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """Which page of a list is wanted."""

    page: Annotated[int, Meta(ge=1, le=LAST_PAGE, description="Page number.")] = 1
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="Items per page.")] = LIMIT

    @property
    def offset(self) -> int:
        """How many items stand on the pages before."""
        return (self.page - 1) * self.limit


def read(given: QueryDict, into: type[T]) -> T:
    """Give the query parameters as a Struct; an empty one counts as left out.

    Raises:
        Invalid: one is unknown, stands twice or cannot be used.
    """
    twice = [name for name in given if len(given.getlist(name)) > 1]
    if twice:
        raise Invalid(
            "A query parameter stands twice.",
            errors=[FieldError(f"/{name[:100]}", "repeated_parameter", "This stands here twice.") for name in twice],
        )
    values = {name: value for name, value in given.items() if value}
    screen(values)
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        place = bodies.field_error(error)
        raise Invalid(place.detail, errors=[place]) from error


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
