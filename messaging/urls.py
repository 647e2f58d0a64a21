"""The public APIs, each under its prefix, and the page that documents the canonical one."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from messaging.api.v1.schema import docs, schema

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("messaging.api.v1.urls")),
    path("api/schema", schema),
    path("api/schema/", schema, name="schema"),
    path("api/docs", docs),
    path("api/docs/", docs, name="docs"),
]
