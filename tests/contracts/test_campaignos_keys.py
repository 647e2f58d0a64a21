"""API keys: shown once, masked in lists, revoked by the id in the body."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.api.common.rendering import stamp
from messaging.models import ApiKey, Mode, Role
from tests.contracts.campaignos import STRANGER, home, refused
from tests.messaging.api.callers import Caller, make_caller, nobody, read

WANTED: dict[str, Any] = {"name": "Site", "scopes": ["messages:read", "messages:write"]}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def shown(row: ApiKey, **fields: Any) -> dict[str, Any]:
    row.refresh_from_db()
    return {
        "id": f"ak_{row.id.hex}",
        "name": row.name,
        "key": f"{row.prefix}_…",
        "scopes": row.scopes,
        "mode": "live",
        "createdAt": stamp(row.created_at),
        "expiresAt": stamp(row.expires_at),
        "lastUsedAt": stamp(row.last_used_at),
        "revokedAt": stamp(row.revoked_at),
        **fields,
    }


def test_a_key_is_shown_once_and_works(caller: Caller) -> None:
    wanted = {**WANTED, "expiresAt": "2099-01-01T02:00:00+02:00", "mode": "test"}
    body = read(caller.post(f"{home(caller)}/keys", wanted), 201)
    row = ApiKey.objects.get(name="Site")
    assert body == shown(row, key=body["key"], mode="test", expiresAt="2099-01-01T00:00:00.000Z")
    assert body["key"].startswith("dk_test_")
    caller.headers = {"Authorization": f"Bearer {body['key']}"}
    assert read(caller.get(f"{home(caller)}/messages"))["data"] == []


def test_the_list_masks_every_key(caller: Caller) -> None:
    own = ApiKey.objects.get()
    raw = read(caller.post(f"{home(caller)}/keys", WANTED), 201)["key"]
    made = ApiKey.objects.get(name="Site")
    answer = caller.get(f"{home(caller)}/keys")
    pagination = {"page": 1, "limit": 50, "total": 2, "totalPages": 1}
    assert read(answer) == {"data": [shown(own), shown(made)], "pagination": pagination}
    assert raw.encode() not in answer.content
    second = read(caller.get(f"{home(caller)}/keys?page=2&limit=1"))
    assert [each["id"] for each in second["data"]] == [f"ak_{made.id.hex}"]


@pytest.mark.parametrize("spelled", [lambda key: f"ak_{key.hex}", str])
def test_a_key_is_revoked_by_the_id_in_the_body(caller: Caller, spelled: Any) -> None:
    body = read(caller.post(f"{home(caller)}/keys", WANTED), 201)
    row = ApiKey.objects.get(name="Site")
    for _ in range(2):
        assert read(caller.ask("DELETE", f"{home(caller)}/keys", {"keyId": spelled(row.id)})) == {"success": True}
    other = Caller(caller.workspace, raw=body["key"])
    refused(other.get(f"{home(caller)}/messages"), 401, "UNAUTHORIZED", reason="invalid_key")
    assert read(caller.get(f"{home(caller)}/keys"))["data"][1]["revokedAt"]


@pytest.mark.parametrize("spelled", [f"ak_{STRANGER.hex}", "ak_1", f"msg_{STRANGER.hex}"])
def test_an_unknown_key_is_not_found(caller: Caller, spelled: str) -> None:
    answer = caller.ask("DELETE", f"{home(caller)}/keys", {"keyId": spelled})
    reason = None if spelled == f"ak_{STRANGER.hex}" else "api_key_not_found"
    refused(answer, 404, "NOT_FOUND", message="There is no such API key.", reason=reason)


def test_a_key_of_another_workspace_is_not_found(caller: Caller) -> None:
    stranger = make_caller()
    key = ApiKey.objects.get(workspace=stranger.workspace)
    answer = caller.ask("DELETE", f"{home(caller)}/keys", {"keyId": f"ak_{key.id.hex}"})
    refused(answer, 404, "NOT_FOUND", message="There is no such API key.")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"name": ""}, "name", None),
        ({"scopes": []}, "scopes", None),
        ({"scopes": ["contacts:erase"]}, "scopes.0", "invalid_choice"),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt", "in_the_past"),
        ({"expiresAt": "2099-01-01T00:00:00"}, "expiresAt", None),
        ({"mode": "sandbox"}, "mode", None),
        ({"owner": "ann"}, "owner", None),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    caller: Caller, fields: dict[str, Any], field: str, reason: str | None
) -> None:
    answer = caller.post(f"{home(caller)}/keys", {**WANTED, **fields})
    refused(answer, 400, "VALIDATION_ERROR", reason=reason, fields=[field])


def test_a_key_reaches_no_further_than_its_maker(db: None) -> None:
    caller = make_caller(scopes=["admin", "messages:read"])
    answer = caller.post(f"{home(caller)}/keys", WANTED)
    refused(answer, 403, "FORBIDDEN", message="This needs the scope messages:write.", reason="missing_scope")


def test_a_key_for_events_alone_is_made_and_reaches_no_contacts(caller: Caller) -> None:
    made = read(caller.post(f"{home(caller)}/keys", {**WANTED, "scopes": ["events:write"]}), 201)
    site = Caller(caller.workspace, raw=made["key"])
    read(site.post(f"{home(caller)}/events", {"type": "page_view"}), 201)
    for answer in (site.get(f"{home(caller)}/events"), site.post(f"{home(caller)}/contacts", {"email": "a@b.example"})):
        refused(answer, 403, "FORBIDDEN", reason="missing_scope")


def test_a_test_key_makes_no_live_one(db: None) -> None:
    caller = make_caller(mode=Mode.TEST)
    refused(caller.post(f"{home(caller)}/keys", WANTED), 403, "FORBIDDEN", reason="test_key")


ASKED = [("GET", None), ("POST", WANTED), ("DELETE", {"keyId": f"ak_{STRANGER.hex}"})]


@pytest.mark.parametrize(("method", "body"), ASKED)
def test_keys_are_for_those_who_administer(db: None, method: str, body: Any) -> None:
    caller = make_caller(Role.OPERATOR)
    answer = caller.ask(method, f"{home(caller)}/keys", body)
    refused(answer, 403, "FORBIDDEN", message="This needs the scope admin.", reason="missing_scope")


@pytest.mark.parametrize(("method", "body"), ASKED)
def test_nobody_is_told_anything(db: None, method: str, body: Any) -> None:
    refused(nobody().ask(method, f"{home(make_caller())}/keys", body), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(("method", "body"), ASKED)
def test_a_workspace_of_others_is_not_found(caller: Caller, method: str, body: Any) -> None:
    answer = caller.ask(method, f"{home(make_caller())}/keys", body)
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")
