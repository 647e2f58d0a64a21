"""The OpenAPI document of each surface, and a page to read it with."""

# drf-spectacular has hints for its callers only, not for its classes.
# mypy: allow-untyped-calls

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.views import SpectacularSwaggerView

from messaging.api.common.operations import Array
from messaging.api.common.rendering import JSON, encode
from messaging.errors import DispatchError

_REF = "#/components/schemas/{name}"


class StructExtension(OpenApiSerializerExtension):
    """Describes Structs by the JSON Schema that msgspec makes of the same types it checks requests with."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    @classmethod
    def _matches(cls, target: Any) -> bool:
        kind = getattr(target, "__origin__", target)
        return inspect.isclass(kind) and issubclass(kind, msgspec.Struct)

    def get_name(self, auto_schema: Any, direction: str) -> str:
        (reference,), _ = msgspec.json.schema_components([self.target], ref_template="{name}")
        return str(reference["$ref"])

    def get_identity(self, auto_schema: Any, direction: str) -> str:
        """The name: nested Structs are registered under nothing else."""
        return self.get_name(auto_schema, direction)

    def map_serializer(self, auto_schema: Any, direction: str) -> Any:
        own = self.get_name(auto_schema, direction)
        _, components = msgspec.json.schema_components([self.target], ref_template=_REF)
        _register(auto_schema, {name: schema for name, schema in components.items() if name != own})
        return components[own]


class ArrayExtension(OpenApiSerializerExtension):
    """Describes bare arrays of Structs."""

    target_class = "messaging.api.common.operations.Array"
    match_subclasses = True

    @classmethod
    def _matches(cls, target: Any) -> bool:
        return getattr(target, "__origin__", None) is Array

    def get_name(self, auto_schema: Any, direction: str) -> str:
        return f"{self._reference()}Array"

    def get_identity(self, auto_schema: Any, direction: str) -> str:
        return self.get_name(auto_schema, direction)

    def map_serializer(self, auto_schema: Any, direction: str) -> Any:
        _register(auto_schema, msgspec.json.schema_components([self._of()], ref_template=_REF)[1])
        return {"type": "array", "items": {"$ref": _REF.format(name=self._reference())}}

    def _of(self) -> Any:
        return self.target.__args__[0]

    def _reference(self) -> str:
        (reference,), _ = msgspec.json.schema_components([self._of()], ref_template="{name}")
        return str(reference["$ref"])


def _register(auto_schema: Any, components: dict[str, Any]) -> None:
    for name, described in components.items():
        component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=described)
        auto_schema.registry.register_on_missing(component)


class _Scheme(OpenApiAuthenticationExtension):
    described: dict[str, str] = {}

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return self.described


class KeyScheme(_Scheme):
    target_class = "messaging.api.common.authentication.KeyAuthentication"
    name = "apiKey"
    described = {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Or as a bearer token."}


class TokenScheme(_Scheme):
    target_class = "messaging.api.common.authentication.TokenAuthentication"
    name = "accessToken"
    described = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class SessionScheme(_Scheme):
    target_class = "messaging.api.common.authentication.BrowserAuthentication"
    name = "session"
    described = {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def without_slashes(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Each path once, in the spelling without a slash at its end."""
    return [endpoint for endpoint in endpoints if not endpoint[0].endswith("/")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Surface:
    """A public API as the server knows it."""

    name: str
    title: str
    about: str
    patterns: tuple[URLResolver | URLPattern, ...]
    """Its paths, from the root."""
    prefixes: tuple[str, ...]
    """What its paths begin with: whatever is refused there before it reaches a view is refused in its shape."""
    refuse: Callable[[HttpRequest, DispatchError], HttpResponse]

    def document(self) -> bytes:
        """The OpenAPI 3.1 document, made once: it depends on the code alone."""
        if self.name not in _documents:
            made = SchemaGenerator(patterns=list(self.patterns)).get_schema(request=None, public=True)
            made["info"] = {"title": self.title, "description": self.about, "version": made["info"]["version"]}
            _documents[self.name] = encode(made)
        return _documents[self.name]

    def pages(self, *, schema_at: str, docs_at: str) -> list[URLPattern]:
        """The paths of the document and of the page to read it with, each with and without a slash at its end."""
        name = f"schema-{self.name}"

        @require_safe
        def schema(request: HttpRequest) -> HttpResponse:
            """Give the OpenAPI 3.1 document."""
            return HttpResponse(self.document(), content_type=JSON)

        docs = SpectacularSwaggerView.as_view(url_name=name)
        return [
            path(schema_at, schema),
            path(f"{schema_at}/", schema, name=name),
            path(docs_at, docs),
            path(f"{docs_at}/", docs, name=f"docs-{self.name}"),
        ]


_documents: dict[str, bytes] = {}
