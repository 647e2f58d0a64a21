"""Every operation of every surface has cases among the contracts, and none lets in whoever may not come in; the URL map
says which operations there are."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver
from pytest_django import Settings
from rest_framework_simplejwt.tokens import AccessToken

from messaging.api.common.schema import Surface
from messaging.api.common.views import ApiView
from messaging.models import Workspace
from messaging.tenancy.access import PARTS, SCOPES
from messaging.urls import SURFACES
from tests import contracts
from tests.factories import make_workspace
from tests.messaging.api.callers import Caller, make_caller, nobody

_PARAMETER = re.compile(r"<[^>]*>|\{[^}]*\}")
_METHODS = ("get", "post", "put", "patch", "delete")


def _walked(patterns: object, prefix: str = "/") -> Iterator[tuple[str, type[ApiView]]]:
    for pattern in patterns if isinstance(patterns, list | tuple) else ():
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _walked(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, getattr(pattern.callback, "view_class", getattr(pattern.callback, "cls", ApiView))


def _served(surface: Surface) -> dict[tuple[str, str], type[ApiView]]:
    """What the URL map serves and by which view, but for the views that answer any other path."""
    return {
        (method.upper(), path.rstrip("/")): view
        for path, view in _walked(surface.patterns)
        if view.__name__ != "Nothing"
        for method in _METHODS
        if hasattr(view, method)
    }


def _operations(surface: Surface) -> set[tuple[str, str]]:
    """What the URL map serves, whatever its parameters are called."""
    return {(method, _PARAMETER.sub("{}", path)) for method, path in _served(surface)}


def _tried() -> set[tuple[str, str]]:
    """What the modules of contracts say that they have cases for."""
    modules = [
        importlib.import_module(f"{contracts.__name__}.{each.name}")
        for each in pkgutil.iter_modules(contracts.__path__)
    ]
    return {
        (method, _PARAMETER.sub("{}", path.rstrip("/")))
        for module in modules
        for method, path in getattr(module, "OPERATIONS", ())
    }


each_surface = pytest.mark.parametrize(
    "surface", [each for each in SURFACES if each.name != "v1"], ids=lambda each: each.name
)
OPEN = {
    *(("POST", f"/api/auth/{deed}") for deed in ("login", "logout")),
    *(("GET", f"/api/{place}") for place in ("auth/session", "health", "openapi", "unsubscribe", "preferences")),
    ("POST", "/api/unsubscribe"),
    *((method, "/api/preferences") for method in ("PUT", "POST")),
    ("POST", "/api/webhooks/inbound/<wh:webhook_id>"),
    ("GET", "/messaging/health"),
}
"""Operations that ask for a password, a session, a signed token, a signature or nothing, and not for a caller."""


def _closed(surface: Surface, workspace: Workspace) -> Iterator[tuple[str, str, str | None]]:
    """Operations that only a caller reaches: method, path in this workspace, and the scope that it needs."""
    for (method, path), view in _served(surface).items():
        assert ((method, path) in OPEN) is not bool(view.authentication_classes), (method, path)
        if view.authentication_classes:
            place = path.replace("<ws:workspace_id>", str(workspace.id))
            yield method, _PARAMETER.sub(str(workspace.id), place), view.scopes[method]


@each_surface
@pytest.mark.django_db
def test_nobody_gets_in(surface: Surface, settings: Settings) -> None:
    settings.OASIS_HTTP_ERRORS = "strict"
    stranger = nobody()
    for method, path, _ in _closed(surface, make_workspace()):
        for headers in ({}, {"Authorization": "Bearer dk_live_wrong"}, {"Authorization": "Bearer a.b.c"}):
            answer = stranger.ask(method, path, {}, **headers)
            assert (answer.status_code, "WWW-Authenticate" in answer) == (401, True), (method, path, headers)


@each_surface
@pytest.mark.django_db
def test_each_operation_needs_its_scope(surface: Surface) -> None:
    workspace, callers = make_workspace(), {}
    for method, path, scope in _closed(surface, workspace):
        if scope is not None:
            rest = SCOPES - {scope, PARTS.get(scope, scope)}
            caller = callers.setdefault(scope, make_caller(workspace=workspace, scopes=sorted(rest)))
            assert caller.ask(method, path, {}).status_code == 403, (method, path)


@each_surface
@pytest.mark.django_db
def test_nobody_reaches_a_workspace_without_a_place_in_it(surface: Surface) -> None:
    caller, foreign = make_caller(), make_workspace("Other")
    assert caller.member
    person = Caller(caller.workspace, caller.member)
    person.headers = {"Authorization": f"Bearer {AccessToken.for_user(caller.member.user)}"}
    for method, path, _ in _closed(surface, foreign):
        for who in (caller, person):
            answer = who.ask(method, path, {}, X_Workspace=str(foreign.id))
            assert answer.status_code == 404, (method, path, answer.content)


@each_surface
def test_every_operation_has_cases(surface: Surface) -> None:
    known = _operations(surface)
    assert known
    assert known <= _tried(), sorted(known - _tried())


def test_no_case_is_for_an_operation_that_is_not_there() -> None:
    served = {operation for surface in SURFACES for operation in _operations(surface)}
    assert _tried() <= served, sorted(_tried() - served)
