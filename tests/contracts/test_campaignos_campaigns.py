"""Campaigns of the campaignos surface: planned step by step, executed, held and ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from channels_app.types import Channel
from messaging.api.campaignos.vocabulary import CAMPAIGN_OUT
from messaging.api.common.rendering import stamp
from messaging.campaigns import pace, plans, sweeps
from messaging.campaigns.audience import Target
from messaging.campaigns.plans import Plan
from messaging.dispatch import receipts
from messaging.models import Audience, Campaign, CampaignStatus, Contact, Message, Mode
from messaging.state import Status
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.contracts.test_campaignos import shown as shown_message
from tests.factories import make_template
from tests.messaging.api.callers import Caller, make_caller, nobody, read
from tests.messaging.people.rows import say

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/campaigns"),
    ("POST", "/api/workspaces/{workspace_id}/campaigns"),
    ("GET", "/api/workspaces/{workspace_id}/campaigns/{campaign_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}/campaigns/{campaign_id}"),
    ("DELETE", "/api/workspaces/{workspace_id}/campaigns/{campaign_id}"),
    ("POST", "/api/workspaces/{workspace_id}/campaigns/{campaign_id}/execute"),
}
WORKFLOW = {"nodes": [{"id": "n1", "type": "email", "data": {"a": [1, None]}}], "edges": []}
SPRING: dict[str, Any] = {"name": "Spring", "type": "BROADCAST", "workflow": WORKFLOW}

waited = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def stranger(db: None) -> Caller:
    return make_caller()


def created(caller: Caller, **fields: Any) -> dict[str, Any]:
    return dict(read(caller.post(f"{home(caller)}/campaigns", {**SPRING, **fields}), 201))


def path(caller: Caller, campaign: dict[str, Any], rest: str = "") -> str:
    return f"{home(caller)}/campaigns/{campaign['id']}{rest}"


def template_of(caller: Caller, **fields: Any) -> str:
    known = {"subject": "Hi {{ firstName }}", "text": "Your plan: {{ plan }}", **fields}
    return f"tpl_{make_template(caller.workspace, **known).id.hex}"


def ready(caller: Caller, **fields: Any) -> dict[str, Any]:
    """A campaign that lacks nothing, to the contacts with the tag `vip`."""
    known = {"channel": "EMAIL", "audience": {"tags": ["vip"]}, **fields}
    return created(caller, **{"templateId": template_of(caller), **known} if "templateId" not in fields else known)


def ann(caller: Caller, **fields: Any) -> Contact:
    known = {"first_name": "Ann", "attributes": {"plan": "gold"}, "tags": ["vip"], **fields}
    return make_contact(caller, **known)


def draft(made: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A campaign as it is shown before anything was said but what it must have."""
    return {
        "id": made["id"],
        "name": "Spring",
        "description": None,
        "type": "BROADCAST",
        "status": "DRAFT",
        "workflow": WORKFLOW,
        "settings": {},
        "channel": None,
        "templateId": None,
        "audience": {"tags": [], "contactIds": []},
        "error": None,
        "startAt": None,
        "endAt": None,
        "startedAt": None,
        "finishedAt": None,
        "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"],
        "_count": {"enrollments": 0, "messages": 0},
        **fields,
    }


# Planned


def test_every_status_has_its_word() -> None:
    assert set(CAMPAIGN_OUT) == set(CampaignStatus)


def test_a_campaign_is_planned_with_what_it_must_have(caller: Caller) -> None:
    made = created(caller)
    assert made == draft(made)
    assert made["id"] == f"cmp_{Campaign.objects.get().id.hex}"
    assert read(caller.get(path(caller, made))) == made
    assert read(caller.get(f"{home(caller)}/campaigns")) == [made]
    assert read(caller.get(f"{home(caller)}/campaigns/")) == [made]


