"""Statistics, performance and health of /api/messaging; whole bodies."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pytest_django import Settings

from analytics import health
from channels_app.types import Channel
from messaging.dispatch import limits, queue
from messaging.models import Mode, Role
from messaging.state import Status
from tests.contracts.forms import MOMENT, TREND
from tests.contracts.oasis import BASE, create, done, failed, move, person
from tests.factories import accept_batch, accept_message, make_workspace
from tests.messaging.api.callers import Caller, make_caller
from tests.messaging.inbox.arrivals import send

STABLE = {"messages": "stable", "deliveryRate": "stable", "openRate": "stable", "clickRate": "stable"}
NO_TIMES = dict.fromkeys(("averageDeliveryTime", "peakDeliveryTime", "averageOpenTime", "peakOpenTime"))
NO_RATES = dict.fromkeys(("deliveryRate", "openRate", "clickRate"), 0.0)
INVALID = ("VALIDATION_ERROR", "Validation failed")


@pytest.fixture
def caller(db: None) -> Caller:
    return make_caller()


@pytest.fixture
def traffic(caller: Caller) -> None:
    """Four e-mails that came to different ends, two in-app messages of each sort, and what is not counted here."""
    read_, delivered, failed_, waiting = (create(caller)["id"] for _ in range(4))
    move(read_, Status.SENDING, Status.SENT, Status.DELIVERED, Status.OPENED, Status.CLICKED)
    move(delivered, Status.SENDING, Status.SENT, Status.DELIVERED)
    move(failed_, Status.FAILED)
    assert waiting
    onsite = send(caller.workspace, to="reader-1", text="x")
    direct = send(caller.workspace, avatar_id=caller.member.user.avatar_id, text="x", channel=Channel.DIRECT)
    for key in (onsite, direct):
        move(key, Status.SENDING, Status.SENT)
    accept_message(caller.workspace, "+12025550100", channel=Channel.WHATSAPP, subject="")
    accept_batch(caller.workspace, ["test@example.com"], test=True)
    accept_batch(make_workspace("Other"), ["other@example.com"])


# Statistics


def test_statistics_of_nothing(caller: Caller) -> None:
    shown = done(caller.get(f"{BASE}/stats"))
    assert shown == {
        "timeframe": "day",
        "statistics": {
            "messages": {"total": 0, "sent": 0, "delivered": 0, "read": 0, "failed": 0},
            "byType": {"Email": 0, "SMS": 0, "Push": 0, "In-App": 0},
            "performance": {**NO_RATES, "bounceRate": 0.0, "complaintRate": 0.0},
            "timing": NO_TIMES,
        },
        "trends": STABLE,
        "lastUpdated": MOMENT,
    }


@pytest.mark.usefixtures("traffic")
def test_statistics_count_what_was_accepted(caller: Caller) -> None:
    shown = done(caller.get(f"{BASE}/stats/?timeframe=Hour"))
    timing = shown["statistics"]["timing"]
    assert shown == {
        "timeframe": "hour",
        "statistics": {
            "messages": {"total": 6, "sent": 4, "delivered": 2, "read": 1, "failed": 1},
            "byType": {"Email": 4, "SMS": 0, "Push": 0, "In-App": 2},
            "performance": {
                "deliveryRate": 0.5,
                "openRate": 0.5,
                "clickRate": 0.5,
                "bounceRate": 0.0,
                "complaintRate": 0.0,
            },
            "timing": timing,
        },
        "trends": dict.fromkeys(STABLE, "increasing"),
        "lastUpdated": MOMENT,
    }
    assert set(timing) == set(NO_TIMES)
    assert 0 <= timing["averageDeliveryTime"] <= timing["peakDeliveryTime"] < 60
    assert 0 <= timing["averageOpenTime"] <= timing["peakOpenTime"] < 60


@pytest.mark.usefixtures("traffic")
def test_statistics_are_narrowed_to_a_type(caller: Caller) -> None:
    for word, total in (("Email", 4), ("in-app", 2), ("SMS", 0)):
        shown = done(caller.get(f"{BASE}/stats?type={word}&timeframe=week"))
        assert (shown["statistics"]["messages"]["total"], shown["timeframe"]) == (total, "week")
        assert sum(shown["statistics"]["byType"].values()) == total
    tester = make_caller(workspace=caller.workspace, mode=Mode.TEST)
    assert done(tester.get(f"{BASE}/stats?timeframe=month"))["statistics"]["messages"]["total"] == 1


# Performance


def test_performance_of_nothing(caller: Caller) -> None:
    shown = done(caller.get(f"{BASE}/performance"))
    assert shown == {
        "performance": {**NO_TIMES, **NO_RATES},
        "metrics": {
            "messagesPerSecond": 0.0,
            "averageLatency": None,
            "p95Latency": None,
            "p99Latency": None,
            "errorRate": 0.0,
            "successRate": 0.0,
        },
        "trends": dict.fromkeys(("deliveryTime", "openTime", "deliveryRate", "openRate"), "stable"),
        "breakdown": {},
        "lastUpdated": MOMENT,
    }


@pytest.mark.usefixtures("traffic")
def test_performance_is_broken_down_by_type(caller: Caller) -> None:
    shown = done(caller.get(f"{BASE}/performance/?timeframe=hour"))
    speed, metrics = shown["performance"], shown["metrics"]
    assert shown == {
        "performance": {**speed, "deliveryRate": 0.5, "openRate": 0.5, "clickRate": 0.5},
        "metrics": {**metrics, "errorRate": 0.2, "successRate": 0.8},
        "trends": dict.fromkeys(("deliveryTime", "openTime", "deliveryRate", "openRate"), TREND),
        "breakdown": {
            "Email": {"deliveryRate": 1.0, "openRate": 0.5, "clickRate": 0.5},
            "In-App": NO_RATES,
        },
        "lastUpdated": MOMENT,
    }
    assert set(speed) == {*NO_TIMES, *NO_RATES}
    assert 0 < metrics["messagesPerSecond"] <= 4
    assert metrics["averageLatency"] >= 0
    assert 0 <= metrics["p95Latency"] <= metrics["p99Latency"] < 60


@pytest.mark.parametrize("path", ["stats", "performance"])
@pytest.mark.parametrize(
    ("query", "field"), [("timeframe=year", "timeframe"), ("type=Fax", "type"), ("type=SMS&type=Push", "type")]
)
def test_a_bad_value_is_refused_by_name(caller: Caller, path: str, query: str, field: str) -> None:
    answer = caller.get(f"{BASE}/{path}?{query}")
    failed(answer, 400, *INVALID, answer.json()["exception"], field)


@pytest.mark.parametrize("path", ["stats", "performance"])
def test_figures_are_for_those_who_may_read_them(caller: Caller, path: str) -> None:
    answer = make_caller(scopes=["messages:read"]).get(f"{BASE}/{path}")
    failed(answer, 403, "FORBIDDEN", "Forbidden", "This needs the scope analytics:read.")
    assert person(caller.workspace, Role.VIEWER).get(f"{BASE}/{path}").status_code == 200


# Health


@pytest.fixture
def looked(caller: Caller) -> None:
    """The platform, looked at just now; one worker is at work."""
    queue.valkey().flushdb()
    queue.record_pulse("bulk")
    health.look(workers=["bulk"])


COMPONENT: dict[str, Any] = {"status": "Healthy", "health": 1.0, "sandbox": True}


@pytest.mark.usefixtures("looked")
def test_health_tells_of_the_four_types(caller: Caller) -> None:
    shown = done(make_caller(scopes=["templates:read"]).get(f"{BASE}/health"))
    components, checks = shown["components"], shown["checks"]
    assert shown == {
        "status": "Healthy",
        "overallHealth": 1.0,
        "components": {
            word: {**COMPONENT, "lastCheck": components[word]["lastCheck"]}
            for word in ("email", "sms", "push", "inapp")
        },
        "checks": [
            {**each, "name": name, "status": "Pass"}
            for each, name in zip(checks, ("database", "valkey", "statistics", "worker:bulk"), strict=True)
        ],
        "alerts": [],
        "lastUpdated": MOMENT,
    }
    assert all(component["lastCheck"] for component in components.values())
    assert all(set(each) == {"name", "status", "responseTime", "lastCheck"} for each in checks)
    assert all(each["responseTime"] >= 0 for each in checks[:2])


@pytest.mark.usefixtures("looked")
def test_a_provider_that_fails_is_told(caller: Caller) -> None:
    limits.write({("email", "sandbox"): limits.Answers(accepted=3, failed=1, last_success=time.time() + 1)})
    shown = done(caller.get(f"{BASE}/health/"))
    assert shown["components"]["email"] == {
        **COMPONENT,
        "status": "Degraded",
        "health": 0.75,
        "lastCheck": MOMENT,
    }
    assert shown["overallHealth"] == 0.9375, "the mean of the four that are shown"
    assert shown["alerts"] == [
        {"code": "provider_degraded", "subject": "email/sandbox", "message": "The provider is degraded."}
    ]


def test_what_nobody_looked_at_is_unknown(caller: Caller) -> None:
    queue.valkey().flushdb()
    shown = done(caller.get(f"{BASE}/health"))
    unknown = {"status": "Unknown", "health": None, "lastCheck": None, "sandbox": True}
    assert shown == {
        "status": "Unknown",
        "overallHealth": 0.0,
        "components": dict.fromkeys(("email", "sms", "push", "inapp"), unknown),
        "checks": [],
        "alerts": [],
        "lastUpdated": MOMENT,
    }


@pytest.mark.usefixtures("looked")
def test_a_channel_without_a_provider_says_so(caller: Caller, settings: Settings) -> None:
    settings.CHANNELS = {name: options for name, options in settings.CHANNELS.items() if name != "sms"}
    shown = done(caller.get(f"{BASE}/health"))["components"]["sms"]
    assert shown == {"status": "NotConfigured", "health": None, "lastCheck": None, "sandbox": False}


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.usefixtures("looked")
def test_an_unhealthy_platform_answers_503_where_that_is_wanted(
    caller: Caller, settings: Settings, status: int
) -> None:
    settings.OASIS_UNHEALTHY_STATUS = status
    for word in Channel:
        answers = limits.Answers(accepted=1, failed=9, last_success=time.time() + 1)
        limits.write({(word.value, "sandbox"): answers})
    assert done(caller.get(f"{BASE}/health"), status=status)["status"] == "Unhealthy"
