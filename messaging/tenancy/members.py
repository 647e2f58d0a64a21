"""People and their places in workspaces."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from messaging.errors import AlreadyExists, Conflict, FieldError, Invalid, NotFound
from messaging.models import Member, Role, User
from messaging.models.statements import prepared
from messaging.tenancy import keys
from messaging.tenancy.access import ADMIN, Caller, appearance, checked_role, demand, demand_grant, demand_live

PASSWORD_LENGTH = 1024
"""Hashing is slow by design; a longer text would only make it slower."""


def members_of(*, workspace_id: UUID) -> QuerySet[Member]:
    """The workspace's members with their users, in the order of joining."""
    return Member.objects.filter(workspace_id=workspace_id).select_related("user")


class Face(NamedTuple):
    """As whom a person appears to others."""

    avatar_id: UUID
    name: str


# Plain SQL: nearly every answer of some surfaces asks for it, of one person.
_FACES = "SELECT id, avatar_id, first_name, last_name, username FROM messaging_user WHERE id = ANY(%(ids)s)"


def faces(ids: Collection[UUID]) -> dict[UUID, Face]:
    """As whom these users appear: their avatars with their full names, or else what they sign in by."""
    if not ids:
        return {}
    with prepared(_FACES, {"ids": list(ids)}) as cursor:
        return {
            key: Face(avatar_id, appearance(first, last, username))
            for key, avatar_id, first, last, username in cursor.fetchall()
        }


def get(*, workspace_id: UUID, member_id: UUID) -> Member:
    """Give one member.

    Raises:
        NotFound: the workspace has no such member.
    """
    member = members_of(workspace_id=workspace_id).filter(id=member_id).first()
    if member is None:
        raise NotFound("There is no such member.", code="member_not_found")
    return member


def username_of(*, email: str) -> str | None:
    """The username of the one active person with this e-mail address; None where there is nobody, or several."""
    found = User.objects.filter(email__iexact=email, is_active=True).order_by("id").values_list("username", flat=True)
    names = list(found[:2]) if email else []
    return names[0] if len(names) == 1 else None


def create(*, caller: Caller, username: str, password: str | None, role: str) -> Member:
    """Add a person to the caller's workspace: a new one with a password, or one who is here already without.

    Raises:
        Invalid: the username, the password or the role is malformed.
        NotFound: no password was given and there is no such person.
        AlreadyExists: the username is taken, or the person is a member.
        Forbidden: the role reaches further than the caller does.
    """
    granted = _may_grant(caller, role)
    # Hashing takes a good part of a second: before the transaction, not in it.
    hashed = None if password is None else _hashed(username, password)
    with transaction.atomic():
        user = _known(username) if hashed is None else _new(username, hashed)
        member = Member(workspace_id=caller.workspace_id, user=user, role=granted)
        Member.objects.bulk_create([member], ignore_conflicts=True)
        if not Member.objects.filter(id=member.id).exists():
            raise AlreadyExists("This person is a member already.", code="member_exists")
    return get(workspace_id=caller.workspace_id, member_id=member.id)


def change_role(*, caller: Caller, member_id: UUID, role: str) -> Member:
    """Give a member another role.

    Raises:
        Invalid: there is no such role.
        NotFound: the workspace has no such member.
        Forbidden: the member's role, or the new one, reaches further than the caller does.
        Conflict: the workspace would be left without an owner.
    """
    granted = _may_grant(caller, role)
    with transaction.atomic():
        member = _held(caller, member_id)
        if granted != Role.OWNER:
            _keep_an_owner(member)
        Member.objects.filter(id=member.id).update(role=granted)
    return get(workspace_id=caller.workspace_id, member_id=member_id)


def remove(*, caller: Caller, member_id: UUID) -> None:
    """Take a person's place away, and every API key that acts for the person in this workspace.

    Raises:
        NotFound: the workspace has no such member.
        Forbidden: the member's role reaches further than the caller does.
        Conflict: the workspace would be left without an owner.
    """
    demand(caller, ADMIN)
    demand_live(caller)
    with transaction.atomic():
        member = _held(caller, member_id)
        _keep_an_owner(member)
        keys.end(keys.keys_of(workspace_id=caller.workspace_id).filter(user_id=member.user_id))
        member.delete()


def _may_grant(caller: Caller, role: str) -> Role:
    demand(caller, ADMIN)
    demand_live(caller)
    granted = checked_role(role)
    demand_grant(caller, granted)
    return granted


def _held(caller: Caller, member_id: UUID) -> Member:
    """The member, with every owner's row locked in key order, so that two owners cannot remove each other."""
    owners = Member.objects.filter(workspace_id=caller.workspace_id, role=Role.OWNER)
    list(owners.order_by("id").select_for_update())
    member = get(workspace_id=caller.workspace_id, member_id=member_id)
    demand_grant(caller, Role(member.role))
    return member


def _keep_an_owner(member: Member) -> None:
    owners = Member.objects.filter(workspace_id=member.workspace_id, role=Role.OWNER)
    if member.role == Role.OWNER and not owners.exclude(id=member.id).exists():
        raise Conflict("The last owner of a workspace stays its owner.", code="last_owner")


def _known(username: str) -> User:
    user = User.objects.filter(username=User.normalize_username(username), is_active=True).first()
    if user is None:
        raise NotFound("There is no such person; a new one needs a password.", code="user_not_found")
    return user


def _new(username: str, hashed: str) -> User:
    user = User(username=User.normalize_username(username), password=hashed)
    User.objects.bulk_create([user], ignore_conflicts=True)
    if not User.objects.filter(id=user.id).exists():
        raise AlreadyExists("The username is taken.", code="username_taken")
    return user


def _hashed(username: str, password: str) -> str:
    user = User(username=User.normalize_username(username))
    errors: list[FieldError] = []
    try:
        User._meta.get_field("username").clean(user.username, user)
    except ValidationError as error:
        errors += [FieldError("/username", "invalid_username", message) for message in error.messages]
    if len(password) > PASSWORD_LENGTH:
        errors.append(FieldError("/password", "too_long", f"A password has at most {PASSWORD_LENGTH} characters."))
    else:
        try:
            validate_password(password, user)
        except ValidationError as error:
            errors += [FieldError("/password", each.code or "invalid", each.messages[0]) for each in error.error_list]
    if errors:
        raise Invalid("The username or the password cannot be used.", errors=errors)
    return make_password(password)
