"""How often and when a campaign writes to a contact."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from messaging.campaigns import pace
from messaging.models import Campaign, Contact, Message
from tests.factories import accept_message, make_workspace
from tests.running import eventually

NIGHT = {"start": "22:00", "end": "08:00"}


@pytest.mark.parametrize(
    ("quiet", "home", "hour", "held"),
    [
        (NIGHT, "", 21, False),
        (NIGHT, "", 22, True),
        (NIGHT, "", 7, True),
        (NIGHT, "", 8, False),
        ({"start": "12:00", "end": "13:00"}, "", 12, True),
        ({"start": "12:00", "end": "13:00"}, "", 13, False),
        ({"start": "12:00", "end": "12:00"}, "", 12, False),
        (NIGHT, "Asia/Tokyo", 13, True),
        (NIGHT, "Asia/Tokyo", 23, False),
        ({**NIGHT, "timezone": "America/New_York"}, "Asia/Tokyo", 13, False),
        ({**NIGHT, "timezone": "America/New_York"}, "Asia/Tokyo", 11, True),
    ],
)
def test_quiet_hours_are_those_of_the_contact_unless_a_zone_is_named(
    db: None, quiet: dict[str, str], home: str, hour: int, held: bool
) -> None:
    contact = Contact.objects.create(workspace=make_workspace(), email="ann@example.com", time_zone=home)
    campaign = Campaign(workspace=contact.workspace, settings={"quietHours": quiet})
    now = datetime(2026, 1, 15, hour, tzinfo=UTC)
    if held:
        with pytest.raises(pace.Held) as refusal:
            pace.demand(campaign, contact_id=contact.id, now=now)
        assert refusal.value.code == "quiet_hours"
    else:
        pace.demand(campaign, contact_id=contact.id, now=now)


@pytest.mark.parametrize("settings", [{}, {"frequencyCap": None, "quietHours": None}, {"color": "red"}])
def test_settings_that_say_nothing_of_the_pace_hold_nobody_back(settings: dict[str, Any]) -> None:
    assert not list(pace.problems(settings))
    pace.demand(Campaign(settings=settings), contact_id=Contact().id)


@pytest.mark.parametrize("cap", [1, 10_000, {"max": 3}, {"max": 3, "hours": 168}])
def test_a_cap_is_a_number_a_day_or_in_so_many_hours(cap: Any) -> None:
    assert not list(pace.problems({"frequencyCap": cap}))


@pytest.mark.parametrize(
    "cap", [0, -1, 10_001, True, 1.5, "3", [], {}, {"hours": 1}, {"max": 1, "hours": 0}, {"max": 1, "days": 1}]
)
def test_a_cap_that_is_none_is_refused(cap: Any) -> None:
    assert [each.pointer for each in pace.problems({"frequencyCap": cap})] == ["/settings/frequencyCap"]


@pytest.mark.parametrize(
    "quiet",
    [
        "night",
        {},
        {"start": "22:00"},
        {"start": "22:00", "end": "24:00"},
        {"start": 22, "end": 8},
        {**NIGHT, "timezone": "Mars/Olympus"},
        {**NIGHT, "timezone": ["UTC"]},
        {**NIGHT, "zone": "UTC"},
    ],
)
def test_quiet_hours_that_are_none_are_refused(quiet: Any) -> None:
    assert [each.pointer for each in pace.problems({"quietHours": quiet})] == ["/settings/quietHours"]


@pytest.mark.django_db(transaction=True)
def test_of_two_messages_at_once_each_counts_for_the_cap() -> None:
    contact = Contact.objects.create(workspace=make_workspace(), email="ann@example.com")
    campaign = Campaign.objects.create(workspace=contact.workspace, name="x", settings={"frequencyCap": 1})

    def second() -> None:
        try:
            with transaction.atomic():
                pace.demand(campaign, contact_id=contact.id)
        finally:
            connection.close()

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid")
            return cursor.fetchone() is not None

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            pace.demand(campaign, contact_id=contact.id)
            key = accept_message(contact.workspace)
            Message.objects.filter(id=key).update(contact_id=contact.id, campaign_id=campaign.id)
            asked = pool.submit(second)
            eventually(lambda: waits() or asked.done(), "the second asks")
        with pytest.raises(pace.Held):
            asked.result()
