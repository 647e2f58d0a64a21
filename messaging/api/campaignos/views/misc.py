"""What the platform says of itself, to everybody."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import resolve, reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework.request import Request

from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.serializers import session as out
from messaging.api.common.rendering import answer, stamp


class Health(View):
    authentication_classes = ()

    @operation("get_health", tag="platform", answers={200: out.Health})
    def get(self, request: Request) -> HttpResponse:
        """Say that the server answers, and which version it is."""
        version = str(settings.SPECTACULAR_SETTINGS["VERSION"])
        return answer(out.Health(status="ok", timestamp=stamp(timezone.now()), version=version))


class OpenApi(View):
    authentication_classes = ()

    @operation("get_openapi", tag="platform", answers={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> HttpResponseBase:
        """Give the OpenAPI 3.1 document of this surface."""
        # The document is made from all paths, and so from above; what serves it is found by its name.
        return resolve(reverse("schema-campaignos")).func(request._request)  # type: ignore[no-any-return]
