"""Statistics, performance and health over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from analytics import health
from channels_app.types import Channel
from messaging.dispatch import queue, transitions
from messaging.dispatch.transitions import Move
from messaging.models import Mode
from messaging.models.keys import uuid7
from messaging.state import Cause, Status
from tests.factories import accept_batch, make_workspace
from tests.messaging.api.callers import Caller, assert_problem, make_caller, read

STATS, PERFORMANCE, HEALTH = "/api/v1/stats", "/api/v1/performance", "/api/v1/health"
COUNTERS = ("total", "sent", "delivered", "opened", "clicked", "bounced", "failed", "unsubscribed", "complained")
NOTHING = dict.fromkeys((*COUNTERS, "cancelled"), 0)
UNTIMED = {"count": 0, "p50": None, "p95": None, "p99": None, "mean": None, "max": None}


def test_statistics_of_nothing(caller: Caller) -> None:
    body = read(caller.get(STATS))
    assert body == {
        "timeframe": "day",
        "since": body["since"],
        "until": body["until"],
        "totals": NOTHING,
        "by_channel": {},
        "rates": dict.fromkeys(("delivery_rate", "open_rate", "click_rate", "bounce_rate", "complaint_rate"), 0.0),
        "trends": dict.fromkeys(("messages", "delivery_rate", "open_rate", "click_rate", "bounce_rate"), "stable"),
        "updated_at": body["updated_at"],
    }


def test_statistics_count_what_was_accepted(caller: Caller) -> None:
    accepted = accept_batch(caller.workspace, ["ann@example.com", "bob@example.com", "cy@example.com"])
    accept_batch(caller.workspace, ["test@example.com"], test=True)
    accept_batch(make_workspace("Other"), ["other@example.com"])
    transitions.advance_many([Move(id=accepted.ids[0], to=Status.CANCELLED)], cause=Cause.API)
    body = read(caller.get(f"{STATS}?timeframe=hour"))
    assert body["totals"] == {**NOTHING, "total": 3, "cancelled": 1}
    assert body["by_channel"] == {"email": body["totals"]}
    assert body["trends"]["messages"] == "increasing"
    assert read(caller.get(f"{STATS}?channel=sms,push"))["totals"] == NOTHING
    assert read(caller.get(f"{STATS}?channel=email,push"))["totals"]["total"] == 3
    assert read(caller.get(f"{STATS}?test=true"))["totals"]["total"] == 1
    assert read(caller.get(f"{STATS}?campaign={uuid7()}"))["totals"] == NOTHING


def test_performance_of_nothing(caller: Caller) -> None:
    body = read(caller.get(f"{PERFORMANCE}?timeframe=month"))
    trends = ("sending_time", "delivery_time", "opening_time", "delivery_rate", "open_rate", "error_rate")
    assert body == {
        "timeframe": "month",
        "since": body["since"],
        "until": body["until"],
        "latency": {"sending": UNTIMED, "delivery": UNTIMED, "opening": UNTIMED},
        "messages_per_second": 0.0,
        "error_rate": 0.0,
        "success_rate": 0.0,
        "by_channel": {},
        "trends": dict.fromkeys(trends, "stable"),
        "updated_at": body["updated_at"],
    }


@pytest.mark.parametrize("path", [STATS, PERFORMANCE])
@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("timeframe=year", ("/timeframe", "invalid_choice")),
        ("channel=fax", ("/channel", "invalid_choice")),
        ("test=maybe", ("/test", "invalid_choice")),
        ("since=2026-01-01", ("/since", "unknown_parameter")),
        ("timeframe=day&timeframe=day", ("/timeframe", "repeated_parameter")),
    ],
)
def test_a_bad_parameter_is_refused(caller: Caller, path: str, query: str, place: tuple[str, str]) -> None:
    assert_problem(caller.get(f"{path}?{query}"), 422, "validation_error", place)


@pytest.mark.parametrize("path", [STATS, PERFORMANCE])
@pytest.mark.django_db
def test_it_needs_the_scope_of_analytics(path: str) -> None:
    assert_problem(make_caller(scopes=["messages:read"]).get(path), 403, "missing_scope")
    read(make_caller(scopes=["analytics:read"], mode=Mode.TEST).get(path))


@pytest.mark.django_db
def test_health_is_open_to_everybody_and_says_sandbox_plainly() -> None:
    queue.valkey().flushdb()
    health.look(workers=())
    body: dict[str, Any] = read(Caller(make_workspace()).get(HEALTH))
    assert (body["status"], body["health"], body["alerts"]) == ("healthy", 1.0, [])
    assert list(body["channels"]) == [channel.value for channel in Channel]
    email = body["channels"]["email"]
    assert email == {
        "status": "healthy",
        "health": 1.0,
        "sandbox": True,
        "last_check": email["last_check"],
        "providers": [
            {
                "name": "sandbox",
                "status": "healthy",
                "sandbox": True,
                "success_rate": email["providers"][0]["success_rate"],
                "error_rate": email["providers"][0]["error_rate"],
                "latency": email["providers"][0]["latency"],
                "breaker": "closed",
                "back_in": None,
                "rate": None,
                "last_success_at": email["providers"][0]["last_success_at"],
                "last_failure_at": email["providers"][0]["last_failure_at"],
                "probed_at": email["last_check"],
            }
        ],
    }
    assert {check["name"]: check["status"] for check in body["checks"]} == {
        "database": "pass",
        "valkey": "pass",
        "statistics": "pass",
    }
