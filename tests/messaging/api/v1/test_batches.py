"""POST /messages/batch and GET /batches/{id}."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.dispatch import control
from messaging.models import Batch, Content, Message
from messaging.models.keys import uuid7
from messaging.state import Cause
from tests.messaging.api.callers import Caller, assert_problem, read

PATH = "/api/v1/messages/batch"
SHARED: dict[str, Any] = {"channel": "email", "subject": "Hi {{ name }}", "text": "Good day"}


def batch(*recipients: Any, **fields: Any) -> dict[str, Any]:
    return {**SHARED, "recipients": list(recipients), **fields}


def ann(**fields: Any) -> dict[str, Any]:
    return {"to": "ann@example.com", "name": "Ann", **fields}


def test_a_batch_is_accepted(caller: Caller) -> None:
    recipients = [ann(metadata={"n": 1}), {"to": "bob@example.com", "name": "Bob", "data": {"x": 1}}]
    body = read(caller.post(PATH, batch(*recipients)), 202)
    assert body == {"batch_id": body["batch_id"], "accepted": 2, "rejected": [], "ids": body["ids"]}
    rows = [Message.objects.get(id=key) for key in body["ids"]]
    assert [(row.recipient, row.name, row.subject) for row in rows] == [
        ("ann@example.com", "Ann", "Hi Ann"),
        ("bob@example.com", "Bob", "Hi Bob"),
    ]
    assert [row.metadata for row in rows] == [{"n": 1}, {}]
    assert {str(row.batch_id) for row in rows} == {body["batch_id"]}
    assert Content.objects.count() == 1


BAD: list[Any] = [
    {"to": "nobody", "name": "x"},
    {"to": 5},
    {"name": "x"},
    ann(extra=1),
    "text",
    None,
    ann(name="a\r\nb"),
    ann(metadata={"a": "\0"}),
    {"to": "eve@example.com"},
]
CODES = [
    "invalid_recipient",
    "wrong_type",
    "required",
    "unknown_field",
    "wrong_type",
    "wrong_type",
    "control_character",
    "nul_character",
    "missing_variables",
]


@pytest.mark.parametrize("length", [0, 70_000], ids=["short", "long"])
def test_bad_recipients_are_told_and_the_others_go_on(caller: Caller, length: int) -> None:
    sent = batch(ann(), *BAD, {"to": "bob@example.com", "name": "Bob"}, text="x" * max(length, 1))
    body = read(caller.post(PATH, sent), 202)
    assert body["accepted"] == 2
    assert [(each["index"], each["code"]) for each in body["rejected"]] == list(enumerate(CODES, start=1))
    assert all(set(each) == {"index", "code", "detail"} and each["detail"] for each in body["rejected"])
    assert [Message.objects.get(id=key).recipient for key in body["ids"]] == ["ann@example.com", "bob@example.com"]
    assert read(caller.get(f"/api/v1/batches/{body['batch_id']}"))["accepted"] == 2
    assert Batch.objects.get().rejected >= 1


def test_a_batch_of_bad_recipients_only_is_refused(caller: Caller) -> None:
    places = [("/recipients/0/to", CODES[0]), ("/recipients/1/to", CODES[1]), ("/recipients/2/to", CODES[2])]
    places += [("/recipients/3/extra", CODES[3]), ("/recipients/4", CODES[4]), ("/recipients/5", CODES[5])]
    places += [
        ("/recipients/6/name", CODES[6]),
        ("/recipients/7/metadata/a", CODES[7]),
        ("/recipients/8/data", CODES[8]),
    ]
    assert_problem(caller.post(PATH, batch(*BAD)), 422, "no_valid_recipient", *places)
    assert not Message.objects.exists()
    assert not Batch.objects.exists()


def test_only_malformed_recipients_are_refused(caller: Caller) -> None:
    answer = caller.post(PATH, batch({"to": 1}, {"to": 2}))
    places = [("/recipients/0/to", "wrong_type"), ("/recipients/1/to", "wrong_type")]
    assert_problem(answer, 422, "no_valid_recipient", *places)


def test_at_most_a_hundred_places_are_told(caller: Caller) -> None:
    answer = caller.post(PATH, batch(*[{"to": "x"}] * 150))
    places = [(f"/recipients/{index}/to", "invalid_recipient") for index in range(100)]
    assert_problem(answer, 422, "no_valid_recipient", *places)


@pytest.mark.parametrize(
    ("number", "code"), [(0, "required"), (10_001, "too_many_recipients")], ids=["none", "too many"]
)
def test_a_batch_has_1_to_10_000_recipients(caller: Caller, number: int, code: str) -> None:
    answer = caller.post(PATH, batch(*[ann()] * number))
    assert_problem(answer, 422, code, ("/recipients", code))
    assert not Message.objects.exists()


def test_10_000_recipients_are_taken_at_once(caller: Caller) -> None:
    recipients = [{"to": f"user{n}@example.com", "name": str(n)} for n in range(10_000)]
    body = read(caller.post(PATH, batch(*recipients)), 202)
    assert (body["accepted"], len(body["ids"]), body["rejected"]) == (10_000, 10_000, [])
    assert Message.objects.get(id=body["ids"][-1]).recipient == "user9999@example.com"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"recipients": None}, ("/recipients", "wrong_type")),
        ({"to": "ann@example.com"}, ("/to", "unknown_field")),
        ({"dry_run": True}, ("/dry_run", "unknown_field")),
        ({"channel": "fax"}, ("/channel", "invalid_choice")),
        ({"text": ""}, ("/body", "required")),
    ],
)
def test_a_bad_shared_part_refuses_the_whole(caller: Caller, fields: dict[str, Any], place: tuple[str, str]) -> None:
    assert_problem(caller.post(PATH, {**batch(ann()), **fields}), 422, "validation_error", place)


def test_a_batch_without_recipients_says_so(caller: Caller) -> None:
    assert_problem(caller.post(PATH, SHARED), 422, "validation_error", ("/recipients", "required"))


@pytest.mark.parametrize("length", [1, 70_000], ids=["short", "long"])
def test_nesting_is_bounded_for_each_recipient(caller: Caller, length: int) -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    body = read(caller.post(PATH, batch(ann(data={"a": deep}), ann(), text="x" * length)), 202)
    assert body["rejected"] == [{"index": 0, "code": "too_deep", "detail": "Values may be nested 32 levels deep."}]


def test_a_batch_tells_how_far_it_has_come(caller: Caller) -> None:
    made = read(caller.post(PATH, batch(ann(), ann(to="bob@example.com"))), 202)
    path = f"/api/v1/batches/{made['batch_id']}"
    body = read(caller.get(path))
    assert body == {
        "id": made["batch_id"],
        "accepted": 2,
        "counts": {"QUEUED": 2},
        "created_at": body["created_at"],
        "finished_at": None,
    }
    ids = [Message.objects.get(id=key).id for key in made["ids"]]
    control.cancel(workspace_id=caller.workspace.id, message_id=ids[0], cause=Cause.API)
    assert read(caller.get(path))["counts"] == {"QUEUED": 1, "CANCELLED": 1}
    control.cancel(workspace_id=caller.workspace.id, message_id=ids[1], cause=Cause.API)
    done = read(caller.get(path))
    last = read(caller.get(f"/api/v1/messages/{ids[1]}"))
    assert (done["counts"], done["finished_at"]) == ({"CANCELLED": 2}, last["cancelled_at"])


def test_a_batch_of_another_workspace_is_not_found(caller: Caller, stranger: Caller) -> None:
    made = read(caller.post(PATH, batch(ann())), 202)
    assert_problem(stranger.get(f"/api/v1/batches/{made['batch_id']}"), 404, "batch_not_found")
    assert_problem(caller.get(f"/api/v1/batches/{uuid7()}"), 404, "batch_not_found")
