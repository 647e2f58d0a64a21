"""Recognises callers: API keys, access tokens of people, and browser sessions."""

from __future__ import annotations

import re
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, QueryDict
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, InvalidToken, TokenError
from rest_framework_simplejwt.tokens import AccessToken

from messaging.api.common.refusals import TokenExpired
from messaging.content.screen import one_line
from messaging.models import User
from messaging.tenancy import keys, workspaces
from messaging.tenancy.access import Caller

_DIGITS = re.compile(r"(?:ws_)?([0-9a-f]{32})", re.IGNORECASE)


def named_workspace(request: Request | HttpRequest) -> str | None:
    """The id or slug in `X-Workspace`, if the request names one; an id in any spelling that a surface shows it in."""
    name = request.META.get("HTTP_X_WORKSPACE")
    if name is None:
        return None
    one_line(name)
    digits = _DIGITS.fullmatch(name)
    return str(UUID(digits[1])) if digits else str(name)


def bearer(request: Request | HttpRequest) -> str | None:
    """What stands after `Authorization: Bearer`."""
    scheme, _, credential = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None


class KeyAuthentication(BaseAuthentication):
    """`X-API-Key: dk_…` or `Authorization: Bearer dk_…`."""

    def authenticate(self, request: Request) -> tuple[None, Caller] | None:
        raw = request.META.get("HTTP_X_API_KEY")
        if raw is None:
            raw = bearer(request)
            if raw is None or not raw.startswith(keys.START):
                return None
        return None, keys.authenticate(raw, workspace=named_workspace(request))


class TokenAuthentication(JWTAuthentication):
    """`Authorization: Bearer <access token>` of a person."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        raw = bearer(request)
        if raw is None:
            return None
        user = self.get_user(self.get_validated_token(raw.encode()))
        return user, workspaces.enter(user_id=user.pk, workspace=named_workspace(request))

    def get_validated_token(self, raw_token: bytes) -> Any:
        """Read a token, and tell one that has expired from one that never was good."""
        try:
            return AccessToken(raw_token)  # type: ignore[arg-type]  # takes the header's bytes as well
        except ExpiredTokenError as error:
            raise TokenExpired("The token is invalid or has expired.") from error
        except TokenError as error:
            raise InvalidToken from error


class PersonAuthentication(SessionAuthentication):
    """The session of somebody who signed in with a browser; writing needs the CSRF token in its header."""

    def enforce_csrf(self, request: Request) -> None:
        """Look at the header alone: to look for the token in a form would read the body, which is the operation's."""
        plain = request._request
        plain.POST = QueryDict()
        super().enforce_csrf(cast(Request, plain))


class BrowserAuthentication(PersonAuthentication):
    """The same, in the workspace that the request names."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        assert isinstance(user, User)  # noqa: S101 - the session backend knows no other kind
        return user, workspaces.enter(user_id=user.pk, workspace=named_workspace(request))
