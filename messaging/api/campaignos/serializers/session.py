"""Signing in and out, and the platform's own pages."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from messaging import models
from messaging.errors import Invalid
from messaging.tenancy import members


class Credentials(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who signs in, by username or by e-mail address."""

    username: Annotated[str, Meta(min_length=1, max_length=150)] | None = None
    email: Annotated[str, Meta(min_length=1, max_length=254)] | None = None
    password: Annotated[str, Meta(max_length=1024)]

    def named(self) -> str:
        """The username that is meant; an address that names nobody stands for itself.

        Raises:
            Invalid: neither is given, or both are.
        """
        if (self.username is None) == (self.email is None):
            raise Invalid.at("/username", "required", "Give a username or an email, one of them.")
        return self.username or members.username_of(email=self.email or "") or self.email or ""


class SignedIn(Struct, rename="camel", kw_only=True, frozen=True):
    """Who is signed in."""

    avatar_id: UUID
    username: str
    email: str | None


class Session(Struct, rename="camel", kw_only=True, frozen=True):
    """A session that was begun or goes on; requests that write carry `csrfToken` as `X-CSRFToken`."""

    success: bool = True
    user: SignedIn
    csrf_token: str


class Health(Struct, kw_only=True, frozen=True):
    """Whether the platform answers."""

    status: str
    timestamp: Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    version: str


def session(user: models.User, csrf_token: str) -> Session:
    """A session as it is shown to its person."""
    person = SignedIn(avatar_id=user.avatar_id, username=user.username, email=user.email or None)
    return Session(user=person, csrf_token=csrf_token)
