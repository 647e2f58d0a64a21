"""Every path that the API process serves."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, include, path
from django.views import defaults

from config.health import live, ready
from messaging import urls as surfaces

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("messaging.urls")),
    path("livez", live),
    path("livez/", live),
    path("readyz", ready),
    path("readyz/", ready),
    path("admin/", admin.site.urls),
]


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what is refused before it reaches a view, such as a request for a host that is not ours."""
    return surfaces.bad_request(request) or defaults.bad_request(request, exception)


handler400 = "config.urls.bad_request"
