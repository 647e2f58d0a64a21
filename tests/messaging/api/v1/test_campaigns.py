"""/campaigns: planned, started, watched, stopped, tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from messaging.api.v1.serializers.campaigns import STATUS_OUT
from messaging.dispatch import control
from messaging.models import Campaign, CampaignStatus, Message, Mode
from messaging.models.keys import uuid7
from tests.factories import make_template
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read
from tests.messaging.people.rows import make_contact

PATH = "/api/v1/campaigns"
PLAN: dict[str, Any] = {"name": "Spring", "channel": "email", "template": "welcome", "audience": {"tags": ["vip"]}}


@pytest.fixture
def ready(caller: Caller) -> Caller:
    """The owner of a workspace with a template and two contacts, one of whom has no address."""
    make_template(caller.workspace)
    make_contact(caller.workspace, tags=["vip"])
    make_contact(caller.workspace, tags=["vip"], email="", phone="+12025550100")
    return caller


def made(caller: Caller, **fields: Any) -> str:
    return str(read(caller.post(PATH, {**PLAN, **fields}), 201)["id"])


def test_every_status_has_its_word():
    assert set(STATUS_OUT) == set(CampaignStatus)


def test_a_campaign_is_made_as_a_draft(ready: Caller):
    at = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    given = {
        **PLAN,
        "category": "news",
        "data": {"word": "go"},
        "rate": 100,
        "window": {"start": "09:00", "end": "17:00", "time_zone": "Europe/Berlin"},
        "audience": {"tags": ["vip"], "filter": {"locale": ["de", "en"]}, "contact_ids": []},
        "scheduled_at": at.isoformat(),
    }

    body = read(ready.post(PATH, given), 201)

    assert body == {
        **given,
        "id": body["id"],
        "status": "draft",
        "error": None,
        "counts": {},
        "progress": 0.0,
        "eta": None,
        "test": False,
        "created_at": body["created_at"],
        "updated_at": body["updated_at"],
        "scheduled_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "started_at": None,
        "finished_at": None,
    }
    assert read(ready.get(f"{PATH}/{body['id']}")) == body
    assert read(ready.get(PATH)) == {"results": [body], "next": None, "previous": None}


def test_what_is_left_out_has_its_default(ready: Caller):
    body = read(ready.post(PATH, {**PLAN, "audience": {}}), 201)

    assert (body["category"], body["data"], body["rate"], body["window"]) == ("marketing", {}, None, None)
    assert body["audience"] == {"tags": [], "filter": {}, "contact_ids": []}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"name": ""}, ("/name", "too_short")),
        ({"audience": None}, ("/audience", "wrong_type")),
        ({"audience": {"everybody": True}}, ("/audience/everybody", "unknown_field")),
        ({"audience": {"filter": {"email": "x"}}}, ("/audience/filter/email", "unknown_field")),
        ({"rate": 0}, ("/rate", "out_of_range")),
        ({"window": {"start": "9", "end": "17:00"}}, ("/window/start", "invalid_value")),
        ({"window": {"start": "09:00", "end": "17:00", "time_zone": "x"}}, ("/window/time_zone", "invalid_value")),
        ({"scheduled_at": "2020-01-01T00:00:00Z"}, ("/scheduled_at", "in_the_past")),
        ({"scheduled_at": "2020-01-01T00:00:00"}, ("/scheduled_at", "time_zone_required")),
        ({"scheduled_at": "9999-12-31T23:59:59-12:00"}, ("/scheduled_at", "out_of_range")),
        ({"template": "nothing"}, ("/template", "template_not_found")),
        ({"channel": "fax"}, ("/channel", "invalid_choice")),
        ({"status": "running"}, ("/status", "unknown_field")),
    ],
)
def test_a_plan_that_cannot_be_is_refused(ready: Caller, fields: dict[str, Any], place: tuple[str, str]):
    key = made(ready)
    for answer in (
        ready.post(PATH, {**PLAN, **fields}),
        ready.ask("PUT", f"{PATH}/{key}", {**PLAN, **fields}),
        ready.ask("PATCH", f"{PATH}/{key}", fields),
    ):
        body = assert_problem(answer, 422, answer.json()["code"], place)
        assert body["code"] in {"validation_error", place[1]}


def test_a_draft_is_changed_and_replaced(ready: Caller):
    key = made(ready, rate=5, category="news")

    changed = read(ready.ask("PATCH", f"{PATH}/{key}", {"name": "Summer", "rate": None, "audience": {"tags": ["x"]}}))
    assert (changed["name"], changed["rate"], changed["category"]) == ("Summer", None, "news")
    assert changed["audience"] == {"tags": ["x"], "filter": {}, "contact_ids": []}
    replaced = read(ready.ask("PUT", f"{PATH}/{key}", PLAN))
    assert (replaced["name"], replaced["category"]) == ("Spring", "marketing")


def test_a_campaign_with_a_rate_shows_who_waits_and_until_when(ready: Caller):
    make_contact(ready.workspace, name="Bob", email="bob@example.com", tags=["vip"])
    key = made(ready, rate=1)
    body = read(ready.post(f"{PATH}/{key}/start"))
    assert (body["counts"], body["progress"]) == ({"QUEUED": 1}, 0.0)
    assert body["eta"] > body["started_at"]
    told = read(ready.get(f"{PATH}/{key}/progress"))
    assert (told["audience"], told["waiting"], told["counts"]) == (3, 1, {"QUEUED": 1})
    assert told["eta"] == body["eta"]
    over = read(ready.post(f"{PATH}/{key}/cancel"))
    told = read(ready.get(f"{PATH}/{key}/progress"))
    assert (told["waiting"], told["unreached"]) == (0, {"contact_unreachable": 1, "cancelled": 1})
    assert (over["eta"], told["progress"]) == (None, 1.0)


def test_a_start_writes_to_the_audience_once(ready: Caller):
    key = made(ready)

    body = read(ready.post(f"{PATH}/{key}/start"))

    assert (body["status"], body["counts"], body["progress"]) == ("running", {"QUEUED": 1}, 0.0)
    assert body["started_at"] is not None
    assert_problem(ready.post(f"{PATH}/{key}/start"), 409, "campaign_started")
    assert_problem(ready.ask("PATCH", f"{PATH}/{key}", {"name": "x"}), 409, "campaign_started")
    assert_problem(ready.ask("DELETE", f"{PATH}/{key}"), 409, "campaign_active")
    assert Message.objects.filter(campaign_id=key).count() == 1
    assert read(ready.get(f"{PATH}/{key}/progress")) == {
        "id": key,
        "status": "running",
        "audience": 2,
        "waiting": 0,
        "unreached": {"contact_unreachable": 1},
        "counts": {"QUEUED": 1},
        "progress": 0.0,
        "eta": None,
    }


def test_a_start_under_a_key_is_answered_again(ready: Caller):
    key = made(ready)
    first, second = (ready.post(f"{PATH}/{key}/start", Idempotency_Key="k-1") for _ in range(2))

    assert read(first) == read(second)
    assert second["Idempotency-Replayed"] == "true"


def test_a_start_that_reaches_nobody_is_refused(ready: Caller):
    key = made(ready, audience={"tags": ["nobody"]})
    assert_problem(ready.post(f"{PATH}/{key}/start"), 422, "audience_empty", ("/audience", "audience_empty"))
    assert read(ready.get(f"{PATH}/{key}"))["status"] == "draft"


def test_a_campaign_with_a_time_is_scheduled(ready: Caller):
    key = made(ready, scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat())
    assert read(ready.post(f"{PATH}/{key}/start"))["status"] == "scheduled"
    assert_problem(ready.ask("DELETE", f"{PATH}/{key}"), 409, "campaign_active")
    assert read(ready.ask("PATCH", f"{PATH}/{key}", {"scheduled_at": None}))["status"] == "draft"


def test_messages_name_their_campaign(ready: Caller):
    key = made(ready)
    ready.post(f"{PATH}/{key}/start")

    rows = read(ready.get(f"/api/v1/messages?campaign={key}"))["results"]

    assert [(row["campaign_id"], row["priority"], row["category"]) for row in rows] == [(key, "bulk", "marketing")]
    assert rows[0]["template"]["key"] == "welcome"
    assert read(ready.get(f"/api/v1/messages?campaign={uuid7()}"))["results"] == []
    assert_problem(ready.get("/api/v1/messages?campaign=x"), 422, "validation_error", ("/campaign", "invalid_value"))


def test_a_campaign_is_paused_resumed_and_cancelled(ready: Caller):
    key = made(ready)
    for name in ("pause", "resume", "retry-failed"):
        assert_problem(ready.post(f"{PATH}/{key}/{name}"), 409, "campaign_refused")
    ready.post(f"{PATH}/{key}/start")

    assert read(ready.post(f"{PATH}/{key}/pause"))["status"] == "paused"
    assert read(ready.post(f"{PATH}/{key}/resume"))["status"] == "running"
    body = read(ready.post(f"{PATH}/{key}/cancel"))

    assert (body["status"], body["counts"], body["progress"]) == ("cancelled", {"CANCELLED": 1}, 1.0)
    assert body["finished_at"] is not None
    for name in ("pause", "resume", "cancel", "retry-failed"):
        assert_problem(ready.post(f"{PATH}/{key}/{name}"), 409, "campaign_ended")
    assert ready.ask("DELETE", f"{PATH}/{key}").status_code == 204
    assert_problem(ready.get(f"{PATH}/{key}"), 404, "campaign_not_found")


def test_what_is_held_back_has_no_time_of_a_next_attempt(ready: Caller):
    key = made(ready)
    ready.post(f"{PATH}/{key}/start")
    ready.post(f"{PATH}/{key}/pause")
    held = Message.objects.get(campaign_id=key)

    assert control.held_back(Message.objects.filter(campaign_id=key)).exists()
    shown = [
        read(ready.get(f"/api/v1/messages/{held.id}")),
        read(ready.get(f"/api/v1/messages/{held.id}/explain")),
        *read(ready.get("/api/v1/messages"))["results"],
    ]
    assert [each["next_attempt_at"] for each in shown] == [None] * 3

    ready.post(f"{PATH}/{key}/resume")
    assert read(ready.get(f"/api/v1/messages/{held.id}"))["next_attempt_at"] is not None


def test_failures_are_tried_again(ready: Caller):
    key = made(ready)
    ready.post(f"{PATH}/{key}/start")
    Message.objects.filter(campaign_id=key).update(status="FAILED", failed_at=timezone.now(), error_code="gone")
    Campaign.objects.update(status="partly_failed", finished_at=timezone.now())

    body = read(ready.post(f"{PATH}/{key}/retry-failed"))

    assert (body["retried"], body["status"], body["counts"]) == (1, "running", {"QUEUED": 1})
    assert body["finished_at"] is None


def test_a_test_key_makes_and_starts_test_campaigns_only(ready: Caller):
    tester = make_caller(workspace=ready.workspace, mode=Mode.TEST)
    live, test = made(ready), made(tester)
    assert read(tester.get(f"{PATH}/{test}"))["test"] is True
    for method, rest in (("POST", "/start"), ("POST", "/retry-failed"), ("PATCH", ""), ("DELETE", "")):
        assert_problem(tester.ask(method, f"{PATH}/{live}{rest}", {}), 403, "test_key")
    assert read(tester.post(f"{PATH}/{test}/start"))["status"] == "running"
    assert Message.objects.get(campaign_id=test).test is True


def test_a_campaign_of_another_workspace_is_not_found(ready: Caller, stranger: Caller):
    key = made(ready)
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/progress"), ("POST", "/start")):
        assert_problem(stranger.ask(method, f"{PATH}/{key}{rest}", {}), 404, "campaign_not_found")
    for name in ("pause", "resume", "cancel", "retry-failed"):
        assert_problem(stranger.post(f"{PATH}/{key}/{name}"), 404, "campaign_not_found")
    assert read(stranger.get(PATH))["results"] == []


def test_the_list_is_paged_and_filtered(ready: Caller):
    keys = [made(ready, name=f"c{n}") for n in range(3)]
    ready.post(f"{PATH}/{keys[1]}/start")

    def listed(query: str) -> list[str]:
        return [row["id"] for row in read(ready.get(f"{PATH}?{query}"))["results"]]

    assert listed("") == keys[::-1]
    assert listed("status=running") == [keys[1]]
    assert listed("channel=sms") == []
    first = read(ready.get(f"{PATH}?limit=2"))
    parts = urlsplit(first["next"])
    second = read(ready.get(f"{parts.path}?{parts.query}"))
    assert [row["id"] for row in first["results"] + second["results"]] == keys[::-1]
    assert_problem(ready.get(f"{PATH}?status=x"), 422, "validation_error", ("/status", "invalid_choice"))