def test_all_that_is_planned_is_kept_and_given_back(caller: Caller) -> None:
    contact, template = ann(caller), template_of(caller)
    start = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    given = {
        **SPRING,
        "type": "AUTOMATED",
        "description": "For regulars",
        "settings": {"frequencyCap": 3, "quietHours": {"start": "22:00", "end": "08:00"}, "own": [1]},
        "startAt": start.isoformat(),
        "endAt": (start + timedelta(days=7)).astimezone(UTC).isoformat(),
        "channel": "EMAIL",
        "templateId": template,
        "audience": {"tags": ["vip"], "contactIds": [f"ct_{contact.id.hex}"]},
    }
    made = read(caller.post(f"{home(caller)}/campaigns", given), 201)
    assert made == draft(made, **{**given, "startAt": stamp(start), "endAt": stamp(start + timedelta(days=7))})


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"name": ""}, ["name"]),
        ({"type": "broadcast"}, ["type"]),
        ({"workflow": None}, ["workflow"]),
        ({"workflow": []}, ["workflow"]),
        ({"workflow": {"a": "x" * 300_000}}, ["workflow"]),
        ({"settings": {"frequencyCap": "often"}}, ["settings.frequencyCap"]),
        ({"settings": {"quietHours": {"start": "22"}}}, ["settings.quietHours"]),
        ({"startAt": "2020-01-01T00:00:00Z"}, ["startAt"]),
        ({"startAt": "tomorrow"}, ["startAt"]),
        ({"startAt": "2999-01-02T00:00:00Z", "endAt": "2999-01-01T00:00:00Z"}, ["endAt"]),
        ({"channel": "SMS"}, ["channel"]),
        ({"channel": "EMAIL", "templateId": "x"}, ["templateId"]),
        ({"channel": "EMAIL", "templateId": f"tpl_{STRANGER.hex}"}, ["templateId"]),
        ({"audience": {"tags": [""]}}, ["audience.tags.0"]),
        ({"audience": {"contactIds": ["x"]}}, ["audience.contactIds.0"]),
        ({"status": "ACTIVE"}, ["status"]),
    ],
)
def test_a_bad_plan_is_refused(caller: Caller, fields: dict[str, Any], places: list[str]) -> None:
    body = read(caller.post(f"{home(caller)}/campaigns", {**SPRING, **fields}), 400)
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert list(body["error"]["details"]["fields"]) == places
    assert not Campaign.objects.exists()


def test_what_must_be_there_is_named(caller: Caller) -> None:
    for name in SPRING:
        body = {key: value for key, value in SPRING.items() if key != name}
        refused(caller.post(f"{home(caller)}/campaigns", body), 400, "VALIDATION_ERROR", fields=[name])


def test_a_template_is_of_the_campaigns_channel(caller: Caller) -> None:
    template = template_of(caller)
    for fields in ({"channel": "PUSH", "templateId": template}, {"templateId": template}):
        answer = caller.post(f"{home(caller)}/campaigns", {**SPRING, **fields})
        assert answer.status_code == 400, answer.content


def test_a_draft_is_changed_in_what_is_named(caller: Caller) -> None:
    made = ready(caller, description="x", startAt="2999-01-01T00:00:00Z")
    changes = {"name": "Summer", "description": None, "startAt": None, "audience": None, "settings": {"a": 1}}
    changed = read(caller.ask("PATCH", path(caller, made), changes))
    assert changed == {
        **made,
        "name": "Summer",
        "description": None,
        "startAt": None,
        "audience": {"tags": [], "contactIds": []},
        "settings": {"a": 1},
        "updatedAt": changed["updatedAt"],
    }
    bare = read(caller.ask("PATCH", path(caller, made), {"templateId": None, "channel": None}))
    assert (bare["templateId"], bare["channel"]) == (None, None)


def test_campaigns_are_listed_newest_first_with_their_sizes(caller: Caller, stranger: Caller) -> None:
    ann(caller)
    first, second = ready(caller), created(caller)
    created(stranger)
    sms = Plan(name="x", channel=Channel.SMS, template="by-sms", target=Target())
    make_template(caller.workspace, key="by-sms", channel=Channel.SMS, subject="")
    plans.create(workspace_id=caller.workspace.id, author_id=None, test=False, plan=sms)
    read(caller.post(path(caller, first, "/execute")))
    rows = read(caller.get(f"{home(caller)}/campaigns"))
    assert [row["id"] for row in rows] == [second["id"], first["id"]]
    assert [row["_count"] for row in rows] == [
        {"enrollments": 0, "messages": 0},
        {"enrollments": 1, "messages": 1},
    ]
    assert read(caller.get(f"{home(caller)}/campaigns?page=2&limit=1")) == rows[1:]


