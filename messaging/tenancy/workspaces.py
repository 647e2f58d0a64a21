"""Workspaces, and which of them a person stands in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.text import slugify

from messaging.errors import AlreadyExists, Forbidden, Invalid, NotFound
from messaging.models import Member, Role, Workspace
from messaging.tenancy import keys
from messaging.tenancy.access import ADMIN, ROLES, Caller, appearance, demand, demand_live

NAME_LENGTH = 200
SLUG_LENGTH = 100
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)

# A person's workspaces in the order of joining, or the one that the request names.
_ENTER = """
SELECT m.workspace_id, m.role, u.avatar_id, u.rate_limit, u.first_name, u.last_name, u.username
  FROM messaging_member m
  JOIN messaging_user u ON u.id = m.user_id
  JOIN messaging_workspace w ON w.id = m.workspace_id
 WHERE m.user_id = %(user)s AND u.is_active
   AND (%(wanted)s::text IS NULL OR w.id::text = %(wanted)s OR w.slug = %(wanted)s)
 ORDER BY m.id LIMIT 1
"""


def enter(*, user_id: UUID, workspace: str | None = None) -> Caller:
    """Give the caller that a person is in the workspace named by id or slug, else in the first joined.

    Raises:
        NotFound: the person has no place in the workspace that is named.
        Forbidden: the person has no place in any.
    """
    wanted = None if workspace is None else workspace.lower()
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, {"user": user_id, "wanted": wanted})
        row = cursor.fetchone()
    if row is None and wanted is not None:
        raise NotFound("There is no such workspace.", code="workspace_not_found")
    if row is None:
        raise Forbidden("You are a member of no workspace.", code="no_workspace")
    role = Role(row[1])
    return Caller(
        workspace_id=row[0],
        user_id=user_id,
        avatar_id=row[2],
        name=appearance(*row[4:]),
        role=role,
        scopes=ROLES[role],
        rate_limit=row[3],
    )


def create(*, caller: Caller, name: str, slug: str | None = None) -> Workspace:
    """Make a workspace that the caller owns. Without a slug, one is made from the name.

    Raises:
        Invalid: the name or the slug is malformed.
        AlreadyExists: the slug is taken.
        Forbidden: the caller lacks the scope `admin`, or uses a test key.
    """
    demand(caller, ADMIN)
    demand_live(caller)
    name = _checked_name(name)
    if slug is not None and not (len(slug) <= SLUG_LENGTH and _SLUG.fullmatch(slug)):
        raise Invalid.at(
            "/slug", "invalid_slug", f"A slug has at most {SLUG_LENGTH} characters: a-z, 0-9 and single dashes."
        )
    if slug is not None and _looks_like_key(slug):
        raise Invalid.at("/slug", "invalid_slug", "A slug must not look like an id.")
    with transaction.atomic():
        workspace = make(name=name, slug=slug)
        Member.objects.create(workspace=workspace, user_id=caller.user_id, role=Role.OWNER)
    workspace.refresh_from_db()
    return workspace


def change(*, caller: Caller, name: str | None = None, language: str | None = None) -> Workspace:
    """Change what is named of the caller's workspace; `language` is what templates fall back to.

    Raises:
        Invalid: the name is malformed.
        Forbidden: the caller lacks the scope `admin`, or uses a test key.
    """
    demand(caller, ADMIN)
    demand_live(caller)
    changes = {} if name is None else {"name": _checked_name(name)}
    if language is not None:
        changes["language"] = language
    if changes:
        Workspace.objects.filter(id=caller.workspace_id).update(**changes)
    return get(caller=caller, workspace_id=caller.workspace_id)


def leave_to_nobody(*, caller: Caller) -> None:
    """End every way into the caller's workspace: its keys and its members' places. Its slug is free again.

    What it holds stays until an operator takes it away.

    Raises:
        Forbidden: the caller is not an owner, lacks the scope `admin`, or uses a test key.
    """
    demand(caller, ADMIN)
    demand_live(caller)
    if caller.role is not Role.OWNER:
        raise Forbidden("Only an owner can delete a workspace.", code="not_owner")
    workspace_id = caller.workspace_id
    with transaction.atomic():
        Workspace.objects.filter(id=workspace_id).update(slug=f"deleted-{workspace_id.hex}")
        keys.end(keys.keys_of(workspace_id=workspace_id))
        Member.objects.filter(workspace_id=workspace_id).delete()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= NAME_LENGTH:
        raise Invalid.at("/name", "invalid_length", f"A name has 1 to {NAME_LENGTH} characters.")
    return name


def make(*, name: str, slug: str | None = None) -> Workspace:
    """Write a workspace without members; runs inside the caller's transaction.

    Raises:
        AlreadyExists: the slug is taken.
    """
    for candidate in [slug] if slug else _candidates(name):
        workspace = Workspace(name=name, slug=candidate)
        written = Workspace.objects.bulk_create([workspace], ignore_conflicts=True)
        if Workspace.objects.filter(id=written[0].id).exists():
            return workspace
    raise AlreadyExists("A workspace with this slug exists already.", code="slug_taken")


def workspaces_of(*, caller: Caller) -> QuerySet[Workspace]:
    """The workspaces that the caller can see: a key its own, a person every one that has the person as a member."""
    if caller.api_key_id is not None:
        return Workspace.objects.filter(id=caller.workspace_id)
    return Workspace.objects.filter(members__user_id=caller.user_id)


def roles_of(*, caller: Caller, ids: Collection[UUID]) -> dict[UUID, Role]:
    """What the caller is in each of these workspaces, where the caller is a member."""
    rows = Member.objects.filter(user_id=caller.user_id, workspace_id__in=ids).values_list("workspace_id", "role")
    return {workspace_id: Role(role) for workspace_id, role in rows}


def get(*, caller: Caller, workspace_id: UUID) -> Workspace:
    """Give one of the caller's workspaces.

    Raises:
        NotFound: the caller has none of that id.
    """
    workspace = workspaces_of(caller=caller).filter(id=workspace_id).first()
    if workspace is None:
        raise NotFound("There is no such workspace.", code="workspace_not_found")
    return workspace


def _candidates(name: str) -> list[str]:
    base = slugify(name)[: SLUG_LENGTH - 7].strip("-_").replace("_", "-")
    if not base or _looks_like_key(base):
        base = "workspace"
    return [base, *(f"{base}-{secrets.token_hex(3)}" for _ in range(3))]


def _looks_like_key(slug: str) -> bool:
    try:
        UUID(slug)
    except ValueError:
        return False
    return True
