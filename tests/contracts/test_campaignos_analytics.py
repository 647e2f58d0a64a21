"""Figures: overview rates over what was sent, campaign rates over what was delivered, nothing made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from channels_app.types import Channel
from messaging.dispatch import transitions
from messaging.dispatch.transitions import Move
from messaging.models import Campaign, ContactEvent, Mode, Role, Workspace
from messaging.models.keys import uuid7
from messaging.state import Cause, Priority, Status
from tests.contracts.campaignos import STRANGER, home, make_contact, refused
from tests.factories import accept_batch
from tests.messaging.api.callers import Caller, make_caller, nobody, read

COUNTERS = ("total", "sent", "delivered", "opened", "clicked", "bounced", "failed")
NOTHING = dict.fromkeys(COUNTERS, 0)
SOME = {"total": 6, "sent": 4, "delivered": 2, "opened": 1, "clicked": 1, "bounced": 1, "failed": 1}


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


def make_campaign(workspace: Workspace, **fields: Any) -> Campaign:
    return Campaign.objects.create(workspace=workspace, **{"name": "Digest", "channel": "email", **fields})


def happen(workspace: Workspace, *, campaign_id: UUID | None = None, test: bool = False) -> list[UUID]:
    """Six messages: sent, sent, delivered, clicked, of which the second bounced, failed, and one that waits."""
    addresses = [f"ann+{place}@example.com" for place in range(6)]
    ids = accept_batch(workspace, addresses, campaign_id=campaign_id, test=test).ids
    claim = uuid7()
    transitions.claim_many(
        claim_id=claim,
        worker="test",
        channel="email",
        priority=Priority.NORMAL,
        shares={workspace.id: 5},
        group=5,
        lease=600.0,
    )
    moves = [Move(id=key, to=Status.SENT, provider="smtp") for key in ids[:4]]
    transitions.flush_many(
        [*moves, Move(id=ids[4], to=Status.FAILED, code="smtp_550", provider="smtp")], claim_id=claim, mark=5
    )
    later = ((1, Status.BOUNCED), (2, Status.DELIVERED), (3, Status.CLICKED))
    for place, status in later:
        transitions.advance_many([Move(id=ids[place], to=status)], cause=Cause.RECEIPT)
    return ids


# The overview


def test_the_overview_of_nothing(caller: Caller) -> None:
    assert read(caller.get(f"{home(caller)}/analytics")) == {
        "period": "30d",
        "contacts": 0,
        "campaigns": 0,
        "messages": {**NOTHING, "openRate": 0.0, "clickRate": 0.0},
        "events": 0,
    }


def test_the_overview_counts_what_there_is_and_rates_what_was_sent(caller: Caller) -> None:
    happen(caller.workspace)
    contact = make_contact(caller)
    make_campaign(caller.workspace)
    for at in (datetime.now(UTC), datetime.now(UTC) - timedelta(days=31)):
        ContactEvent.objects.create(workspace=caller.workspace, contact=contact, type="page_view", at=at)
    # What belongs to others, to test mode or to channels that are not shown here is left out.
    happen(make_caller().workspace)
    happen(caller.workspace, test=True)
    accept_batch(caller.workspace, ["+12025550100"], channel=Channel.SMS, subject="")
    assert read(caller.get(f"{home(caller)}/analytics/")) == {
        "period": "30d",
        "contacts": 1,
        "campaigns": 1,
        "messages": {**SOME, "openRate": 0.25, "clickRate": 0.25},
        "events": 1,
    }


def test_a_test_key_sees_the_figures_of_test_mode(db: None) -> None:
    caller = make_caller(mode=Mode.TEST)
    happen(caller.workspace)
    assert read(caller.get(f"{home(caller)}/analytics"))["messages"]["total"] == 0
    happen(caller.workspace, test=True)
    assert read(caller.get(f"{home(caller)}/analytics"))["messages"]["total"] == 6


def test_what_was_cancelled_has_failed_here_and_counts_so(caller: Caller) -> None:
    campaign = make_campaign(caller.workspace)
    ids = happen(caller.workspace, campaign_id=campaign.id)
    transitions.advance_many([Move(id=ids[5], to=Status.CANCELLED)], cause=Cause.API)
    listed = read(caller.get(f"{home(caller)}/messages?status=FAILED"))["pagination"]["total"]
    overview = read(caller.get(f"{home(caller)}/analytics"))["messages"]
    report = read(caller.get(f"{home(caller)}/analytics/campaigns/{campaign.id}"))
    day = read(caller.get(f"{home(caller)}/analytics/timeseries?days=1"))["data"][0]
    assert {"status": "FAILED", "count": 2} in report["statusBreakdown"]
    assert listed == overview["failed"] == report["messages"]["failed"] == day["failed"] == 2


# A campaign


def test_a_campaign_rates_what_was_delivered(caller: Caller) -> None:
    campaign = make_campaign(caller.workspace)
    happen(caller.workspace, campaign_id=campaign.id)
    accept_batch(caller.workspace, ["bob@example.com"])
    assert read(caller.get(f"{home(caller)}/analytics/campaigns/cmp_{campaign.id.hex}")) == {
        "campaignId": f"cmp_{campaign.id.hex}",
        "name": "Digest",
        "period": "30d",
        "messages": {
            **SOME,
            "unsubscribed": 0,
            "deliveryRate": 0.5,
            "openRate": 0.5,
            "clickRate": 0.5,
            "bounceRate": 0.25,
        },
        "statusBreakdown": [
            {"status": "BOUNCED", "count": 1},
            {"status": "CLICKED", "count": 1},
            {"status": "DELIVERED", "count": 1},
            {"status": "FAILED", "count": 1},
            {"status": "QUEUED", "count": 1},
            {"status": "SENT", "count": 1},
        ],
        "channelBreakdown": [{"channel": "EMAIL", "count": 6}],
    }


def test_a_campaign_counts_its_period_alone(caller: Caller) -> None:
    campaign = make_campaign(caller.workspace)
    happen(caller.workspace, campaign_id=campaign.id)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_message SET created_at = created_at - interval '40 days'")
    path = f"{home(caller)}/analytics/campaigns/cmp_{campaign.id.hex}"
    assert read(caller.get(path))["messages"]["total"] == 0
    assert read(caller.get(path))["statusBreakdown"] == []
    assert read(caller.get(f"{path}?period=60d"))["messages"]["total"] == 6
    assert read(caller.get(f"{path}?period=60d"))["period"] == "60d"


@pytest.mark.parametrize("period", ["30", "0d", "366d", "d", "-1d", "30D", "1000d"])
def test_a_period_that_is_none_is_refused(caller: Caller, period: str) -> None:
    campaign = make_campaign(caller.workspace)
    answer = caller.get(f"{home(caller)}/analytics/campaigns/{campaign.id}?period={period}")
    told = "A period is 1 to 365 days, as in 30d."
    refused(answer, 400, "VALIDATION_ERROR", message=told, reason="invalid_value", fields=["period"])


def test_a_campaign_of_others_is_not_found(caller: Caller) -> None:
    for key in (STRANGER, make_campaign(make_caller().workspace).id):
        answer = caller.get(f"{home(caller)}/analytics/campaigns/cmp_{key.hex}")
        refused(answer, 404, "NOT_FOUND", message="There is no such campaign.", reason="campaign_not_found")


# The series


def test_the_series_has_every_day_and_ends_today(caller: Caller) -> None:
    happen(caller.workspace)
    today = datetime.now(UTC).date()
    body = read(caller.get(f"{home(caller)}/analytics/timeseries?days=3"))
    days = [(today - timedelta(days=2)).isoformat(), (today - timedelta(days=1)).isoformat(), today.isoformat()]
    assert body == {
        "days": 3,
        "data": [{"date": days[0], **NOTHING}, {"date": days[1], **NOTHING}, {"date": days[2], **SOME}],
    }
    assert len(read(caller.get(f"{home(caller)}/analytics/timeseries"))["data"]) == 30


@pytest.mark.parametrize("days", ["0", "366", "x"])
def test_a_number_of_days_that_is_none_is_refused(caller: Caller, days: str) -> None:
    answer = caller.get(f"{home(caller)}/analytics/timeseries?days={days}")
    refused(answer, 400, "VALIDATION_ERROR", fields=["days"])


# Who asks

PATHS = ["/analytics", f"/analytics/campaigns/cmp_{STRANGER.hex}", "/analytics/timeseries"]


@pytest.mark.parametrize("path", PATHS)
def test_the_scope_for_figures_is_needed(db: None, path: str) -> None:
    caller = make_caller(Role.OWNER, scopes=["messages:read"])
    answer = caller.get(f"{home(caller)}{path}")
    refused(answer, 403, "FORBIDDEN", message="This needs the scope analytics:read.", reason="missing_scope")


@pytest.mark.parametrize("path", PATHS)
def test_nobody_is_told_anything(db: None, path: str) -> None:
    refused(nobody().get(f"{home(make_caller())}{path}"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", PATHS)
def test_a_workspace_of_others_is_not_found(caller: Caller, path: str) -> None:
    answer = caller.get(f"{home(make_caller())}{path}")
    refused(answer, 404, "NOT_FOUND", message="There is no such workspace.", reason="workspace_not_found")


def test_attribution_is_not_made_up(caller: Caller) -> None:
    answer = caller.get(f"{home(caller)}/analytics/attribution")
    refused(answer, 404, "NOT_FOUND", message="There is nothing here.")