def test_a_campaign_of_a_channel_that_is_not_shown_is_not_found(caller: Caller) -> None:
    make_template(caller.workspace, key="by-sms", channel=Channel.SMS, subject="")
    plan = Plan(name="x", channel=Channel.SMS, template="by-sms", target=Target())
    row = plans.create(workspace_id=caller.workspace.id, author_id=None, test=False, plan=plan)
    refused(caller.get(f"{home(caller)}/campaigns/cmp_{row.id.hex}"), 404, "NOT_FOUND", reason="campaign_not_found")


def test_one_that_is_planned_step_by_step_is_shown_by_the_canonical_api_too(caller: Caller) -> None:
    contact, made = ann(caller), created(caller)
    body = read(caller.get(f"/api/v1/campaigns/{Campaign.objects.get().id}"))
    assert (body["channel"], body["template"], body["status"]) == (None, None, "draft")
    read(caller.ask("PATCH", path(caller, made), {"audience": {"contactIds": [f"ct_{contact.id.hex}"]}}))
    body = read(caller.get(f"/api/v1/campaigns/{Campaign.objects.get().id}"))
    assert body["audience"] == {"tags": [], "filter": {}, "contact_ids": [str(contact.id)]}


# The broadcast


def test_a_broadcast_writes_to_its_audience_and_fills_in_what_it_knows(caller: Caller) -> None:
    people = [ann(caller), make_contact(caller, email="bob@example.com", name="Bob", attributes={"plan": "free"})]
    made = ready(caller, audience={"tags": ["vip"], "contactIds": [f"ct_{people[1].id.hex}"]})
    body = read(caller.post(path(caller, made, "/execute")))
    campaign = read(caller.get(path(caller, made)))
    assert body == {"success": True, "campaign": campaign}
    assert campaign == {
        **made,
        "status": "ACTIVE",
        "startedAt": campaign["startedAt"],
        "updatedAt": campaign["updatedAt"],
        "_count": {"enrollments": 2, "messages": 2},
    }
    rows = Message.objects.order_by("recipient").values_list("recipient", "subject", "data", "contact_id")
    assert list(rows) == [
        ("ann@example.com", "Hi Ann", {"firstName": "Ann", "plan": "gold"}, people[0].id),
        ("bob@example.com", "Hi Bob", {"firstName": "Bob", "plan": "free"}, people[1].id),
    ]
    refused(caller.post(path(caller, made, "/execute"), {}), 409, "INVALID_STATE", reason="campaign_started")


def test_only_those_who_are_named_get_it_where_nothing_else_is_said(caller: Caller) -> None:
    ann(caller)
    bob = make_contact(caller, email="bob@example.com", name="Bob", attributes={"plan": "x"})
    made = ready(caller, audience={"contactIds": [f"ct_{bob.id.hex}"]})
    read(caller.post(path(caller, made, "/execute")))
    assert [row.recipient for row in Message.objects.all()] == ["bob@example.com"]


def test_a_template_may_hold_the_links_of_its_reader(caller: Caller) -> None:
    contact = ann(caller)
    template = template_of(caller, subject="Hi", text="{{ unsubscribeUrl }} {{ preferencesUrl }}")
    read(caller.post(path(caller, ready(caller, templateId=template), "/execute")))
    row = Message.objects.get()
    assert row.data is None, "the links are made when they are looked at, and not kept"
    Message.objects.filter(id=row.id).update(
        status=Status.DELIVERED.value, provider="smtp", delivered_at=timezone.now()
    )
    unsubscribe, choose = read(caller.get(f"{home(caller)}/messages/msg_{row.id.hex}"))["body"].split()
    words = "You get no more email messages of the category marketing."
    assert read(nobody().post(unsubscribe.removeprefix(settings.PUBLIC_BASE_URL))) == {
        "success": True,
        "message": words,
    }
    assert Contact.objects.get(id=contact.id).consents.get().category == "marketing"
    assert read(nobody().get(choose.removeprefix(settings.PUBLIC_BASE_URL)))["contact"]["id"] == f"ct_{contact.id.hex}"
    receipts.apply_due()
    shown = read(caller.get(f"{home(caller)}/messages/msg_{row.id.hex}"))
    assert (shown["status"], shown["events"][-1]["type"]) == ("UNSUBSCRIBED", "message.unsubscribed")
    assert shown["unsubscribedAt"] == shown["events"][-1]["timestamp"]


