"""The order of work that every operation shares: who asks, may they, do it, answer or refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from django.http import HttpResponse
from msgspec import Struct
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from messaging.api.common import bodies, queries
from messaging.api.common.authentication import BrowserAuthentication, KeyAuthentication, TokenAuthentication
from messaging.api.common.refusals import MethodNotAllowed, NotAcceptable, RateLimited, refusal_of
from messaging.dispatch import rates
from messaging.dispatch.rates import Allowance
from messaging.errors import DispatchError, Unauthenticated
from messaging.tenancy.access import Caller, demand

T = TypeVar("T")
Q = TypeVar("Q", bound=Struct)

_JSON_TYPES = re.compile(
    r"(?:^|,)\s*(?:\*/\*|application/\*|application/(?:problem\+)?json)\s*(?:;|,|$)", re.IGNORECASE
)


class ApiView(APIView):
    """A path of a surface. `scopes` says what each method needs; None is open to every recognised caller.

    A view without authentication classes asks nobody who they are.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (
        KeyAuthentication,
        TokenAuthentication,
        BrowserAuthentication,
    )
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    scopes: ClassVar[Mapping[str, str | None]] = {}
    caller: Caller
    allowance: Allowance | None = None

    @property
    def default_response_headers(self) -> dict[str, str]:
        """None: answers do not differ by Accept, and Allow belongs to a refused method."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.authentication_classes:
            self._recognise(request)
        accept = request.META.get("HTTP_ACCEPT")
        if accept and not _JSON_TYPES.search(accept):
            raise NotAcceptable("The answer is application/json.")
        scope = self.scopes.get("GET" if request.method == "HEAD" else str(request.method))
        if scope is not None and self.authentication_classes:
            demand(self.caller, scope)

    def _recognise(self, request: Request) -> None:
        """Find out who asks, and count the request where that caller may make only so many."""
        self.perform_authentication(request)
        if not isinstance(request.auth, Caller):
            raise Unauthenticated("This needs an API key, an access token or a session.")
        self.caller = request.auth
        if self.caller.rate_limit is None:
            return
        self.allowance = rates.take(self.caller.counted_as, limit=self.caller.rate_limit)
        if self.allowance is not None and not self.allowance.passed:
            raise RateLimited(
                f"There may be {self.allowance.limit} requests in a minute.", retry_after=self.allowance.retry_after
            )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Tell a caller who may make only so many requests what is left, whatever the answer is."""
        if self.allowance is not None:
            response["X-RateLimit-Limit"] = str(self.allowance.limit)
            response["X-RateLimit-Remaining"] = str(self.allowance.remaining)
            response["X-RateLimit-Reset"] = str(self.allowance.reset)
        return super().finalize_response(request, response, *args, **kwargs)

    def handle_exception(self, exc: Exception) -> Any:
        refusal = refusal_of(exc)
        if isinstance(refusal, MethodNotAllowed):
            refusal.allowed = tuple(self.allowed_methods)
        return self.refuse(refusal)

    def refuse(self, error: DispatchError) -> HttpResponse:
        """Say no in the surface's own shape."""
        raise NotImplementedError

    def parsed(self, into: type[T]) -> T:
        """The request's body as a Struct.

        Raises:
            DispatchError: it cannot be read as one.
        """
        return bodies.parse(bodies.read(self.request._request), into)

    def query(self, into: type[Q]) -> Q:
        """The query parameters as a Struct.

        Raises:
            Invalid: one is unknown, stands twice or cannot be used.
        """
        return queries.read(queries.filled(self.request._request.GET), into)
