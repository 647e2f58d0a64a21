"""Webhook endpoints over /api/v1: kept, shown, rotated, tried out, and what was sent to them."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.utils import timezone

from messaging.models import Mode, WebhookDelivery, WebhookEndpoint
from messaging.models.keys import uuid7
from messaging.webhooks.endpoints import MOST
from messaging.webhooks.types import TYPES
from tests.channels_app.urls import FORMS
from tests.messaging.api.callers import Caller, assert_problem, make_caller

PATH = "/api/v1/webhook-endpoints"
URL = "https://hooks.example.com/told"


def read(answer: HttpResponse) -> Any:
    return json.loads(answer.content)


def made(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post(PATH, {"url": URL, **fields})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = read(answer)
    return found


def sent(endpoint: dict[str, Any], state: str = "delivered", **fields: Any) -> WebhookDelivery:
    row = WebhookEndpoint.objects.get(pk=endpoint["id"])
    return WebhookDelivery.objects.create(
        **{"endpoint": row, "event_id": uuid7(), "type": "message.sent", "at": timezone.now(), "state": state, **fields}
    )


def test_an_endpoint_is_kept_and_its_secret_shown_once(caller: Caller) -> None:
    first = made(caller, description="Orders", types=["message.delivered", "message.failed", "message.delivered"])
    secret = first.pop("secret")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert first == {
        "id": first["id"],
        "url": URL,
        "description": "Orders",
        "types": ["message.delivered", "message.failed"],
        "test": False,
        "format": "dispatch",
        "active": True,
        "failing_since": None,
        "disabled_at": None,
        "disabled_because": None,
        "previous_secret_until": None,
        "created_at": first["created_at"],
        "updated_at": first["updated_at"],
    }
    assert read(caller.get(f"{PATH}/{first['id']}")) == first
    assert read(caller.get(PATH)) == {"results": [first], "next": None, "previous": None}


def test_an_endpoint_of_another_workspace_is_not_there(caller: Caller, stranger: Caller) -> None:
    path = f"{PATH}/{made(stranger)['id']}"
    for method, each in (("GET", path), ("DELETE", path), ("POST", f"{path}/rotate"), ("GET", f"{path}/deliveries")):
        assert_problem(caller.ask(method, each), 404, "webhook_endpoint_not_found")
    assert_problem(caller.ask("PATCH", path, {"active": False}), 404, "webhook_endpoint_not_found")


def test_an_endpoint_is_changed_in_parts_and_deleted(caller: Caller) -> None:
    one = made(caller)
    path = f"{PATH}/{one['id']}"
    changed = read(caller.ask("PATCH", path, {"types": ["message.sent"], "active": False}))
    assert (changed["types"], changed["active"], changed["url"]) == (["message.sent"], False, URL)
    again = read(caller.ask("PATCH", path, {"types": [], "active": True, "url": "https://other.example.com/"}))
    assert (again["types"], again["active"], again["url"]) == ([], True, "https://other.example.com/")
    sent(one)
    assert caller.ask("DELETE", path).status_code == 204
    assert_problem(caller.get(path), 404, "webhook_endpoint_not_found")


def test_a_url_that_leads_inside_is_refused(caller: Caller) -> None:
    path = f"{PATH}/{made(caller)['id']}"
    for url, _ in FORMS:
        for answer in (caller.post(PATH, {"url": url}), caller.ask("PATCH", path, {"url": url})):
            assert answer.status_code == 422, url
            assert read(answer)["errors"][0]["pointer"] == "/url"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": ""}, "/url"),
        ({"url": "ftp://example.com/"}, "/url"),
        ({"url": "https://user@example.com/"}, "/url"),
        ({"url": None}, "/url"),
        ({"types": ["message.sending"]}, "/types/0"),
        ({"types": ["message.sent", "nothing"]}, "/types/1"),
        ({"types": "message.sent"}, "/types"),
        ({"description": "a\nb"}, "/description"),
        ({"description": "x" * 501}, "/description"),
        ({"test": "yes"}, "/test"),
        ({"active": True}, "/active"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"format": "campaignos"}, "/format"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(caller: Caller, fields: dict[str, Any], pointer: str) -> None:
    answer = caller.post(PATH, {"url": URL, **fields})
    assert answer.status_code == 422, answer.content
    assert read(answer)["errors"][0]["pointer"] == pointer


def test_there_are_only_so_many_endpoints(caller: Caller) -> None:
    one = made(caller)
    row = WebhookEndpoint.objects.get(pk=one["id"])
    WebhookEndpoint.objects.bulk_create(
        WebhookEndpoint(workspace=row.workspace, url=URL, secret=row.secret, since=row.since) for _ in range(MOST - 1)
    )
    assert_problem(caller.post(PATH, {"url": URL}), 409, "too_many_endpoints")


def test_a_test_key_touches_endpoints_of_test_mode_alone(caller: Caller) -> None:
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    assert_problem(tester.post(PATH, {"url": URL}), 403, "test_key")
    own = made(tester, test=True)
    live = f"{PATH}/{made(caller)['id']}"
    for method, path, body in (
        ("PATCH", live, {"active": False}),
        ("DELETE", live, None),
        ("POST", f"{live}/rotate", {}),
        ("POST", f"{live}/test", None),
    ):
        assert_problem(tester.ask(method, path, body), 403, "test_key")
    assert tester.ask("POST", f"{PATH}/{own['id']}/test").status_code == 202


def test_a_secret_is_replaced_and_both_sign_for_a_time(caller: Caller) -> None:
    one = made(caller)
    path = f"{PATH}/{one['id']}/rotate"
    after = read(caller.post(path))
    assert after["secret"] != one["secret"]
    assert after["previous_secret_until"] is not None
    alone = read(caller.post(path, {"overlap_hours": 0}))
    assert alone["previous_secret_until"] is None
    for wrong in (-1, 169, "one"):
        assert caller.post(path, {"overlap_hours": wrong}).status_code == 422


def test_deliveries_are_listed_by_state_and_paged(caller: Caller) -> None:
    one = made(caller)
    path = f"{PATH}/{one['id']}/deliveries"
    rows = [sent(one, state, next_attempt_at=None) for state in ("delivered", "failed", "delivered", "pending")]
    first = read(caller.get(f"{path}?limit=3"))
    assert [UUID(each["id"]) for each in first["results"]] == [row.id for row in reversed(rows[1:])]
    second = read(caller.get(first["next"].removeprefix("http://testserver")))
    assert [UUID(each["id"]) for each in second["results"]] == [rows[0].id]
    delivered = read(caller.get(f"{path}?state=delivered"))["results"]
    assert [UUID(each["id"]) for each in delivered] == [rows[2].id, rows[0].id]
    assert caller.get(f"{path}?state=lost").status_code == 422


def test_a_delivery_tells_of_its_tries(caller: Caller) -> None:
    one = made(caller)
    tried = {"at": "2026-01-01T00:00:00.000Z", "seconds": 0.25, "status": 500, "detail": "not now"}
    row = sent(one, "failed", attempts=1, tries=[tried], message_id=uuid7(), next_attempt_at=None)
    found = read(caller.get(f"{PATH}/{one['id']}/deliveries/{row.id}"))
    assert found["tries"] == [tried]
    assert (found["state"], found["event_id"], found["message_id"]) == (
        "failed",
        str(row.event_id),
        str(row.message_id),
    )
    other = made(caller)
    assert_problem(caller.get(f"{PATH}/{other['id']}/deliveries/{row.id}"), 404, "delivery_not_found")


def test_what_ended_is_sent_once_more_and_what_waits_is_not(caller: Caller) -> None:
    one = made(caller)
    path = f"{PATH}/{one['id']}"
    row = sent(one, "failed", attempts=10, next_attempt_at=None)
    again = caller.post(f"{path}/deliveries/{row.id}/resend")
    assert (again.status_code, read(again)["state"], read(again)["attempts"]) == (202, "pending", 0)
    assert_problem(caller.post(f"{path}/deliveries/{row.id}/resend"), 409, "delivery_pending")
    caller.ask("PATCH", path, {"active": False})
    assert_problem(caller.post(f"{path}/deliveries/{row.id}/resend"), 409, "endpoint_not_active")
    assert_problem(caller.post(f"{path}/test"), 409, "endpoint_not_active")


def test_the_workspaces_own_secrets_are_shown_where_there_are_any(
    caller: Caller, stranger: Caller, settings: Any
) -> None:
    assert read(caller.get("/api/v1/webhook-secrets")) == {"secrets": []}
    settings.WEBHOOK_SECRETS = ["whsec_" + base64.b64encode(b"k" * 32).decode()]
    (own,) = read(caller.get("/api/v1/webhook-secrets"))["secrets"]
    (other,) = read(stranger.get("/api/v1/webhook-secrets"))["secrets"]
    assert own.startswith("whsec_")
    assert own not in (other, settings.WEBHOOK_SECRETS[0])


def test_every_type_may_be_asked_for(caller: Caller) -> None:
    assert made(caller, types=list(TYPES))["types"] == list(TYPES)


def test_nobody_is_told_by_an_endpoint_what_they_may_not_see(caller: Caller) -> None:
    blind = make_caller(workspace=caller.workspace, scopes=["webhooks:write", "contacts:read"])
    assert_problem(blind.post(PATH, {"url": URL}), 403, "missing_scope")
    own = f"{PATH}/{made(blind, types=['contact.created'])['id']}"
    assert_problem(blind.ask("PATCH", own, {"types": ["message.sent"]}), 403, "missing_scope")
    other = f"{PATH}/{made(caller)['id']}"
    assert_problem(blind.ask("PATCH", other, {"url": "https://mine.example.com/"}), 403, "missing_scope")
    assert_problem(blind.post(f"{other}/rotate"), 403, "missing_scope")
