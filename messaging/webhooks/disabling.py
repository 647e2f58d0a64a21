"""Ends the telling of endpoints that are gone, or that failed for days on end, and lets their people know."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

import structlog
from django.db import DatabaseError, connection

from channels_app.types import Channel
from messaging.dispatch import intake
from messaging.errors import DispatchError
from messaging.models import Member, Role, WebhookEndpoint

log = structlog.get_logger(__name__)

DAYS: Final = 5
"""Days of failures only after which an endpoint is told no more."""
FAILURES: Final = 5
"""How many tries must have failed in that time: one bad answer and a quiet week are no reason."""

Ended = WebhookEndpoint.Ended

_FAILED = """
UPDATE messaging_webhookendpoint e
   SET failures = e.failures + v.number, failing_since = COALESCE(e.failing_since, now())
  FROM (SELECT * FROM unnest(%s::uuid[], %s::int[]) AS given(id, number) ORDER BY id) v WHERE e.id = v.id
"""
_END = """
UPDATE messaging_webhookendpoint SET active = false, disabled_at = now(), disabled_because = %(why)s
 WHERE id = ANY(%(ids)s) AND active
"""
_END_GONE = f"{_END} RETURNING id"
_END_FAILING = f"""{_END} AND failures >= %(failures)s AND failing_since < now() - %(days)s * interval '1 day'
RETURNING id
"""

_WHY: Final = {
    Ended.GONE: "it answered 410 (gone)",
    Ended.FAILING: f"every try failed for {DAYS} days",
}


def worked(ids: Collection[UUID]) -> None:
    """Note that endpoints took what they were sent: whatever failed before counts no more."""
    if ids:
        rows = WebhookEndpoint.objects.filter(pk__in=list(ids), failing_since__isnull=False)
        rows.update(failures=0, failing_since=None)


def failed(numbers: dict[UUID, int], *, gone: Collection[UUID] = ()) -> list[UUID]:
    """Note how many tries failed at each endpoint; give those that are told no more by that."""
    if not numbers:
        return []
    ended: dict[UUID, Ended] = {}
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [list(numbers), list(numbers.values())])
        if gone:
            cursor.execute(_END_GONE, {"ids": sorted(gone), "why": Ended.GONE.value})
            ended |= {row[0]: Ended.GONE for row in cursor.fetchall()}
        cursor.execute(
            _END_FAILING,
            {"ids": sorted(numbers), "why": Ended.FAILING.value, "failures": FAILURES, "days": DAYS},
        )
        ended |= {row[0]: Ended.FAILING for row in cursor.fetchall()}
    for key, why in ended.items():
        _let_know(key, why)
    return list(ended)


def _let_know(endpoint_id: UUID, why: Ended) -> None:
    """Leave a message on site for everybody who may do something about it. Nothing hangs on whether it can be left."""
    endpoint = WebhookEndpoint.objects.select_related("workspace").filter(pk=endpoint_id).first()
    if endpoint is None:
        return
    log.warning(
        "webhook_endpoint_disabled", endpoint_id=str(endpoint_id), workspace_id=str(endpoint.workspace_id), why=str(why)
    )
    people = Member.objects.filter(workspace_id=endpoint.workspace_id, role__in=[Role.ADMIN, Role.OWNER])
    avatars = list(people.filter(user__is_active=True).order_by("id").values_list("user__avatar_id", flat=True))
    if not avatars:
        return
    draft = intake.Draft(
        channel=Channel.ONSITE,
        subject="A webhook endpoint was disabled",
        text=f"The endpoint {_plain(endpoint)} gets no more events: {_WHY[why]}. "
        f"What is on its way to it waits. Make it active again once it works (id {endpoint.id}).",
        action_type="webhook_endpoint_disabled",
    )
    try:
        intake.accept(
            workspace_id=endpoint.workspace_id,
            author_id=None,
            test=endpoint.test,
            draft=draft,
            recipients=[intake.Recipient(to=str(avatar)) for avatar in avatars],
            batch=True,
        )
    except (DispatchError, DatabaseError) as error:
        log.warning("notice_not_left", endpoint_id=str(endpoint_id), error=type(error).__name__)


def _plain(endpoint: WebhookEndpoint) -> str:
    """The endpoint's URL as a text of a template's language: nothing in it is a place to fill in."""
    address = endpoint.url.partition("?")[0].replace("{", "%7B").replace("}", "%7D")
    return address[:200]