def test_who_opted_out_is_in_the_audience_with_a_message_that_failed(caller: Caller) -> None:
    contact = ann(caller)
    say(contact, "*", "opted_out")
    made = ready(caller)
    read(caller.post(path(caller, made, "/execute")))
    row = read(caller.get(f"{home(caller)}/messages?campaignId={made['id']}"))["data"][0]
    assert row["status"] == "FAILED"
    assert read(caller.get(f"{home(caller)}/messages/{row['id']}"))["error"]["code"] == "CONTACT_OPTED_OUT"


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"channel": None, "templateId": None}, ["channel", "templateId"]),
        ({"templateId": None}, ["templateId"]),
        ({"audience": None}, ["audience"]),
        ({"audience": {"tags": ["nobody"]}}, ["audience"]),
        ({"type": "AUTOMATED"}, ["type"]),
    ],
)
def test_what_is_missing_for_a_broadcast_is_named(caller: Caller, fields: dict[str, Any], places: list[str]) -> None:
    ann(caller)
    made = ready(caller)
    read(caller.ask("PATCH", path(caller, made), fields))
    body = read(caller.post(path(caller, made, "/execute")), 400)
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert list(body["error"]["details"]["fields"]) == places
    assert not Message.objects.exists()


def test_a_broadcast_whose_time_is_to_come_is_scheduled(caller: Caller) -> None:
    ann(caller)
    made = ready(caller, startAt="2999-01-01T00:00:00Z", endAt="2999-02-01T00:00:00Z")
    body = read(caller.post(path(caller, made, "/execute")))
    assert (body["campaign"]["status"], body["campaign"]["startedAt"]) == ("SCHEDULED", None)
    Campaign.objects.update(scheduled_at=timezone.now())
    assert sweeps.start_due() == 1
    assert Message.objects.get().expires_at == datetime(2999, 2, 1, tzinfo=UTC)
    assert read(caller.get(path(caller, made)))["status"] == "ACTIVE"


def test_a_campaign_whose_end_has_passed_is_not_started(caller: Caller) -> None:
    ann(caller)
    made = ready(caller)
    Campaign.objects.update(ends_at=timezone.now())
    answer = caller.post(path(caller, made, "/execute"))
    refused(answer, 400, "VALIDATION_ERROR", reason="in_the_past", fields=["endAt"])


