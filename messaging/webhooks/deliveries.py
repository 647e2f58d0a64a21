"""Deliveries: claimed by one worker at a time, recorded with every try, shown, and sent once more on request.

While a delivery is claimed, it is due again when the claim ends: a worker that dies gives back what it held without
anybody's help. The count of tries is raised by the claim, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid4

import msgspec
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from messaging.errors import Conflict, NotFound
from messaging.models import WebhookDelivery, WebhookEndpoint
from messaging.models.keys import lowest_key, uuid7
from messaging.tenancy.access import Caller, demand_live
from messaging.webhooks.types import TEST

KEPT_DAYS: Final = 30
"""Days for which deliveries can be looked up and sent again."""
DETAIL_LENGTH: Final = 300
"""Characters that are kept of an answer."""
_TRIES: Final = 20
"""The latest tries that a delivery remembers."""
_FORGOTTEN: Final = 5_000
"""Deliveries that are forgotten in one statement."""

State = WebhookDelivery.State


class Lane(StrEnum):
    """Which endpoints a worker looks after: those that fail never hold up the others."""

    STEADY = "steady"
    FAILING = "failing"


# Each endpoint has its share, in a turn that chance gives: whoever has much to be told of waits beside the others.
# What another worker holds is passed by.
_CLAIM = """
WITH heard AS MATERIALIZED (
    SELECT e.id, GREATEST(0, %(share)s - COALESCE(busy.number, 0)) AS room
      FROM messaging_webhookendpoint e
      LEFT JOIN unnest(%(busy)s::uuid[], %(numbers)s::int[]) AS busy(id, number) ON busy.id = e.id
     WHERE e.active AND (e.failing_since IS NOT NULL) = %(failing)s
     ORDER BY random()
), due AS MATERIALIZED (
    SELECT d.id FROM heard h CROSS JOIN LATERAL (
        SELECT id FROM messaging_webhookdelivery
         WHERE endpoint_id = h.id AND state = 'pending' AND next_attempt_at <= now()
         ORDER BY next_attempt_at LIMIT h.room FOR UPDATE SKIP LOCKED) d
     LIMIT %(limit)s
)
UPDATE messaging_webhookdelivery d
   SET claim = %(claim)s, attempts = d.attempts + 1,
       next_attempt_at = now() + %(lease)s * interval '1 second'
  FROM due WHERE d.id = due.id
RETURNING d.id
"""
_RECORD = f"""
UPDATE messaging_webhookdelivery d
   SET state = v.state, claim = NULL, last_status = v.status, last_detail = v.detail,
       next_attempt_at = now() + v.wait * interval '1 second',
       finished_at = CASE WHEN v.state = 'pending' THEN NULL ELSE now() END,
       tries = (CASE WHEN jsonb_array_length(d.tries) >= {_TRIES} THEN d.tries - 0 ELSE d.tries END) || v.tried
  FROM unnest(%(ids)s::uuid[], %(claims)s::uuid[], %(states)s::text[], %(statuses)s::smallint[], %(details)s::text[],
              %(waits)s::float8[], %(tried)s::jsonb[]) AS v(id, claim, state, status, detail, wait, tried)
 WHERE d.id = v.id AND d.claim = v.claim
