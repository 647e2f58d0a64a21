"""Whom a campaign goes to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from channels_app.types import Channel
from messaging.campaigns import audience, runs
from messaging.campaigns.audience import Target
from messaging.errors import Invalid
from messaging.models import Audience, Contact, Message, Workspace
from messaging.models.keys import uuid7
from messaging.people import contacts
from tests.factories import make_template, make_workspace
from tests.messaging.campaigns.plans import frozen, make_campaign, named, reached
from tests.messaging.people.rows import make_contact, say, suppress

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def people(workspace: Workspace) -> dict[str, Contact]:
    rows = {
        "ann": {"tags": ["vip", "news"], "locale": "de", "attributes": {"plan": "pro", "age": 30, "a__b": True}},
        "bob": {"tags": ["vip"], "locale": "en", "attributes": {"plan": "free", "age": 31}},
        "cid": {"tags": ["news"], "locale": "de", "time_zone": "Europe/Berlin", "attributes": {"plan": ["pro"]}},
        "dee": {"external_id": "d-4", "attributes": {"age": "30"}},
    }
    return {name: make_contact(workspace, email=f"{name}@example.com", **row) for name, row in rows.items()}


@pytest.mark.parametrize(
    ("tags", "wanted", "names"),
    [
        ([], {}, ["ann", "bob", "cid", "dee"]),
        (["vip"], {}, ["ann", "bob"]),
        (["vip", "news"], {}, ["ann"]),
        (["nobody"], {}, []),
        ([], {"locale": "de"}, ["ann", "cid"]),
        ([], {"locale": ["de", "en"]}, ["ann", "bob", "cid"]),
        (["news"], {"locale": "de", "time_zone": "Europe/Berlin"}, ["cid"]),
        ([], {"external_id": "d-4"}, ["dee"]),
        ([], {"attributes": {"plan": "pro"}}, ["ann"]),
        ([], {"attributes": {"plan": ["pro", "free"], "age": 31}}, ["bob"]),
        ([], {"attributes": {"age": 30}}, ["ann"]),
        ([], {"attributes": {"a__b": True}}, ["ann"]),
        ([], {"attributes": {"plan__contains": "pro"}}, []),
        ([], {"attributes": {}}, ["ann", "bob", "cid", "dee"]),
    ],
)
def test_tags_and_filters_choose(workspace: Workspace, tags: list[str], wanted: dict[str, Any], names: list[str]):
    known = people(workspace)
    people(make_workspace())

    found = audience.contacts(workspace_id=workspace.id, target=Target(tags=tags, filter=wanted))

    assert sorted(row.id for row in found) == sorted(known[name].id for name in names)


def test_contacts_may_be_named_by_their_ids(workspace: Workspace):
    known = people(workspace)
    stranger = make_contact(make_workspace())
    ids = [str(known["ann"].id), str(stranger.id)]

    found = audience.contacts(workspace_id=workspace.id, target=Target(filter={"id": ids}))

    assert [row.id for row in found] == [known["ann"].id]


@pytest.mark.parametrize(
    ("tags", "wanted", "pointer", "code"),
    [
        ([""], {}, "/audience/tags/0", "length"),
        (["x"] * 101, {}, "/audience/tags", "too_long"),
        ([], {"email": "a@example.com"}, "/audience/filter/email", "unknown_field"),
        ([], {"workspace_id": str(uuid7())}, "/audience/filter/workspace_id", "unknown_field"),
        ([], {"locale__in": "de"}, "/audience/filter/locale__in", "unknown_field"),
        ([], {"a/b~c": "x"}, "/audience/filter/a~1b~0c", "unknown_field"),
        ([], {"locale": 3}, "/audience/filter/locale", "wrong_type"),
        ([], {"locale": None}, "/audience/filter/locale", "wrong_type"),
        ([], {"locale": ""}, "/audience/filter/locale", "wrong_type"),
        ([], {"locale": []}, "/audience/filter/locale", "length"),
        ([], {"locale": ["x"] * 10_001}, "/audience/filter/locale", "length"),
        ([], {"id": "ann"}, "/audience/filter/id", "invalid_value"),
        ([], {"attributes": "pro"}, "/audience/filter/attributes", "wrong_type"),
        ([], {"attributes": {"plan": {"is": "pro"}}}, "/audience/filter/attributes/plan", "wrong_type"),
        ([], {"attributes": {"plan": [["pro"]]}}, "/audience/filter/attributes/plan", "wrong_type"),
        ([], {"attributes": {"plan": None}}, "/audience/filter/attributes/plan", "wrong_type"),
        ([], {"attributes": {"plan": []}}, "/audience/filter/attributes/plan", "length"),
        ([], {"attributes": {f"a{n}": 1 for n in range(51)}}, "/audience/filter/attributes", "too_long"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(tags: list[str], wanted: dict[str, Any], pointer: str, code: str):
    found = list(audience.problems(Target(tags=tags, filter=wanted)))

    assert [(each.pointer, each.code) for each in found] == [(pointer, code)]


def test_a_contact_without_an_address_stays_in_the_audience_with_the_reason(workspace: Workspace):
    ann = make_contact(workspace)
    mute = make_contact(workspace, email="", phone="+12025550100")
    row = make_campaign(workspace)

    runs.start(**named(row))

    assert frozen(row) == {ann.id: "", mute.id: "contact_unreachable"}
    assert reached(row) == ["ann@example.com"]
    entry = Audience.objects.get(contact=ann)
    assert Message.objects.get(campaign_id=row.id).id == entry.message_id


def test_two_contacts_with_one_address_get_one_message(workspace: Workspace):
    ann, twin = make_contact(workspace), make_contact(workspace)
    row = make_campaign(workspace)

    runs.start(**named(row))

    assert frozen(row) == {ann.id: "", twin.id: "duplicate_address"}
    assert reached(row) == ["ann@example.com"]


def test_each_contact_gets_the_template_in_the_own_language(workspace: Workspace):
    make_template(workspace, language="en", subject="Hello {{ contact.name }}")
    make_template(workspace, language="de", subject="Hallo {{ contact.name }}, {{ word }}")
    make_contact(workspace, name="Ann", locale="de-AT", email="ann@example.com")
    make_contact(workspace, name="Bob", locale="fr", email="bob@example.com")
    row = make_campaign(workspace, data={"word": "los"})

    runs.start(**named(row))

    rows = Message.objects.filter(campaign_id=row.id).order_by("recipient")
    assert [(each.subject, each.language) for each in rows] == [("Hallo Ann, los", "de"), ("Hello Bob", "en")]


def test_a_contact_for_whom_the_template_lacks_something_gets_no_message(workspace: Workspace):
    make_template(workspace, subject="Hello {{ contact.attributes.first }}")
    ann = make_contact(workspace, attributes={"first": "Ann"})
    bob = make_contact(workspace, email="bob@example.com")
    row = make_campaign(workspace)

    runs.start(**named(row))

    assert frozen(row) == {ann.id: "", bob.id: "missing_variables"}


def test_what_people_said_about_the_category_counts(workspace: Workspace):
    say(make_contact(workspace), "marketing", "opted_out")
    suppress(workspace, address="bob@example.com")
    make_contact(workspace, email="bob@example.com")
    make_contact(workspace, email="cid@example.com")
    row = make_campaign(workspace)

    runs.start(**named(row))

    rows = Message.objects.filter(campaign_id=row.id).order_by("recipient").values_list("status", "error_code")
    assert list(rows) == [("FAILED", "suppressed"), ("FAILED", "suppressed"), ("QUEUED", "")]


def test_messages_carry_what_the_campaign_says(workspace: Workspace):
    make_contact(workspace)
    row = make_campaign(workspace, category="news", test=True)

    runs.start(**named(row))

    message = Message.objects.get(campaign_id=row.id)
    assert (message.category, message.get_priority_display(), message.test) == ("news", "bulk", True)
    assert message.template_id == row.template_id
    assert message.batch_id is None


def test_a_campaign_may_go_to_every_channel_of_a_contact(workspace: Workspace):
    contact = make_contact(workspace, phone="+12025550100", telegram_chat_id="42", avatar_id=uuid7())
    addresses = {
        Channel.EMAIL: "ann@example.com",
        Channel.SMS: "+12025550100",
        Channel.WHATSAPP: "+12025550100",
        Channel.TELEGRAM: "42",
        Channel.ONSITE: str(contact.id),
        Channel.DIRECT: str(contact.avatar_id),
    }
    for channel, address in addresses.items():
        if channel is not Channel.EMAIL:
            make_template(workspace, channel=channel, subject="")
        row = make_campaign(workspace, channel=channel)
        runs.start(**named(row))
        assert reached(row) == [address]


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"tags": ["nobody"]}, "audience_empty"), ({"filter": {"external_id": "mute"}}, "no_valid_recipient")],
)
def test_a_campaign_that_reaches_nobody_does_not_start(workspace: Workspace, fields: dict[str, Any], code: str):
    make_contact(workspace, email="", external_id="mute")
    row = make_campaign(workspace, **fields)

    with pytest.raises(Invalid) as refusal:
        runs.start(**named(row))

    assert [(each.pointer, each.code) for each in refusal.value.errors] == [("/audience", code)]
    row.refresh_from_db()
    assert (row.status, row.started_at, frozen(row)) == ("draft", None, {})


def test_an_audience_has_at_most_ten_thousand_contacts(workspace: Workspace):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_contact (id, workspace_id, email) "
            "SELECT gen_random_uuid(), %s, format('user%%s@example.com', n) FROM generate_series(1, %s) AS n",
            [workspace.id, audience.LARGEST],
        )
    row = make_campaign(workspace)
    one_more = make_contact(workspace)

    with pytest.raises(Invalid) as refusal:
        runs.start(**named(row))
    assert refusal.value.errors[0].code == "audience_too_large"
    assert not Message.objects.filter(campaign_id=row.id).exists()

    contacts.delete(workspace_id=workspace.id, contact_id=one_more.id)
    runs.start(**named(row))
    assert len(frozen(row)) == Message.objects.filter(campaign_id=row.id).count() == audience.LARGEST