def test_nobody_is_written_to_in_quiet_hours(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ann(caller)
    made = ready(caller, settings={"quietHours": {"start": "00:00", "end": "23:59", "timezone": "UTC"}})
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(pace.timezone, "now", lambda: noon)
    refused(caller.post(path(caller, made, "/execute")), 409, "CONFLICT", reason="quiet_hours")
    monkeypatch.undo()
    Campaign.objects.update(status="scheduled", scheduled_at=timezone.now())
    monkeypatch.setattr(pace.timezone, "now", lambda: noon + timedelta(days=36500))
    assert sweeps.start_due() == 0
    assert Campaign.objects.get().status == CampaignStatus.SCHEDULED
    assert not Message.objects.exists()


def test_the_same_idempotency_key_starts_once(caller: Caller) -> None:
    ann(caller)
    made = ready(caller)
    first = caller.post(path(caller, made, "/execute"), Idempotency_Key="k")
    again = caller.post(path(caller, made, "/execute"), Idempotency_Key="k")
    assert (read(first), again["Idempotency-Replayed"]) == (read(again), "true")
    assert Message.objects.count() == 1


# One contact


def one(contact: Contact) -> dict[str, str]:
    return {"contactId": f"ct_{contact.id.hex}"}


def test_one_contact_is_written_to_as_the_campaign_does(caller: Caller) -> None:
    contact = ann(caller, tags=[])
    made = ready(caller, type="AUTOMATED")
    body = read(caller.post(path(caller, made, "/execute"), one(contact), Prefer="respond-async"))
    row = Message.objects.get()
    assert body == {
        "success": True,
        "campaign": {**made, "_count": {"enrollments": 1, "messages": 1}},
        "messageId": f"msg_{row.id.hex}",
        "status": "QUEUED",
        "message": shown_message(
            row,
            subject="Hi Ann",
            contactId=f"ct_{contact.id.hex}",
            campaignId=made["id"],
            templateId=made["templateId"],
        ),
    }
    assert (row.category, row.data) == ("marketing", {"firstName": "Ann", "plan": "gold"})


@waited
def test_the_outcome_of_one_message_is_told_in_the_same_call(worker: object) -> None:
    caller = make_caller()
    contact = ann(caller)
    made = ready(caller)
    body = read(caller.post(path(caller, made, "/execute"), one(contact)))
    assert (body["success"], body["status"]) == (True, "SENT")
    bad = make_contact(caller, email="permanent@example.com", name="P", attributes={"plan": "x"})
    answer = caller.post(path(caller, made, "/execute"), one(bad))
    body = read(answer, 422)
    key = Message.objects.get(contact_id=bad.id).id.hex
    assert body == {
        "success": False,
        "messageId": f"msg_{key}",
        "status": "FAILED",
        "error": {"code": "PROVIDER_ERROR", "message": "refused for good in the sandbox"},
    }


def test_nobody_is_written_to_twice_by_one_campaign(caller: Caller) -> None:
    contact = ann(caller)
    other = ann(caller, email="other@example.com")
    made = ready(caller)
    read(caller.post(path(caller, made, "/execute"), one(contact)))
    again = caller.post(path(caller, made, "/execute"), one(contact))
    refused(again, 409, "CONFLICT", reason="already_enrolled")
    body = read(caller.post(path(caller, made, "/execute")))
    assert body["campaign"]["_count"] == {"enrollments": 2, "messages": 2}
    assert sorted(Audience.objects.values_list("contact_id", flat=True)) == [contact.id, other.id]
    assert Message.objects.filter(contact_id=contact.id).count() == 1


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"email": None, "external_id": "x"}, "CONTACT_UNREACHABLE", "the contact has no address for email"),
        ({"attributes": {}}, "RENDER_ERROR", "the template needs: plan"),
    ],
)
def test_why_one_contact_is_not_written_to_is_said(
    caller: Caller, fields: dict[str, Any], code: str, message: str
) -> None:
    contact, made = ann(caller, **fields), ready(caller)
    body = read(caller.post(path(caller, made, "/execute"), one(contact)), 422)
    assert body == {
        "success": False,
        "status": "FAILED",
        "error": {"code": code, "message": message},
    }
    assert not Message.objects.exists()
    assert not Audience.objects.exists()


