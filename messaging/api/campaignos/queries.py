"""The query parameters that operations of this surface share."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

LIMIT = 50
LARGEST = 200
LAST_PAGE = 10_000_000


class Query(Struct, forbid_unknown_fields=True, rename="camel", kw_only=True, frozen=True):
    """No query parameters at all; what an operation takes is added to it."""


class PageQuery(Query, rename="camel", kw_only=True, frozen=True):
    """Which page of a list is wanted."""

    page: Annotated[int, Meta(ge=1, le=LAST_PAGE, description="Page number.")] = 1
    limit: Annotated[int, Meta(ge=1, le=LARGEST, description="Items per page.")] = LIMIT

    @property
    def offset(self) -> int:
        """How many items stand on the pages before."""
        return (self.page - 1) * self.limit
