"""What every page of operators has in common: bounded counts, read-only rows, links instead of copies."""

# mypy: disallow-any-generics=False
# Django's admin classes take no parameters at run time.

from __future__ import annotations

import json
from datetime import datetime
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

BOUND = 10_000
"""Rows that are counted exactly and that a list can be paged through; above it the planner estimates."""


class EstimatingPaginator(Paginator):
    """Counts up to a bound. What lies beyond is estimated, and reached by a filter rather than by paging."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        exact: int = rows.order_by()[: BOUND + 1].count()
        return exact if exact <= BOUND else max(exact, _estimate(rows))

    @cached_property
    def num_pages(self) -> int:
        reached = min(self.count, BOUND)
        return max(1, -(-reached // self.per_page))


def _estimate(rows: QuerySet[Any]) -> int:
    plan = json.loads(rows.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the domain writes: operators look at them."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_max_show_all = 0
    actions: Any = []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def as_key(text: str) -> UUID | None:
    """The id that a text spells, if it spells one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def link(model: str, key: object, text: object) -> SafeString:
    """A link to the page of a row."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:messaging_{model}_change", args=[key]), text)


def list_link(model: str, query: str, text: object) -> SafeString:
    """A link to a list; `query` comes from code, never from a row's text."""
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:messaging_{model}_changelist"), query, text)


def precise(moment: datetime | None) -> str:
    """A time to the millisecond: the steps of a message lie that close together."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}" if moment else "-"


def preformatted(text: str) -> SafeString:
    """A text as it is, markup and all, never as a page."""
    return format_html('<pre style="white-space: pre-wrap; margin: 0">{}</pre>', text)


def as_json(value: object) -> SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True))