RETURNING d.id
"""  # noqa: S608
_FORGET = """
DELETE FROM messaging_webhookdelivery WHERE id IN (
    SELECT id FROM messaging_webhookdelivery WHERE id < %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What became of one try."""

    delivery_id: UUID
    endpoint_id: UUID
    claim: UUID
    state: State
    status: int | None
    """What the endpoint answered, if it did."""
    detail: str
    seconds: float
    wait: float | None
    """Seconds until the next try; None where there is none."""
    gone: bool = False
    """The endpoint said that it is there no more."""
    blameless: bool = False
    """It was not the endpoint that failed: nothing was sent."""

    @property
    def worked(self) -> bool:
        """Whether the endpoint took it."""
        return self.state is State.DELIVERED

    @property
    def failed(self) -> bool:
        """Whether the endpoint failed to take it."""
        return not (self.worked or self.blameless)


def claim(
    lane: Lane, *, limit: int, share: int, busy: Mapping[UUID, int], lease: float
) -> tuple[UUID, list[WebhookDelivery]]:
    """Take due deliveries, of each endpoint its share less what is under way to it; give them with their token."""
    token = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "claim": token,
                "failing": lane is Lane.FAILING,
                "limit": limit,
                "share": share,
                "busy": list(busy),
                "numbers": list(busy.values()),
                "lease": lease,
            },
        )
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return token, []
    rows = WebhookDelivery.objects.filter(pk__in=ids, claim=token).select_related("endpoint")
    return token, list(rows.order_by("next_attempt_at", "id"))


def record(tried: Sequence[Tried]) -> list[Tried]:
    """Write down what became of tries; give those that still held their claim."""
    if not tried:
        return []
    several = sorted(tried, key=lambda each: each.delivery_id)
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "ids": [each.delivery_id for each in several],
                "claims": [each.claim for each in several],
                "states": [each.state.value for each in several],
                "statuses": [each.status for each in several],
                "details": [each.detail[:DETAIL_LENGTH] for each in several],
                "waits": [each.wait for each in several],
                "tried": [_note(each) for each in several],
            },
        )
        held = {row[0] for row in cursor.fetchall()}
    return [each for each in several if each.delivery_id in held]


def _note(tried: Tried) -> str:
    at = timezone.now() - timedelta(seconds=tried.seconds)
    noted = {
        "at": f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z",
        "seconds": round(tried.seconds, 3),
        "status": tried.status,
        "detail": tried.detail[:DETAIL_LENGTH],
    }
    return msgspec.json.encode([noted]).decode()


def deliveries_of(endpoint: WebhookEndpoint, *, states: Collection[State] = ()) -> QuerySet[WebhookDelivery]:
    """What was sent to an endpoint and what is to be sent, in these states."""
    rows = WebhookDelivery.objects.filter(endpoint=endpoint)
    return rows.filter(state__in=[state.value for state in states]) if states else rows


def get(endpoint: WebhookEndpoint, delivery_id: UUID) -> WebhookDelivery:
    """Give one delivery.

    Raises:
        NotFound: the endpoint has none of that id.
    """
    found = deliveries_of(endpoint).filter(pk=delivery_id).first()
    if found is None:
        raise NotFound("There is no such delivery.", code="delivery_not_found")
    return found


def resend(*, caller: Caller, endpoint: WebhookEndpoint, delivery_id: UUID) -> WebhookDelivery:
    """Send an event once more, with the same id and a fresh budget of tries.

    Raises:
        NotFound: the endpoint has no such delivery.
        Conflict: it is still on its way, or the endpoint is not active.
        Forbidden: a test key asks for what hears of real messages.
    """
    _demand_active(caller, endpoint)
    found = get(endpoint, delivery_id)
    if not again([found.id]):
        raise Conflict("The delivery is still on its way.", code="delivery_pending")
    return get(endpoint, delivery_id)


def again(ids: Collection[UUID]) -> int:
    """Send what has ended once more; give how many had."""
    ended = WebhookDelivery.objects.filter(pk__in=ids).exclude(state=State.PENDING)
    number: int = ended.update(state=State.PENDING, attempts=0, next_attempt_at=Now(), finished_at=None, claim=None)
    return number


def test(*, caller: Caller, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send an event that says nothing, to try an endpoint out.

    Raises:
        Conflict: the endpoint is not active.
        Forbidden: a test key asks for what hears of real messages.
    """
    _demand_active(caller, endpoint)
    row = WebhookDelivery.objects.create(id=uuid7(), endpoint=endpoint, event_id=uuid7(), type=TEST, at=timezone.now())
    return get(endpoint, row.id)


def forget() -> int:
    """Forget deliveries that are older than anybody may ask for; give how many."""
    oldest = lowest_key(timezone.now() - timedelta(days=KEPT_DAYS))
    forgotten = 0
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FORGET, [oldest, _FORGOTTEN])
            number: int = cursor.rowcount
            forgotten += number
            if number < _FORGOTTEN:
                return forgotten


def _demand_active(caller: Caller, endpoint: WebhookEndpoint) -> None:
    if not endpoint.test:
        demand_live(caller)
    if not endpoint.active:
        raise Conflict("The endpoint is not active.", code="endpoint_not_active")
