"""Every operation of every surface has cases among the contracts; the URL map says which operations there are."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver

from messaging.api.common.schema import Surface
from messaging.api.common.views import ApiView
from messaging.urls import SURFACES
from tests import contracts

_PARAMETER = re.compile(r"<[^>]*>|\{[^}]*\}")
_METHODS = ("get", "post", "put", "patch", "delete")


def _walked(patterns: object, prefix: str = "/") -> Iterator[tuple[str, type[ApiView]]]:
    for pattern in patterns if isinstance(patterns, list | tuple) else ():
        path = prefix + str(pattern.pattern).removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from _walked(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, getattr(pattern.callback, "view_class", getattr(pattern.callback, "cls", ApiView))


def _operations(surface: Surface) -> set[tuple[str, str]]:
    """What the URL map serves, but for the views that answer any other path."""
    return {
        (method.upper(), _PARAMETER.sub("{}", path.rstrip("/")))
        for path, view in _walked(surface.patterns)
        if view.__name__ != "Nothing"
        for method in _METHODS
        if hasattr(view, method)
    }


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


@pytest.mark.parametrize("surface", [each for each in SURFACES if each.name != "v1"], ids=lambda each: each.name)
def test_every_operation_has_cases(surface: Surface) -> None:
    known = _operations(surface)
    assert known
    assert known <= _tried(), sorted(known - _tried())


def test_no_case_is_for_an_operation_that_is_not_there() -> None:
    served = {operation for surface in SURFACES for operation in _operations(surface)}
    assert _tried() <= served, sorted(_tried() - served)
