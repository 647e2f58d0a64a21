"""What comes damaged to a page of operators is refused or passed over: no address and no form breaks any of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.test import Client
from django.urls import reverse

from messaging.models import User
from tests.factories import make_user

PAGES: list[ModelAdmin[Any]] = [admin.site.get_model_admin(model) for model in admin.site._registry]
NUL = "a\x00b"
HUGE = "9" * 30
LISTS = (
    *(f"q={value}&p={value}&o={value}" for value in ("x", "-1", HUGE, "%ED%A0%80", "a.b")),
    *(f"{name}=%00" for name in ("q", "p", "o", "x", "id__exact", "_to_field", "_changelist_filters")),
    *("%00=1", "e=1", "id__x=1", "author__password=x", "_to_field=password"),
)
KEYS = ("%00", "x", HUGE)


def named(page: ModelAdmin[Any]) -> str:
    return str(page.opts.model_name)


@pytest.fixture
def staff(db: None) -> Client:
    """An operator, who is answered as a browser is."""
    client = Client(raise_request_exception=False)
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_nothing_damaged_breaks_a_page(staff: Client, page: ModelAdmin[Any]) -> None:
    at = address(page)
    queries = [*LISTS, *(f"{name}={value}" for name in filtered(page) for value in ("%00", "2026-13-45"))]
    views = [f"{key}/{view}/" for key in KEYS for view in ("change", "history", "delete")]
    actions = [name for name, _ in page.get_action_choices(asking(page)) if name]

    assert [query for query in queries if staff.get(f"{at}?{query}").status_code >= 500] == []
    assert [view for view in views if staff.get(f"{at}{view}").status_code >= 500] == []
    assert [view for view in views if staff.post(f"{at}{view}", {"post": "yes"}).status_code >= 500] == []
    for form in (*({"_selected_action": key} for key in (NUL, "x", HUGE)), {"index": NUL}, {"index": "-1"}):
        sent = {"_selected_action": "1", "index": "0", "post": "yes", **form}
        assert [name for name in actions if staff.post(at, {**sent, "action": name}).status_code >= 500] == []


def filtered(page: ModelAdmin[Any]) -> Iterator[str]:
    """The parameters by which a list is filtered."""
    yield "id__exact"
    for entry in page.list_filter:
        if isinstance(entry, str):
            yield f"{entry}__exact"
        elif isinstance(entry, tuple):
            yield from (f"{entry[0]}__exact", f"{entry[0]}__id__exact")
        else:
            yield str(getattr(entry, "parameter_name", ""))


def address(page: ModelAdmin[Any]) -> str:
    return reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")


def asking(page: ModelAdmin[Any]) -> Any:
    """A request of somebody who may use every action."""
    request = type("Request", (), {})()
    request.user, request.GET = User(is_active=True, is_staff=True, is_superuser=True), {}
    return request


@pytest.mark.parametrize("path", ["", "messaging/", "jsi18n/", "autocomplete/", "password_change/", "login/", "r/1/1/"])
def test_no_query_breaks_what_is_no_list(staff: Client, path: str) -> None:
    names = ("next", "term", "app_label", "model_name", "field_name", "p")
    query = "&".join(f"{name}=%00" for name in names)

    assert staff.get(f"/admin/{path}?{query}").status_code < 500
    assert (
        staff.post(f"/admin/{path}?{query}", {"username": NUL, "password": NUL, "old_password": NUL}).status_code < 500
    )


def test_who_sends_a_nul_is_told_so(staff: Client) -> None:
    assert staff.get("/admin/messaging/message/?status__exact=%00").status_code == 400
