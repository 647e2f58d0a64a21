"""Signs people in with their passwords, so many tries at a time."""

from __future__ import annotations

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
    address = str(request.META.get("REMOTE_ADDR", ""))
    if not attempts.begin(username=username, address=address):
        raise RateLimited("Too many tries to sign in.", retry_after=attempts.PAUSE_SECONDS)
    user = authenticate(request._request, username=username, password=password)
    if not isinstance(user, User):
        raise Unauthenticated("The username or the password is wrong.", code="invalid_credentials")
    attempts.succeed(username=username, address=address)
    return user