def test_one_contact_is_left_alone_in_its_quiet_hours(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = ann(caller)
    made = ready(caller, settings={"quietHours": {"start": "22:00", "end": "08:00"}})
    monkeypatch.setattr(pace.timezone, "now", lambda: datetime(2030, 1, 1, 23, tzinfo=UTC))
    body = read(caller.post(path(caller, made, "/execute"), one(contact)), 422)
    assert body["error"]["code"] == "QUIET_HOURS"


def test_one_contact_needs_a_channel_and_a_template(caller: Caller) -> None:
    answer = caller.post(path(caller, created(caller), "/execute"), one(ann(caller)))
    refused(answer, 400, "VALIDATION_ERROR", reason="required", fields=["channel", "templateId"])


def test_one_contact_is_of_the_workspace(caller: Caller, stranger: Caller) -> None:
    made = ready(caller)
    for key in ("x", f"ct_{STRANGER.hex}", one(ann(stranger))["contactId"]):
        answer = caller.post(path(caller, made, "/execute"), {"contactId": key})
        refused(answer, 404, "NOT_FOUND", reason="contact_not_found")


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_a_campaign_that_is_held_or_over_writes_to_nobody(caller: Caller, status: str) -> None:
    contact, made = ann(caller), ready(caller)
    Campaign.objects.update(status=status, started_at=timezone.now())
    answer = caller.post(path(caller, made, "/execute"), one(contact))
    assert read(answer, 409)["error"]["code"] == "INVALID_STATE"


def test_a_bad_execution_is_refused(caller: Caller) -> None:
    made = ready(caller)
    refused(caller.post(path(caller, made, "/execute"), {"to": 1}), 400, "VALIDATION_ERROR", fields=["to"])
    answer = caller.post(path(caller, made, "/execute"), b"contactId=1", Content_Type="text/plain")
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


# Held, ended, forgotten


def test_a_broadcast_is_paused_resumed_and_ended(caller: Caller) -> None:
    ann(caller)
    made = ready(caller)
    read(caller.post(path(caller, made, "/execute")))
    for status in ("PAUSED", "ACTIVE", "ARCHIVED"):
        assert read(caller.ask("PATCH", path(caller, made), {"status": status}))["status"] == status
    assert Message.objects.get().status == Status.CANCELLED
    refused(
        caller.ask("PATCH", path(caller, made), {"status": "ACTIVE"}), 409, "INVALID_STATE", reason="campaign_ended"
    )
    assert read(caller.ask("DELETE", path(caller, made))) == {"success": True}
    assert Message.objects.count() == 1
    refused(caller.get(path(caller, made)), 404, "NOT_FOUND", reason="campaign_not_found")


def test_one_that_was_started_is_not_planned_anew(caller: Caller) -> None:
    ann(caller)
    made = ready(caller)
    read(caller.post(path(caller, made, "/execute")))
    refused(caller.ask("PATCH", path(caller, made), {"name": "x"}), 409, "INVALID_STATE", reason="campaign_started")
    refused(caller.ask("DELETE", path(caller, made)), 409, "INVALID_STATE", reason="campaign_active")
    both = caller.ask("PATCH", path(caller, made), {"name": "x", "status": "PAUSED"})
    refused(both, 400, "VALIDATION_ERROR", reason="not_alone", fields=["status"])


def test_a_test_key_touches_test_campaigns_alone(caller: Caller) -> None:
    contact, made = ann(caller), ready(caller)
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    for method, rest, body in (
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/execute", None),
        ("POST", "/execute", one(contact)),
    ):
        answer = tester.ask(method, path(caller, made, rest), body)
        refused(answer, 403, "FORBIDDEN", reason="test_key")
    own = created(tester, channel="EMAIL", templateId=made["templateId"])
    read(tester.post(path(caller, own, "/execute"), one(contact)))
    assert Message.objects.get().test is True


@pytest.mark.parametrize(
    ("method", "rest", "scope"),
    [
        ("GET", "", "campaigns:read"),
        ("POST", "", "campaigns:write"),
        ("GET", "/{key}", "campaigns:read"),
        ("PATCH", "/{key}", "campaigns:write"),
        ("DELETE", "/{key}", "campaigns:write"),
        ("POST", "/{key}/execute", "campaigns:write"),
    ],
)
def test_a_stranger_a_foreign_workspace_and_a_lacking_scope_are_refused(
    caller: Caller, stranger: Caller, method: str, rest: str, scope: str
) -> None:
    below = f"/campaigns{rest}".format(key=created(caller)["id"])
    refused(nobody().ask(method, home(caller) + below, {}), 401, "UNAUTHORIZED")
    refused(stranger.ask(method, home(caller) + below, {}), 404, "NOT_FOUND", reason="workspace_not_found")
    other = "campaigns:write" if scope == "campaigns:read" else "campaigns:read"
    lacking = make_caller(workspace=caller.workspace, scopes=[other])
    refused(lacking.ask(method, home(caller) + below, {}), 403, "FORBIDDEN", reason="missing_scope")
    if "{key}" in rest:
        refused(stranger.ask(method, home(stranger) + below, {}), 404, "NOT_FOUND", reason="campaign_not_found")
