"""The paths that providers call, with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.http import HttpResponse
from django.urls import URLPattern, path, register_converter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_view

from messaging.api.callbacks.views import ProviderCallback
from messaging.api.common.converters import Slug
from messaging.api.common.operations import describe

register_converter(Slug, "slug64")

_KINDS: Final = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_REFUSALS: Final = {
    400: "The request is malformed.",
    401: "The provider is to log in, with the user and the password that it was given.",
    403: "None of ours finds it signed by the provider, or it is too old.",
    404: "No provider of this name reports to us.",
    405: "The path does not answer this method.",
    413: "The body is too large.",
    415: "The body is compressed.",
    422: "It is signed, and not what the provider sends.",
    500: "A fault on our side.",
    503: "It cannot be kept now; try again after `Retry-After`.",
}


def patterns(refusal: Callable[..., HttpResponse], *, shape: Any, refused_as: str) -> list[URLPattern]:
    """The paths, with the shape in which they say no."""
    described = describe(
        "take_callback",
        tag="callbacks",
        answers={200: None},
        refusal=shape,
        refusals=_REFUSALS,
        refused_as=refused_as,
        takes=OpenApiTypes.ANY,
        taken_as=_KINDS,
    )
    view = extend_schema_view(post=described)(ProviderCallback).as_view(refusal=staticmethod(refusal))
    return [
        path("v1/callbacks/<slug64:provider>", view, name="callbacks"),
        path("v1/callbacks/<slug64:provider>/", view),
    ]
