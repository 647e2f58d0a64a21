"""API keys, members and workspaces over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import ApiKey, Member, Role, User, Workspace
from messaging.models.keys import uuid7
from messaging.tenancy.access import ROLES, SCOPES
from tests.factories import make_member
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

KEYS, MEMBERS, WORKSPACES = "/api/v1/api-keys", "/api/v1/members", "/api/v1/workspaces"
EVE = {"username": "eve", "password": "correct horse battery", "role": "member"}


def test_a_key_is_made_shown_once_used_and_revoked(caller: Caller) -> None:
    made = read(caller.post(KEYS, {"name": " Shop ", "scopes": ["messages:read"], "mode": "test"}), 201)
    assert made == {
        "id": made["id"],
        "name": "Shop",
        "prefix": made["prefix"],
        "scopes": ["messages:read"],
        "mode": "test",
        "created_at": made["created_at"],
        "expires_at": None,
        "rate_limit": None,
        "revoked_at": None,
        "last_used_at": None,
        "key": made["key"],
    }
    assert made["key"].startswith(f"{made['prefix']}_")
    assert made["prefix"].startswith("dk_test_")
    shop = Caller(caller.workspace, None, made["key"])
    assert read(shop.get("/api/v1/messages"))["results"] == []
    shown = {name: value for name, value in made.items() if name not in {"key", "last_used_at"}}
    listed = {each["id"]: each for each in read(caller.get(KEYS))["results"]}[made["id"]]
    assert {name: value for name, value in listed.items() if name != "last_used_at"} == shown
    for _ in range(2):
        assert caller.ask("DELETE", f"{KEYS}/{made['id']}").status_code == 204
    assert_problem(shop.get("/api/v1/messages"), 401, "invalid_key")
    assert made["key"].removeprefix(made["prefix"]).encode() not in bytes(ApiKey.objects.get(id=made["id"]).digest)


@pytest.mark.parametrize(
    ("fields", "code", "place"),
    [
        ({"scopes": []}, "validation_error", ("/scopes", "too_short")),
        ({"scopes": ["messages"]}, "invalid_choice", ("/scopes/0", "invalid_choice")),
        ({"name": ""}, "validation_error", ("/name", "too_short")),
        ({"name": "   "}, "invalid_length", ("/name", "invalid_length")),
        ({"mode": "real"}, "validation_error", ("/mode", "invalid_choice")),
        ({"user_id": "x"}, "validation_error", ("/user_id", "unknown_field")),
        ({"expires_at": "2099-01-01T00:00:00"}, "validation_error", ("/expires_at", "time_zone_required")),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "in_the_past", ("/expires_at", "in_the_past")),
        ({"expires_at": "9999-12-31T23:59:59-10:00"}, "validation_error", ("/expires_at", "out_of_range")),
        ({"expires_at": "0001-01-01T00:00:00+10:00"}, "validation_error", ("/expires_at", "out_of_range")),
    ],
)
def test_a_bad_key_is_refused(caller: Caller, fields: dict[str, Any], code: str, place: tuple[str, str]) -> None:
    assert_problem(caller.post(KEYS, {"name": "x", "scopes": ["admin"], **fields}), 422, code, place)
    assert ApiKey.objects.count() == 1


@pytest.mark.django_db
def test_a_key_gives_no_scope_that_its_maker_lacks() -> None:
    caller = make_caller(scopes=["admin", "messages:read"])
    assert_problem(caller.post(KEYS, {"name": "x", "scopes": ["messages:write"]}), 403, "missing_scope")
    read(caller.post(KEYS, {"name": "x", "scopes": ["messages:read", "admin"]}), 201)


def test_a_key_of_another_workspace_is_not_found(caller: Caller, stranger: Caller) -> None:
    key = ApiKey.objects.get(workspace=caller.workspace)
    assert_problem(stranger.ask("DELETE", f"{KEYS}/{key.id}"), 404, "not_found")
    read(caller.get("/api/v1/me"))


def test_a_member_is_added_changed_and_removed(caller: Caller) -> None:
    made = read(caller.post(MEMBERS, EVE), 201)
    user = User.objects.get(username="eve")
    assert made == {
        "id": made["id"],
        "username": "eve",
        "avatar_id": str(user.avatar_id),
        "role": "member",
        "created_at": made["created_at"],
    }
    assert user.check_password(EVE["password"])
    assert not user.is_staff
    assert not user.is_superuser
    assert read(caller.get(MEMBERS))["results"][-1] == made
    changed = read(caller.ask("PATCH", f"{MEMBERS}/{made['id']}", {"role": "admin"}))
    assert changed == {**made, "role": "admin"}
    assert caller.ask("DELETE", f"{MEMBERS}/{made['id']}").status_code == 204
    assert_problem(caller.ask("DELETE", f"{MEMBERS}/{made['id']}"), 404, "member_not_found")


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"password": "short"}, [("/password", "password_too_short")]),
        ({"password": "password123"}, [("/password", "password_too_common")]),
        ({"password": "x" * 2000}, [("/password", "too_long")]),
        ({"username": "a b"}, [("/username", "invalid_username")]),
        (
            {"username": "a/b", "password": "xq7"},
            [("/username", "invalid_username"), ("/password", "password_too_short")],
        ),
        ({"role": "root"}, [("/role", "invalid_choice")]),
        ({"is_superuser": True}, [("/is_superuser", "unknown_field")]),
        ({"workspace_id": "x"}, [("/workspace_id", "unknown_field")]),
    ],
)
def test_a_bad_member_is_refused(caller: Caller, fields: dict[str, Any], places: list[Any]) -> None:
    assert_problem(caller.post(MEMBERS, {**EVE, **fields}), 422, "validation_error", *places)
    assert not User.objects.filter(username="eve").exists()


def test_a_username_is_taken_once(caller: Caller, stranger: Caller) -> None:
    read(caller.post(MEMBERS, EVE), 201)
    for each in (caller, stranger):
        assert_problem(each.post(MEMBERS, EVE), 409, "username_taken")


def test_somebody_who_is_here_joins_without_a_password(caller: Caller, stranger: Caller) -> None:
    read(caller.post(MEMBERS, EVE), 201)
    joining = {"username": "eve", "role": "viewer"}
    assert read(stranger.post(MEMBERS, joining), 201)["role"] == "viewer"
    assert_problem(stranger.post(MEMBERS, joining), 409, "member_exists")
    assert_problem(stranger.post(MEMBERS, {**joining, "username": "zoe"}), 404, "user_not_found")


@pytest.mark.django_db
def test_nobody_grants_or_touches_a_role_above_their_own() -> None:
    admin = make_caller(Role.ADMIN)
    owner = make_member(admin.workspace, Role.OWNER)
    assert_problem(admin.post(MEMBERS, {**EVE, "role": "owner"}), 403, "role_above_yours")
    assert_problem(admin.ask("PATCH", f"{MEMBERS}/{owner.id}", {"role": "viewer"}), 403, "role_above_yours")
    assert_problem(admin.ask("DELETE", f"{MEMBERS}/{owner.id}"), 403, "role_above_yours")
    assert admin.member
    assert_problem(admin.ask("PATCH", f"{MEMBERS}/{admin.member.id}", {"role": "owner"}), 403, "role_above_yours")


@pytest.mark.django_db
def test_a_narrow_key_grants_no_role_that_reaches_further() -> None:
    caller = make_caller(scopes=["admin", *ROLES[Role.VIEWER]])
    assert_problem(caller.post(MEMBERS, {**EVE, "role": "member"}), 403, "role_above_yours")
    read(caller.post(MEMBERS, {**EVE, "role": "viewer"}), 201)


def test_the_last_owner_stays(caller: Caller) -> None:
    assert caller.member
    path = f"{MEMBERS}/{caller.member.id}"
    assert_problem(caller.ask("DELETE", path), 409, "last_owner")
    assert_problem(caller.ask("PATCH", path, {"role": "admin"}), 409, "last_owner")
    make_member(caller.workspace, Role.OWNER)
    assert read(caller.ask("PATCH", path, {"role": "admin"}))["role"] == "admin"


def test_a_removed_members_keys_end(caller: Caller) -> None:
    other = make_caller(Role.MEMBER, workspace=caller.workspace)
    assert other.member
    read(other.get("/api/v1/me"))
    assert caller.ask("DELETE", f"{MEMBERS}/{other.member.id}").status_code == 204
    assert_problem(other.get("/api/v1/me"), 401, "invalid_key")
    # Whoever comes back does not find old keys alive.
    Member.objects.create(workspace=caller.workspace, user=other.member.user, role=Role.MEMBER)
    assert_problem(other.get("/api/v1/me"), 401, "invalid_key")


def test_a_member_of_another_workspace_is_not_found(caller: Caller, stranger: Caller) -> None:
    assert caller.member
    path = f"{MEMBERS}/{caller.member.id}"
    assert_problem(stranger.ask("PATCH", path, {"role": "viewer"}), 404, "member_not_found")
    assert_problem(stranger.ask("DELETE", path), 404, "member_not_found")
    assert Member.objects.get(id=caller.member.id).role == Role.OWNER


def test_lists_are_paged(caller: Caller) -> None:
    for number in range(3):
        make_member(caller.workspace, username=f"m{number}")
    first = read(caller.get(f"{MEMBERS}?limit=3"))
    second = read(caller.get(first["next"].removeprefix("http://testserver")))
    assert [each["username"] for each in first["results"] + second["results"]][1:] == ["m0", "m1", "m2"]
    assert second["next"] is None
    back = read(caller.get(second["previous"].removeprefix("http://testserver")))
    assert back["results"] == first["results"]
    cursor = first["next"].rpartition("=")[2]
    assert_problem(caller.get(f"{KEYS}?cursor={cursor}"), 422, "invalid_cursor", ("/cursor", "invalid_cursor"))


def test_a_workspace_is_made_and_owned(caller: Caller) -> None:
    made = read(caller.post(WORKSPACES, {"name": "Second Shop"}), 201)
    assert made == {"id": made["id"], "name": "Second Shop", "slug": "second-shop", "created_at": made["created_at"]}
    assert caller.member
    member = Member.objects.get(workspace_id=made["id"])
    assert (member.user_id, member.role) == (caller.member.user_id, Role.OWNER)
    again = read(caller.post(WORKSPACES, {"name": "Second Shop"}), 201)
    assert again["slug"].startswith("second-shop-")
    named = read(caller.post(WORKSPACES, {"name": "Ünï!", "slug": "own-slug"}), 201)
    assert named["slug"] == "own-slug"
    assert_problem(caller.post(WORKSPACES, {"name": "x", "slug": "own-slug"}), 409, "slug_taken")


@pytest.mark.parametrize("slug", ["A", "a b", "a--b", "-a", "a/b", str(uuid7()), uuid7().hex])
def test_a_bad_slug_is_refused(caller: Caller, slug: str) -> None:
    assert_problem(caller.post(WORKSPACES, {"name": "x", "slug": slug}), 422, "invalid_slug", ("/slug", "invalid_slug"))


def test_a_key_sees_its_own_workspace_only(caller: Caller, stranger: Caller) -> None:
    read(caller.post(WORKSPACES, {"name": "x"}), 201)
    assert [each["id"] for each in read(caller.get(WORKSPACES))["results"]] == [str(caller.workspace.id)]
    own = read(caller.get(f"{WORKSPACES}/{caller.workspace.id}"))
    assert own["slug"] == caller.workspace.slug
    for foreign in (stranger.workspace.id, uuid7(), Workspace.objects.get(name="x").id):
        assert_problem(caller.get(f"{WORKSPACES}/{foreign}"), 404, "workspace_not_found")


def test_everybody_sees_who_they_are(caller: Caller) -> None:
    assert caller.member
    body = read(caller.get("/api/v1/me/"))
    assert body == {
        "username": caller.member.user.username,
        "avatar_id": str(caller.member.user.avatar_id),
        "workspace": read(caller.get(f"{WORKSPACES}/{caller.workspace.id}")),
        "role": "owner",
        "scopes": sorted(SCOPES),
        "mode": "live",
        "api_key_id": str(ApiKey.objects.get().id),
    }
