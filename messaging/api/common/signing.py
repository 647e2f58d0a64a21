"""Signs people in with their passwords, so many tries at a time."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import authenticate
from rest_framework.request import Request

from messaging.api.common.refusals import RateLimited
from messaging.errors import Unauthenticated
from messaging.models import User
from messaging.tenancy import attempts


def sign_in(request: Request, *, username: str, password: str) -> User:
    """Give the person whose password this is.

    Raises:
        RateLimited: there were too many tries for this username from this address.
        Unauthenticated: there is no such person, or the password is another.
    """
    address = _address(request)
    if not attempts.begin(username=username, address=address):
        raise RateLimited("Too many tries to sign in.", retry_after=attempts.PAUSE_SECONDS)
    user = authenticate(request._request, username=username, password=password)
    if not isinstance(user, User):
        raise Unauthenticated("The username or the password is wrong.", code="invalid_credentials")
    attempts.succeed(username=username, address=address)
    return user


def _address(request: Request) -> str:
    """Where a request comes from. A proxy that is trusted adds that at the end of what others may have said before."""
    told = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip() if settings.TRUST_PROXY else ""
    return told or str(request.META.get("REMOTE_ADDR", ""))
