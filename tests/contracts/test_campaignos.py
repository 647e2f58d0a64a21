"""The document of /api/workspaces/{id}/messages: its examples and tables, as whole bodies."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from channels_app.types import Channel
from messaging.api.campaignos.vocabulary import CHANNEL_IN, CHANNEL_OUT, STATUS_IN, STATUS_OUT
from messaging.api.common.rendering import stamp
from messaging.dispatch import selectors
from messaging.models import Message, MessageEvent, Role
from messaging.models.keys import uuid7
from messaging.state import Standing, Status
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.factories import accept_message
from tests.messaging.api.callers import Caller, make_caller, nobody, read

OPERATIONS = {
    ("GET", "/api/workspaces/{workspace_id}/messages"),
    ("POST", "/api/workspaces/{workspace_id}/messages"),
    ("GET", "/api/workspaces/{workspace_id}/messages/{message_id}"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/auth/session"),
    ("GET", "/api/health"),
    ("GET", "/api/openapi"),
    ("GET", "/api/workspaces"),
    ("POST", "/api/workspaces"),
    ("GET", "/api/workspaces/{workspace_id}"),
    ("PATCH", "/api/workspaces/{workspace_id}"),
    ("DELETE", "/api/workspaces/{workspace_id}"),
    ("GET", "/api/workspaces/{workspace_id}/keys"),
    ("POST", "/api/workspaces/{workspace_id}/keys"),
    ("DELETE", "/api/workspaces/{workspace_id}/keys"),
    ("GET", "/api/workspaces/{workspace_id}/analytics"),
    ("GET", "/api/workspaces/{workspace_id}/analytics/campaigns/{campaign_id}"),
    ("GET", "/api/workspaces/{workspace_id}/analytics/timeseries"),
}
"""Operations that have cases here or in the files beside, but for those of people, which name theirs."""

STAMPS = (
    *("queuedAt", "sendingAt", "sentAt", "deliveredAt", "openedAt"),
    *("clickedAt", "bouncedAt", "failedAt", "unsubscribedAt"),
)


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def put(caller: Caller, status: Status = Status.QUEUED, **fields: Any) -> Message:
    """A message in a state, as time would have brought it there."""
    names = ("channel", "to", "subject", "text")
    key = accept_message(caller.workspace, **{name: fields.pop(name) for name in names if name in fields})
    now = timezone.now()
    passed = {status.stamp: now} if status.stamp else {}
    Message.objects.filter(pk=key).update(status=status.value, **passed, **fields)
    return selectors.message(workspace_id=caller.workspace.id, message_id=key)


def shown(row: Message, **fields: Any) -> dict[str, Any]:
    """The row as the list shows it, with any field replaced."""
    names = {name: f"{name.removesuffix('At')}_at" for name in (*STAMPS, "createdAt")}
    return {
        "id": f"msg_{row.id.hex}",
        "channel": "EMAIL",
        "status": "QUEUED",
        "subject": "Hello",
        "contactId": None,
        "campaignId": None,
        "templateId": None,
        **{name: stamp(getattr(row, column)) for name, column in names.items()},
        **fields,
    }


def page(rows: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    total = fields.pop("total", len(rows))
    return {"data": rows, "pagination": {"page": 1, "limit": 50, "total": total, "totalPages": 1, **fields}}


# The list


def test_the_list_gives_the_newest_first_with_their_page(caller: Caller) -> None:
    contact = make_contact(caller)
    campaign = uuid7()
    first = put(caller, Status.OPENED, subject="Welcome to Acme!", contact_id=contact.id, campaign_id=campaign)
    second = put(caller)
    assert read(caller.get(f"{home(caller)}/messages")) == page(
        [
            shown(second),
            shown(
                first,
                status="OPENED",
                subject="Welcome to Acme!",
                contactId=f"ct_{contact.id.hex}",
                campaignId=f"cmp_{campaign.hex}",
            ),
        ]
    )


def test_a_workspace_without_messages_has_no_page(caller: Caller) -> None:
    assert read(caller.get(f"{home(caller)}/messages")) == page([], totalPages=0)


def test_a_page_beyond_the_end_is_empty_and_says_how_many_there_are(caller: Caller) -> None:
    for _ in range(3):
        put(caller)
    body = read(caller.get(f"{home(caller)}/messages?page=3&limit=2"))
    assert body == page([], page=3, limit=2, total=3, totalPages=2)


def test_the_last_page_holds_what_is_left(caller: Caller) -> None:
    rows = [put(caller) for _ in range(3)]
    body = read(caller.get(f"{home(caller)}/messages?page=2&limit=2"))
    assert body == page([shown(rows[0])], page=2, limit=2, total=3, totalPages=2)


def test_beyond_the_bound_the_total_is_an_estimate_and_says_so(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    row = put(caller)
    monkeypatch.setattr(selectors, "total", lambda **_: selectors.Total(number=25_000, estimated=True))
    body = read(caller.get(f"{home(caller)}/messages?limit=1"))
    assert body == page([shown(row)], limit=1, total=25_000, totalPages=25_000, totalIsEstimate=True)


@pytest.mark.parametrize("word", CHANNEL_IN)
def test_the_list_takes_a_channel(caller: Caller, word: Any) -> None:
    addresses = {"EMAIL": "ann@example.com", "TELEGRAM": "4711", "WEBHOOK": "https://example.com/hook"}
    for channel in CHANNEL_IN:
        put(caller, channel=CHANNEL_IN[channel], to=addresses.get(channel, str(STRANGER)))
    body = read(caller.get(f"{home(caller)}/messages?channel={word}"))
    assert [row["channel"] for row in body["data"]] == [word]
    assert body["pagination"]["total"] == 1


def test_messages_of_other_channels_are_in_no_list(caller: Caller) -> None:
    put(caller, channel=Channel.SMS, to="+12025550100", subject="", text="Hi")
    assert read(caller.get(f"{home(caller)}/messages")) == page([], totalPages=0)


@pytest.mark.parametrize("word", STATUS_IN)
def test_the_list_takes_a_status(caller: Caller, word: Any) -> None:
    for status in Status:
        put(caller, status)
    expected = {status for status in Status if Standing(status.value) in STATUS_IN[word]}
    body = read(caller.get(f"{home(caller)}/messages?status={word}"))
    assert {row["status"] for row in body["data"]} == {word}
    assert body["pagination"]["total"] == len(expected)


def test_a_message_that_is_tried_again_is_queued(caller: Caller) -> None:
    row = put(caller, attempts=1)
    assert read(caller.get(f"{home(caller)}/messages?status=QUEUED"))["data"] == [shown(row)]


def test_a_cancelled_message_has_failed_when_it_was_cancelled(caller: Caller) -> None:
    row = put(caller, Status.CANCELLED)
    body = read(caller.get(f"{home(caller)}/messages?status=FAILED"))
    assert body["data"] == [shown(row, status="FAILED", failedAt=stamp(row.cancelled_at))]


def test_the_list_takes_a_contact_and_a_campaign_in_either_form(caller: Caller) -> None:
    contact, campaign = make_contact(caller), uuid7()
    put(caller)
    row = put(caller, contact_id=contact.id, campaign_id=campaign)
    for query in (
        f"contactId=ct_{contact.id.hex}",
        f"contactId={contact.id}",
        f"campaignId=cmp_{campaign.hex}",
        f"campaignId={campaign.hex}",
    ):
        assert [each["id"] for each in read(caller.get(f"{home(caller)}/messages?{query}"))["data"]] == [
            f"msg_{row.id.hex}"
        ]


def test_an_unknown_contact_has_no_messages(caller: Caller) -> None:
    put(caller)
    assert read(caller.get(f"{home(caller)}/messages?contactId=ct_{STRANGER.hex}")) == page([], totalPages=0)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=99999999999", "page"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("channel=SMS", "channel"),
        ("channel=email", "channel"),
        ("status=CANCELLED", "status"),
        ("contactId=ct_1", "contactId"),
        ("campaignId=cmp_1", "campaignId"),
        ("sort=asc", "sort"),
        ("page=1&page=2", "page"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused_by_name(caller: Caller, query: str, field: str) -> None:
    answer = caller.get(f"{home(caller)}/messages?{query}")
    body = json.loads(answer.content)
    refused(answer, 400, "VALIDATION_ERROR", reason=body["error"]["details"].get("reason"), fields=[field])


# One message


def test_a_message_is_shown_with_its_contact_and_events(caller: Caller) -> None:
    contact = make_contact(caller, first_name="Ann", last_name="Lee", phone="+12025550100")
    row = put(caller, Status.SENT, contact_id=contact.id, metadata={"category": "digest"}, text="Good day")
    event = MessageEvent.objects.get(message_id=row.id)
    assert read(caller.get(f"{home(caller)}/messages/msg_{row.id.hex}")) == {
        **shown(row, status="SENT", contactId=f"ct_{contact.id.hex}"),
        "body": "Good day",
        "metadata": {"category": "digest"},
        "contact": {
            "id": f"ct_{contact.id.hex}",
            "email": "ann@example.com",
            "phone": "+12025550100",
            "firstName": "Ann",
            "lastName": "Lee",
        },
        "template": None,
        "campaign": None,
        "events": [
            {
                "id": f"evt_{event.id.hex}",
                "type": "message.queued",
                "timestamp": stamp(event.at),
                "metadata": {"cause": "api"},
            }
        ],
        "error": None,
    }


def test_a_message_is_found_by_its_plain_id_and_with_a_slash(caller: Caller) -> None:
    row = put(caller)
    for spelled in (str(row.id), row.id.hex, f"msg_{row.id.hex.upper()}", f"msg_{row.id.hex}/"):
        assert read(caller.get(f"{home(caller)}/messages/{spelled}"))["id"] == f"msg_{row.id.hex}"


@pytest.mark.parametrize(
    ("status", "fields", "error"),
    [
        (
            Status.FAILED,
            {"error_code": "smtp_550", "error_detail": "no such user"},
            {"code": "PROVIDER_ERROR", "message": "no such user"},
        ),
        (
            Status.FAILED,
            {"error_code": "suppressed", "error_detail": "the recipient opted out"},
            {"code": "CONTACT_OPTED_OUT", "message": "the recipient opted out"},
        ),
        (
            Status.FAILED,
            {"error_code": "recipient_opted_out", "error_detail": "blocked by the user"},
            {"code": "CONTACT_OPTED_OUT", "message": "blocked by the user"},
        ),
        (Status.FAILED, {"error_code": "expired"}, {"code": "PROVIDER_ERROR", "message": "expired"}),
        (Status.CANCELLED, {}, {"code": "CANCELLED", "message": "The message was cancelled."}),
    ],
)
def test_a_message_that_failed_says_why(
    caller: Caller, status: Status, fields: dict[str, str], error: dict[str, str]
) -> None:
    row = put(caller, status, **fields)
    body = read(caller.get(f"{home(caller)}/messages/msg_{row.id.hex}"))
    assert (body["status"], body["error"]) == ("FAILED", error)


def test_a_contact_that_is_gone_leaves_its_id_behind(caller: Caller) -> None:
    row = put(caller, contact_id=STRANGER)
    body = read(caller.get(f"{home(caller)}/messages/msg_{row.id.hex}"))
    assert (body["contactId"], body["contact"]) == (f"ct_{STRANGER.hex}", None)


@pytest.mark.parametrize("spelled", ["msg_1", f"msg_{STRANGER.hex}", f"ct_{STRANGER.hex}", "nonsense"])
def test_an_unknown_message_is_not_found(caller: Caller, spelled: str) -> None:
    answer = caller.get(f"{home(caller)}/messages/{spelled}")
    reason = "message_not_found" if spelled == f"msg_{STRANGER.hex}" else None
    refused(answer, 404, "NOT_FOUND", reason=reason)


def test_a_message_of_another_channel_is_not_found(caller: Caller) -> None:
    row = put(caller, channel=Channel.SMS, to="+12025550100", subject="", text="Hi")
    answer = caller.get(f"{home(caller)}/messages/msg_{row.id.hex}")
    refused(answer, 404, "NOT_FOUND", message="There is no such message.", reason="message_not_found")


def test_a_message_of_another_workspace_is_not_found(caller: Caller) -> None:
    row = put(make_caller())
    answer = caller.get(f"{home(caller)}/messages/msg_{row.id.hex}")
    refused(answer, 404, "NOT_FOUND", message="There is no such message.", reason="message_not_found")


# Who asks

ASKED = [("GET", "/messages"), ("POST", "/messages"), ("GET", f"/messages/msg_{STRANGER.hex}")]


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_nobody_is_told_anything(db: None, method: str, path: str) -> None:
    answer = nobody().ask(method, f"{home(make_caller())}{path}", {})
    refused(answer, 401, "UNAUTHORIZED", message="This needs an API key, an access token or a session.")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_workspace_that_the_caller_is_not_in_is_not_found(caller: Caller, method: str, path: str) -> None:
    answer = caller.ask(method, f"{home(make_caller())}{path}", {})
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_scope_is_needed(db: None, method: str, path: str) -> None:
    caller = make_caller(scopes=["analytics:read"])
    scope = "messages:write" if method == "POST" else "messages:read"
    answer = caller.ask(method, f"{home(caller)}{path}", {})
    refused(answer, 403, "FORBIDDEN", message=f"This needs the scope {scope}.", reason="missing_scope")


def test_a_person_is_in_the_workspace_that_the_path_names(caller: Caller) -> None:
    assert caller.member is not None
    elsewhere = make_caller(Role.VIEWER)
    elsewhere.workspace.members.create(user=caller.member.user, role=Role.VIEWER)
    row = put(elsewhere)
    caller.headers = {"Authorization": f"Bearer {AccessToken.for_user(caller.member.user)}"}
    assert [each["id"] for each in read(caller.get(f"{home(elsewhere)}/messages"))["data"]] == [f"msg_{row.id.hex}"]
    # A header cannot say otherwise.
    answer = caller.get(f"{home(elsewhere)}/messages", X_Workspace=str(caller.workspace.id))
    assert len(read(answer)["data"]) == 1
    stranger = make_caller()
    answer = caller.get(f"{home(stranger)}/messages")
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")


def test_a_workspace_is_named_by_its_plain_id_too(caller: Caller) -> None:
    assert read(caller.get(f"/api/workspaces/{caller.workspace.id}/messages")) == page([], totalPages=0)
    assert read(caller.get(f"/api/workspaces/{caller.workspace.id.hex}/messages/")) == page([], totalPages=0)


def test_a_method_that_is_not_answered_is_refused(caller: Caller) -> None:
    answer = caller.ask("PUT", f"{home(caller)}/messages", {})
    refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST", "HEAD"}


@pytest.mark.parametrize("path", ["/nothing", "/messages/x/y", "/segments"])
def test_any_other_path_is_not_found(caller: Caller, path: str) -> None:
    refused(caller.get(f"{home(caller)}{path}"), 404, "NOT_FOUND", message="There is nothing here.")


# The words


def test_every_state_and_channel_has_its_word() -> None:
    assert set(STATUS_OUT) == set(Standing)
    assert set(CHANNEL_OUT) == set(Channel)
    assert {word: set(standings) for word, standings in STATUS_IN.items()} == {
        "QUEUED": {Standing.SCHEDULED, Standing.QUEUED, Standing.RETRYING},
        "SENDING": {Standing.SENDING},
        "SENT": {Standing.SENT},
        "DELIVERED": {Standing.DELIVERED},
        "OPENED": {Standing.OPENED},
        "CLICKED": {Standing.CLICKED},
        "BOUNCED": {Standing.BOUNCED},
        "FAILED": {Standing.FAILED, Standing.CANCELLED},
        "UNSUBSCRIBED": {Standing.UNSUBSCRIBED},
    }
    assert list(CHANNEL_IN) == ["EMAIL", "PUSH", "TELEGRAM", "ONSITE", "WEBHOOK"]


def test_ids_that_the_surface_writes_are_read_again(caller: Caller) -> None:
    key = UUID(read(caller.get("/api/workspaces"))["data"][0]["id"].removeprefix("ws_"))
    assert key == caller.workspace.id
