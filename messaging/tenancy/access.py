"""Who may do what: scopes, the roles that are sets of them, and the caller that every operation is asked by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from messaging.errors import Forbidden, Invalid
from messaging.models import Role

SUBJECTS = ("messages", "templates", "contacts", "events", "campaigns", "webhooks", "analytics")
READ = frozenset(f"{subject}:read" for subject in SUBJECTS)
WRITE = frozenset(f"{subject}:write" for subject in SUBJECTS)
ADMIN = "admin"
SCOPES = READ | WRITE | {ADMIN}

ROLES: dict[Role, frozenset[str]] = {
    Role.VIEWER: READ,
    Role.MEMBER: READ | {"messages:write", "contacts:write", "events:write"},
    Role.OPERATOR: READ | WRITE,
    Role.ADMIN: SCOPES,
    Role.OWNER: SCOPES,
}
"""From the least to the most; each holds what those before it hold."""

PARTS = {"events:read": "contacts:read", "events:write": "contacts:write"}
"""Scopes that others hold: who may see or change contacts may so with what they did."""

_RANK = {role: rank for rank, role in enumerate(ROLES)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Somebody who was recognised, in one workspace.

    A key acts for the person who made it: `role` is that person's, and `scopes` is what the key and the role share.
    """

    workspace_id: UUID
    user_id: UUID
    avatar_id: UUID
    name: str
    """As whom the person appears to others."""
    role: Role
    scopes: frozenset[str]
    test: bool = False
    api_key_id: UUID | None = None
    rate_limit: int | None = None
    """Requests in any minute; as many as they like where it is None."""

    @property
    def counted_as(self) -> str:
        """Under which name requests are counted: a key has its own count, whoever made it."""
        return f"key:{self.api_key_id}" if self.api_key_id else f"user:{self.user_id}"


def appearance(first: str, last: str, username: str) -> str:
    """As whom a person appears to others: by the full name, or else by what is signed in with."""
    return f"{first} {last}".strip() or username


def whole(scopes: Iterable[str]) -> set[str]:
    """These scopes with those that they hold."""
    given = set(scopes)
    return given.union(part for part, holder in PARTS.items() if holder in given)


def demand(caller: Caller, scope: str) -> None:
    """Refuse a caller who lacks a scope.

    Raises:
        Forbidden: the scope is not among the caller's.
    """
    if scope not in caller.scopes:
        raise Forbidden(f"This needs the scope {scope}.", code="missing_scope")


def demand_live(caller: Caller) -> None:
    """Refuse a test key, so that what reaches the sandbox only cannot make itself a way to real providers.

    Raises:
        Forbidden: the caller uses a test key.
    """
    if caller.test:
        raise Forbidden("A test key cannot do this.", code="test_key")


def demand_mode(caller: Caller, *, test: bool) -> None:
    """Refuse a test key what would change a message that goes to real providers.

    Raises:
        Forbidden: the caller uses a test key, and the message is not in test mode.
    """
    if not test:
        demand_live(caller)


def mode_seen(caller: Caller, asked: bool | None = None) -> bool:
    """Whether lists, mailboxes and figures show a caller messages in test mode, and no others, rather than live ones.

    A test key sees the test mode. A live key and a person see what is live, unless they ask for the test mode.

    Raises:
        Forbidden: the caller uses a test key and asks for live messages.
    """
    if asked is False:
        demand_live(caller)
    return caller.test or asked is True


def demand_grant(caller: Caller, role: Role) -> None:
    """Refuse to give, or to touch, a role that reaches further than the caller does.

    Raises:
        Forbidden: the role is above the caller's, or has scopes that the caller's key lacks.
    """
    if _RANK[role] > _RANK[caller.role] or not ROLES[role] <= caller.scopes:
        raise Forbidden(f"The role {role.value} reaches further than yours.", code="role_above_yours")


def checked_role(value: str) -> Role:
    """Give the role of that name.

    Raises:
        Invalid: there is none.
    """
    try:
        return Role(value)
    except ValueError:
        raise Invalid.at("/role", "invalid_choice", f"A role is one of {', '.join(ROLES)}.") from None


def checked_scopes(values: Iterable[str], *, caller: Caller) -> list[str]:
    """Give the scopes once each, in order.

    Raises:
        Invalid: a scope does not exist, or there is none at all.
        Forbidden: a scope is not among the caller's.
    """
    scopes = list(dict.fromkeys(values))
    if not scopes:
        raise Invalid.at("/scopes", "required", "A key has at least one scope.")
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            raise Invalid.at(f"/scopes/{index}", "invalid_choice", f"A scope is one of {', '.join(sorted(SCOPES))}.")
    for scope in scopes:
        demand(caller, scope)
    return scopes
