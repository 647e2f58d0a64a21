"""/templates: made, revised, renamed, listed, previewed, deleted, and sent by."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.models import Contact, Message, Role
from messaging.models.keys import uuid7
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

PATH = "/api/v1/templates"
SENDS = "/api/v1/messages"
WELCOME = {
    "key": "welcome",
    "channel": "email",
    "subject": "Hi {{ name }}",
    "body": "<p>{{ code }}</p>",
    "text": "{{ code }}",
}


def make(caller: Caller, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = read(caller.post(PATH, {**WELCOME, **fields}), 201)
    return made


def keys_of(page: dict[str, Any]) -> list[str]:
    return [row["key"] for row in page["results"]]


def test_a_template_is_made_as_version_1(caller: Caller) -> None:
    made = make(caller, language="pt_br", name="Welcome", action_type="register")
    assert made == {
        "id": made["id"],
        "key": "welcome",
        "name": "Welcome",
        "channel": "email",
        "language": "pt-BR",
        "action_type": "register",
        "version": 1,
        "subject": "Hi {{ name }}",
        "body": "<p>{{ code }}</p>",
        "text": "{{ code }}",
        "variables": ["code", "name"],
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert read(caller.get(f"{PATH}/{made['id']}")) == made


def test_what_is_left_out_is_null_or_the_default(caller: Caller) -> None:
    made = make(caller, subject=None, body=None)
    assert (made["name"], made["language"], made["action_type"]) == (None, "en", "custom")
    assert (made["subject"], made["body"], made["text"]) == (None, None, "{{ code }}")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"key": None}, "/key", "wrong_type"),
        ({"key": ""}, "/key", "too_short"),
        ({"key": "a b"}, "/key", "invalid_key"),
        ({"channel": "fax"}, "/channel", "invalid_choice"),
        ({"language": "english please"}, "/language", "invalid_language"),
        ({"version": 7}, "/version", "unknown_field"),
        ({"body": None, "text": ""}, "/body", "required"),
        ({"subject": "a\r\nBcc: eve@example.com"}, "/subject", "control_character"),
        ({"channel": "sms"}, "/subject", "not_carried"),
        ({"text": "nul \u0000"}, "/text", "nul_character"),
        ({"body": "{% if a %}"}, "/body", "template_refused"),
        ({"text": "{{ a | shout }}"}, "/text", "template_refused"),
        ({"text": "{% include 'b' %}"}, "/text", "template_refused"),
    ],
)
def test_it_refuses(caller: Caller, fields: dict[str, Any], pointer: str, code: str) -> None:
    answer = caller.post(PATH, {**WELCOME, **fields})
    outer = "nul_character" if code == "nul_character" else "validation_error"
    assert_problem(answer, 422, outer, (pointer, code))
    assert read(caller.get(PATH))["results"] == []


def test_a_refused_source_is_told_by_line_and_column(caller: Caller) -> None:
    answer = caller.post(PATH, {**WELCOME, "text": "Good day,\n{{ name }"})
    body = assert_problem(answer, 422, "validation_error", ("/text", "template_refused"))
    assert body["errors"][0]["detail"].startswith("line 2, column 1: ")


def test_a_second_one_of_the_same_language_is_refused(caller: Caller) -> None:
    make(caller)
    assert_problem(caller.post(PATH, WELCOME), 409, "template_exists", ("/key", "template_exists"))
    make(caller, language="de")


def test_a_put_makes_the_next_version_and_a_patch_does_not(caller: Caller) -> None:
    made = make(caller, name="Welcome")
    place = f"{PATH}/{made['id']}"
    revised = read(caller.ask("PUT", place, {"text": "again {{ n }}"}))
    assert revised == {
        **made,
        "version": 2,
        "subject": None,
        "body": None,
        "text": "again {{ n }}",
        "variables": ["n"],
        "updated_at": revised["updated_at"],
    }
    renamed = read(caller.ask("PATCH", place, {"name": "Hello", "action_type": "register"}))
    assert renamed == {
        **revised,
        "name": "Hello",
        "action_type": "register",
        "updated_at": renamed["updated_at"],
    }
    assert read(caller.ask("PATCH", place, {"name": ""}))["name"] is None
    assert_problem(caller.ask("PATCH", place, {"text": "x"}), 422, "validation_error", ("/text", "unknown_field"))
    assert_problem(caller.ask("PUT", place, {"text": "{{"}), 422, "validation_error", ("/text", "template_refused"))

    versions = read(caller.get(f"{place}/versions"))["results"]
    assert versions == [
        {name: revised[name] for name in ("version", "subject", "body", "text", "variables")}
        | {"created_at": versions[0]["created_at"]},
        {name: made[name] for name in ("version", "subject", "body", "text", "variables")}
        | {"created_at": versions[1]["created_at"]},
    ]


def test_versions_come_in_pages(caller: Caller) -> None:
    place = f"{PATH}/{make(caller)['id']}"
    for number in range(2, 6):
        caller.ask("PUT", place, {"text": f"{number}"})
    seen, url = [], f"{place}/versions?limit=2"
    while url:
        page = read(caller.get(url))
        seen.append([row["version"] for row in page["results"]])
        url = page["next"]
    assert seen == [[5, 4], [3, 2], [1]]


def test_lists_are_filtered_and_come_in_pages(caller: Caller, stranger: Caller) -> None:
    make(caller, key="order.shipped", name="Left our house", action_type="order")
    make(caller, key="order.shipped", language="pt-BR", action_type="order")
    make(caller, key="otp", channel="sms", subject=None, action_type="otp")
    make(stranger, key="theirs")

    everything = ["otp", "order.shipped", "order.shipped"]
    assert keys_of(read(caller.get(PATH))) == everything
    for query, count in (
        ("key=order.shipped", 2),
        ("key=order", 0),
        ("channel=sms", 1),
        ("channel=sms,email", 3),
        ("language=pt_br", 1),
        ("action_type=order&language=en", 1),
        ("q=ORDER", 2),
        ("q=left our", 1),
        ("q=house", 0),
        ("q=%25", 0),
    ):
        assert len(read(caller.get(f"{PATH}?{query}"))["results"]) == count, query
    page = read(caller.get(f"{PATH}?limit=2"))
    assert keys_of(page) == everything[:2]
    assert keys_of(read(caller.get(page["next"]))) == everything[2:]
    assert_problem(caller.get(f"{PATH}?channel=fax"), 422, "validation_error", ("/channel", "invalid_choice"))
    assert_problem(caller.get(f"{PATH}?version=1"), 422, "validation_error", ("/version", "unknown_parameter"))


def test_a_preview_leaves_blanks_and_names_what_is_missing(caller: Caller) -> None:
    place = f"{PATH}/{make(caller)['id']}/preview"
    assert read(caller.post(place, {"data": {"code": "<1>"}})) == {
        "subject": "Hi",
        "body": "<p>&lt;1&gt;</p>",
        "text": "<1>",
        "missing": ["name"],
    }
    assert read(caller.post(place, {}))["missing"] == ["code", "name"]


def test_a_preview_for_a_contact_says_what_the_contact_would_get(caller: Caller, stranger: Caller) -> None:
    contact = Contact.objects.create(workspace=caller.workspace, name="Ann", email="ann@example.com", external_id="c-1")
    made = make(caller, text="{{ to }} {{ contact.external_id }} {{ code }}")
    place = f"{PATH}/{made['id']}/preview"
    shown = read(caller.post(place, {"contact_id": "c-1", "data": {"code": 7}}))
    assert (shown["subject"], shown["text"], shown["missing"]) == ("Hi Ann", "ann@example.com c-1 7", [])
    sent = read(
        caller.post(SENDS, {"channel": "email", "template": "welcome", "contact_id": "c-1", "data": {"code": 7}}), 202
    )
    assert (sent["subject"], sent["text"], sent["body"]) == (shown["subject"], shown["text"], shown["body"])

    unknown = caller.post(place, {"contact_id": "c-2"})
    assert_problem(unknown, 422, "contact_not_found", ("/contact_id", "contact_not_found"))
    theirs = make(stranger)
    foreign = stranger.post(f"{PATH}/{theirs['id']}/preview", {"contact_id": str(contact.id)})
    assert_problem(foreign, 422, "contact_not_found", ("/contact_id", "contact_not_found"))


def test_a_preview_for_a_contact_needs_the_right_to_read_contacts(caller: Caller) -> None:
    Contact.objects.create(workspace=caller.workspace, name="Ann", email="ann@example.com", external_id="c-1")
    place = f"{PATH}/{make(caller)['id']}/preview"
    reader = make_caller(workspace=caller.workspace, scopes=["templates:read"])
    assert read(reader.post(place, {}))["missing"] == ["code", "name"]
    assert_problem(reader.post(place, {"contact_id": "c-1"}), 403, "missing_scope")


def test_a_preview_that_cannot_be_rendered_says_so(caller: Caller) -> None:
    made = make(caller, text="{% for a in (1..n) %}{% for b in (1..n) %}x{% endfor %}{% endfor %}")
    answer = caller.post(f"{PATH}/{made['id']}/preview", {"data": {"n": 1000}})
    assert_problem(answer, 422, "render_failed", ("/data", "render_failed"))


def test_a_deleted_template_is_gone_but_its_messages_are_not(caller: Caller) -> None:
    made = make(caller)
    place = f"{PATH}/{made['id']}"
    send = {"channel": "email", "template": "welcome", "to": "ann@example.com", "name": "Ann", "data": {"code": 7}}
    sent = read(caller.post(SENDS, send), 202)
    answer = caller.ask("DELETE", place)
    assert (answer.status_code, answer.content) == (204, b"")

    assert_problem(caller.get(place), 404, "template_not_found")
    assert_problem(caller.get(f"{place}/versions"), 404, "template_not_found")
    assert_problem(caller.ask("DELETE", place), 404, "template_not_found")
    assert_problem(caller.post(SENDS, send), 422, "template_not_found", ("/template", "template_not_found"))
    assert keys_of(read(caller.get(PATH))) == []
    shown = read(caller.get(f"{SENDS}/{sent['id']}"))
    assert shown["template"] == {"key": "welcome", "version": 1, "language": "en"}
    assert (shown["subject"], shown["body"], shown["text"]) == ("Hi Ann", "<p>7</p>", "7")
    assert make(caller)["id"] != made["id"]


def test_a_send_by_template_is_shown_as_its_version_said(caller: Caller) -> None:
    made = make(caller, language="pt", action_type="otp")
    send = {"channel": "email", "template": "welcome", "language": "pt-BR", "to": "ann@example.com", "name": "Ann"}
    sent = read(caller.post(SENDS, {**send, "data": {"code": "<7>"}}), 202)
    assert sent["template"] == {"key": "welcome", "version": 1, "language": "pt"}
    assert (sent["subject"], sent["body"], sent["text"]) == ("Hi Ann", "<p>&lt;7&gt;</p>", "<7>")
    assert sent["action_type"] == "otp"

    caller.ask("PUT", f"{PATH}/{made['id']}", {"subject": "New", "text": "new"})
    assert read(caller.get(f"{SENDS}/{sent['id']}")) == sent
    later = read(caller.post(SENDS, send), 202)
    assert (later["template"]["version"], later["text"], later["body"]) == (2, "new", None)

    rows = read(caller.get(f"{SENDS}?template=welcome"))["results"]
    assert [row["template"]["version"] for row in rows] == [2, 1]
    assert read(caller.get(f"{SENDS}?template={made['id']}"))["results"] == rows
    assert read(caller.get(f"{SENDS}?template=other"))["results"] == []


def test_missing_variables_are_refused_by_name(caller: Caller) -> None:
    make(caller)
    answer = caller.post(SENDS, {"channel": "email", "template": "welcome", "to": "ann@example.com"})
    body = assert_problem(answer, 422, "missing_variables", ("/data", "missing_variables"))
    assert body["detail"] == "the template needs: code, name"
    data = {"code": None, "name": "Ann"}
    answer = caller.post(SENDS, {"channel": "email", "template": "welcome", "to": "ann@example.com", "data": data})
    body = assert_problem(answer, 422, "missing_variables", ("/data", "missing_variables"))
    assert body["detail"] == "the template needs: code"


def test_a_batch_is_sent_by_template(caller: Caller) -> None:
    make(caller)
    recipients = [{"to": f"p{n}@example.com", "name": f"P{n}", "data": {"code": n}} for n in range(3)]
    sent = read(
        caller.post(
            f"{SENDS}/batch",
            {"channel": "email", "template": "welcome", "recipients": [*recipients, {"to": "x@example.com"}]},
        ),
        202,
    )
    assert (sent["accepted"], [(one["index"], one["code"]) for one in sent["rejected"]]) == (
        3,
        [(3, "missing_variables")],
    )
    assert [Message.objects.get(id=key).subject for key in sent["ids"]] == ["Hi P0", "Hi P1", "Hi P2"]


def test_templates_of_other_workspaces_are_not_there(caller: Caller, stranger: Caller) -> None:
    place = f"{PATH}/{make(caller)['id']}"
    for answer in (
        stranger.get(place),
        stranger.get(f"{place}/versions"),
        stranger.ask("PUT", place, {"text": "x"}),
        stranger.ask("PATCH", place, {"name": "x"}),
        stranger.ask("DELETE", place),
        stranger.post(f"{place}/preview", {}),
        caller.get(f"{PATH}/{uuid7()}"),
    ):
        assert_problem(answer, 404, "template_not_found")
    assert read(caller.get(place))["version"] == 1


def test_members_read_templates_and_operators_write_them(caller: Caller) -> None:
    member = make_caller(Role.MEMBER, workspace=caller.workspace)
    operator = make_caller(Role.OPERATOR, workspace=caller.workspace)
    assert_problem(member.post(PATH, WELCOME), 403, "missing_scope")
    place = f"{PATH}/{make(operator)['id']}"
    assert read(member.get(place))["key"] == "welcome"
    assert_problem(member.ask("PUT", place, {"text": "x"}), 403, "missing_scope")
