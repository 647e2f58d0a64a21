"""The paths that providers call, with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, re_path

from messaging.api.callbacks.views import ProviderCallback


def patterns(refusal: Callable[..., HttpResponse]) -> list[URLPattern]:
    """The paths, with the shape in which they say no."""
    view = ProviderCallback.as_view(refusal=staticmethod(refusal))
    return [re_path(r"^v1/callbacks/(?P<provider>[a-z0-9_-]{1,64})/?\Z", view, name="callbacks")]
