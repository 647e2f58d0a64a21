"""Where providers report what became of messages, and what recipients told them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from channels_app.types import Callback
from messaging.api.common import bodies
from messaging.api.common.views import ApiView
from messaging.dispatch import callbacks
from messaging.errors import DispatchError, Unauthenticated


class ProviderCallback(ApiView):
    """A provider's way in. Nobody signs in here: the provider's signature is what counts."""

    authentication_classes = ()
    refusal: ClassVar[Any] = None
    """How the canonical API says no; the surface that this stands beside gives it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Take a provider as it comes: what it accepts as an answer does not matter, since there is none to read."""

    def post(self, request: Request, provider: str) -> HttpResponse:
        """Take what a provider reports, in the provider's own form and signed as it signs.

        200 says that it is kept, or was before. HEAD tells whether callbacks of that provider are taken here.
        """
        plain = request._request
        body = bodies.read_any(plain, most=callbacks.LONGEST)
        callbacks.take(provider, Callback(method="POST", url=_called(plain), headers=_headers(plain), body=body))
        return HttpResponse(status=200, content_type="text/plain")

    def head(self, request: Request, provider: str) -> HttpResponse:
        """Tell a provider that asks for it that its callbacks are taken here."""
        callbacks.check(provider)
        return HttpResponse(status=200, content_type="text/plain")

    def refuse(self, error: DispatchError) -> HttpResponse:
        refused: HttpResponse = self.refusal(self.request, error)
        if isinstance(error, Unauthenticated):
            refused["WWW-Authenticate"] = 'Basic realm="callbacks"'
        return refused


def _called(request: HttpRequest) -> str:
    """The URL that the provider called, and signed. What the request says of its host is anybody's word."""
    query = request.META.get("QUERY_STRING", "")
    return f"{settings.PUBLIC_BASE_URL}{request.path}{f'?{query}' if query else ''}"


def _headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}
