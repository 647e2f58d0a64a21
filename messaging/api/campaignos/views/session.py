"""Signing in with a browser, and out again.

Signing in takes JSON only, which no page of another site can send without being asked first, so that it needs no CSRF
token. Everything that writes on behalf of a session does.
"""

from __future__ import annotations

from django.contrib.auth import login, logout
from django.http import HttpResponse
from django.middleware.csrf import get_token
from rest_framework.request import Request

from messaging.api.campaignos.envelope import Success, View, operation
from messaging.api.campaignos.serializers import session as out
from messaging.api.common.authentication import PersonAuthentication
from messaging.api.common.rendering import answer
from messaging.api.common.signing import sign_in
from messaging.errors import Unauthenticated
from messaging.models import User


def person_of(request: Request) -> User:
    """Who the session is of; a person without a workspace has one too.

    Raises:
        Unauthenticated: there is no session.
        PermissionDenied: the request writes and lacks the CSRF token.
    """
    found = PersonAuthentication().authenticate(request)
    if found is None or not isinstance(found[0], User):
        raise Unauthenticated("There is no session.")
    return found[0]


class Login(View):
    authentication_classes = ()

    @operation("sign_in", tag="session", takes=out.Credentials, answers={200: out.Session})
    def post(self, request: Request) -> HttpResponse:
        """Begin a session; the answer sets its cookie and that of the CSRF token."""
        given = self.parsed(out.Credentials)
        user = sign_in(request, username=given.named(), password=given.password)
        login(request._request, user)
        return answer(out.session(user, get_token(request._request)))


class Logout(View):
    authentication_classes = ()

    @operation("sign_out", tag="session", answers={200: Success})
    def post(self, request: Request) -> HttpResponse:
        """End the session."""
        person_of(request)
        logout(request._request)
        return answer(Success())


class Current(View):
    authentication_classes = ()

    @operation("get_session", tag="session", answers={200: out.Session})
    def get(self, request: Request) -> HttpResponse:
        """Tell who is signed in, with a CSRF token for what the session writes."""
        return answer(out.session(person_of(request), get_token(request._request)))
