"""Workspaces: listed with the caller's role, made, changed and closed."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework_simplejwt.tokens import AccessToken

from messaging.api.campaignos.vocabulary import ROLE_OUT
from messaging.api.common.rendering import stamp
from messaging.models import ApiKey, Campaign, Member, Message, Mode, Role, Workspace
from tests.contracts.campaignos import STRANGER, home, refused
from tests.factories import accept_message, make_workspace
from tests.messaging.api.callers import Caller, make_caller, nobody, read


@pytest.fixture
def owner(db: None) -> Caller:
    """An owner who signed in with a token."""
    return person(Role.OWNER)


def person(role: Role, workspace: Workspace | None = None) -> Caller:
    caller = make_caller(role, workspace=workspace)
    assert caller.member
    caller.headers = {"Authorization": f"Bearer {AccessToken.for_user(caller.member.user)}"}
    return caller


def shown(row: Workspace, role: str = "OWNER", **fields: Any) -> dict[str, Any]:
    row.refresh_from_db()
    return {
        "id": f"ws_{row.id.hex}",
        "name": row.name,
        "slug": row.slug,
        "role": role,
        "settings": {"language": "en", "encrypted": False, "dailyQuota": None},
        "createdAt": stamp(row.created_at),
        **fields,
    }


def member(row: Member) -> dict[str, Any]:
    row.refresh_from_db()
    return {
        "id": f"mem_{row.id.hex}",
        "avatarId": str(row.user.avatar_id),
        "username": row.user.username,
        "role": ROLE_OUT[Role(row.role)],
        "createdAt": stamp(row.created_at),
    }


def test_the_list_gives_the_callers_workspaces_with_the_role_in_each(owner: Caller) -> None:
    other = make_workspace("Other")
    assert owner.member
    other.members.create(user=owner.member.user, role=Role.VIEWER)
    make_workspace("Foreign")
    rows = [shown(owner.workspace), shown(other, "VIEWER")]
    pagination = {"page": 1, "limit": 50, "total": 2, "totalPages": 1}
    assert read(owner.get("/api/workspaces")) == {"data": rows, "pagination": pagination}
    pagination = {"page": 2, "limit": 1, "total": 2, "totalPages": 2}
    assert read(owner.get("/api/workspaces/?page=2&limit=1")) == {"data": rows[1:], "pagination": pagination}


def test_a_key_sees_its_own_workspace_alone(db: None) -> None:
    caller = make_caller(Role.VIEWER)
    assert caller.member
    make_workspace("Other").members.create(user=caller.member.user, role=Role.OWNER)
    assert read(caller.get("/api/workspaces"))["data"] == [shown(caller.workspace, "VIEWER")]


def test_whoever_makes_a_workspace_owns_it(owner: Caller) -> None:
    body = read(owner.post("/api/workspaces", {"name": "New", "slug": "new-one"}), 201)
    row = Workspace.objects.get(slug="new-one")
    assert body == shown(row, members=[member(row.members.get())])
    assert body["members"][0]["role"] == "OWNER"


def test_a_slug_is_taken_once(owner: Caller) -> None:
    answer = owner.post("/api/workspaces", {"name": "Again", "slug": owner.workspace.slug})
    refused(answer, 409, "CONFLICT", message="A workspace with this slug exists already.", reason="slug_taken")


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"slug": "new"}, "name", None),
        ({"name": "New"}, "slug", None),
        ({"name": "", "slug": "new"}, "name", None),
        ({"name": " ", "slug": "new"}, "name", "invalid_length"),
        ({"name": "New", "slug": "Not A Slug"}, "slug", "invalid_slug"),
        ({"name": "New", "slug": str(STRANGER)}, "slug", "invalid_slug"),
        ({"name": "New", "slug": "new", "plan": "free"}, "plan", None),
    ],
)
def test_a_workspace_that_cannot_be_is_refused(
    owner: Caller, body: dict[str, Any], field: str, reason: str | None
) -> None:
    refused(owner.post("/api/workspaces", body), 400, "VALIDATION_ERROR", reason=reason, fields=[field])


def test_a_workspace_is_shown_with_members_to_those_who_manage_them(owner: Caller) -> None:
    viewer = person(Role.VIEWER, owner.workspace)
    rows = [member(row) for row in owner.workspace.members.order_by("id")]
    assert read(owner.get(home(owner))) == shown(owner.workspace, members=rows)
    assert read(viewer.get(f"{home(owner)}/")) == shown(owner.workspace, "VIEWER")


def test_a_name_and_the_language_can_be_changed(owner: Caller) -> None:
    body = read(owner.ask("PATCH", home(owner), {"name": " Acme Inc ", "settings": {"language": "pt-br"}}))
    assert owner.member
    settings = {"language": "pt-BR", "encrypted": False, "dailyQuota": None}
    assert body == shown(owner.workspace, name="Acme Inc", settings=settings, members=[member(owner.member)])
    assert read(owner.ask("PATCH", home(owner), {})) == body


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({"name": ""}, "name", None),
        ({"slug": "other"}, "slug", None),
        ({"settings": {"language": "!"}}, "settings.language", "invalid_language"),
        ({"settings": {"encrypted": True}}, "settings.encrypted", None),
        ({"settings": []}, "settings", None),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    owner: Caller, body: dict[str, Any], field: str, reason: str | None
) -> None:
    refused(owner.ask("PATCH", home(owner), body), 400, "VALIDATION_ERROR", reason=reason, fields=[field])


def test_a_deleted_workspace_is_closed_to_everybody(owner: Caller) -> None:
    slug, key = owner.workspace.slug, make_caller(workspace=owner.workspace)
    assert read(owner.ask("DELETE", home(owner))) == {"success": True}
    answer = owner.get(home(owner))
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")
    refused(key.get(home(owner)), 401, "UNAUTHORIZED", message="This is not a valid API key.", reason="invalid_key")
    assert not Member.objects.filter(workspace=owner.workspace).exists()
    assert not ApiKey.objects.filter(workspace=owner.workspace, revoked_at=None).exists()
    assert read(person(Role.OWNER).post("/api/workspaces", {"name": "Next", "slug": slug}), 201)["slug"] == slug


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR])
def test_only_an_owner_deletes(db: None, role: Role) -> None:
    caller = person(role)
    reason = "not_owner" if role is Role.ADMIN else "missing_scope"
    refused(caller.ask("DELETE", home(caller)), 403, "FORBIDDEN", reason=reason)


def test_a_workspace_with_something_to_send_stays(owner: Caller) -> None:
    key = accept_message(owner.workspace)
    answer = owner.ask("DELETE", home(owner))
    refused(answer, 409, "CONFLICT", reason="messages_waiting")
    Message.objects.filter(id=key).update(status="SENT")
    campaign = Campaign.objects.create(workspace=owner.workspace, name="Digest", channel="email", status="scheduled")
    refused(owner.ask("DELETE", home(owner)), 409, "CONFLICT", reason="campaign_active")
    assert Member.objects.filter(workspace=owner.workspace).exists()
    Campaign.objects.filter(id=campaign.id).update(status="cancelled")
    assert read(owner.ask("DELETE", home(owner))) == {"success": True}


ASKED = [
    ("POST", "/api/workspaces", {"name": "New", "slug": "new-one"}),
    ("PATCH", "", {"name": "New"}),
    ("DELETE", "", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_the_scope_admin_is_needed_to_write(db: None, method: str, path: str, body: Any) -> None:
    caller = make_caller(Role.OPERATOR)
    answer = caller.ask(method, path or home(caller), body)
    refused(answer, 403, "FORBIDDEN", message="This needs the scope admin.", reason="missing_scope")


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_a_test_key_changes_no_workspace(db: None, method: str, path: str, body: Any) -> None:
    caller = make_caller(mode=Mode.TEST)
    answer = caller.ask(method, path or home(caller), body)
    refused(answer, 403, "FORBIDDEN", message="A test key cannot do this.", reason="test_key")


@pytest.mark.parametrize(("method", "path", "body"), [*ASKED, ("GET", "", None), ("GET", "/api/workspaces", None)])
def test_nobody_is_told_anything(db: None, method: str, path: str, body: Any) -> None:
    refused(nobody().ask(method, path or home(make_caller()), body), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(("method", "path", "body"), [*ASKED[1:], ("GET", "", None)])
def test_a_workspace_of_others_is_not_found(owner: Caller, method: str, path: str, body: Any) -> None:
    answer = owner.ask(method, path or home(make_caller()), body)
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")
