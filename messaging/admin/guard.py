"""What a browser may ask of the pages of operators: what is damaged is refused before a page reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponseBase, QueryDict

View = Callable[..., HttpResponseBase]


def guarded(admin_view: Callable[..., View]) -> Callable[..., View]:
    """The site's way to make a page of a view, with its requests looked at first.

    Django checks forms, ids in paths and most filters itself. What it hands to the database unseen is a NUL, which no
    text there may hold, and the ids of the rows that are ticked for an action.
    """

    @wraps(admin_view)
    def made(view: View, cacheable: bool = False) -> View:
        page = getattr(view, "__self__", None)

        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if any("\0" in text for given in (request.GET, request.POST) for text in _texts(given)):
                raise BadRequest("a NUL is in no text")
            if isinstance(page, ModelAdmin):
                _check_ticked(page, request.POST.getlist(ACTION_CHECKBOX_NAME))
            return view(request, *args, **kwargs)

        return admin_view(checked, cacheable)

    return made


def _texts(given: QueryDict) -> Iterable[str]:
    return (text for name, values in given.lists() for text in (name, *values))


def _check_ticked(page: ModelAdmin[Any], keys: list[str]) -> None:
    key = page.opts.pk
    try:
        for text in keys:
            key.run_validators(key.to_python(text))
    except ValidationError as error:
        raise BadRequest("what is ticked is no row") from error
