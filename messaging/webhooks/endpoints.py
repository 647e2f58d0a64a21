"""The endpoints of a workspace: URLs that are told of its events, each with secrets of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from channels_app.addresses import normalise
from channels_app.egress import Egress
from channels_app.errors import InvalidAddress, UrlRefused
from channels_app.types import Channel
from messaging.content import signatures
from messaging.errors import Conflict, Invalid, NotFound
from messaging.models import WebhookEndpoint
from messaging.models.keys import uuid7
from messaging.people.lines import line
from messaging.tenancy.access import Caller, demand, demand_live
from messaging.webhooks.types import MESSAGES, TYPES

MOST: Final = 50
"""Endpoints of a workspace."""
DESCRIPTION_LENGTH: Final = 500
OVERLAP_HOURS: Final = 24
"""How long the secret before signs too, where nothing else is said."""
LONGEST_OVERLAP: Final = 7 * 24

Format = WebhookEndpoint.Format


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSecret:
    """An endpoint whose secret was just made, with the only copy of its text."""

    row: WebhookEndpoint
    secret: str = field(repr=False)


def endpoints_of(*, workspace_id: UUID) -> QuerySet[WebhookEndpoint]:
    """A workspace's endpoints, those that are not active included."""
    return WebhookEndpoint.objects.filter(workspace_id=workspace_id)


def get(*, workspace_id: UUID, endpoint_id: UUID, format: Format | None = None) -> WebhookEndpoint:
    """Give one endpoint, where a format is named only one of that.

    Raises:
        NotFound: the workspace has none of that id.
    """
    rows = endpoints_of(workspace_id=workspace_id).filter(pk=endpoint_id)
    found = (rows if format is None else rows.filter(format=format)).first()
    if found is None:
        raise NotFound("There is no such webhook endpoint.", code="webhook_endpoint_not_found")
    return found


def create(
    *,
    caller: Caller,
    url: str,
    description: str = "",
    types: Sequence[str] = (),
    test: bool = False,
    format: Format = Format.DISPATCH,
) -> NewSecret:
    """Tell a URL of what happens from now on. No types are all of them.

    Raises:
        Invalid: the URL may not be posted to, or a value is malformed.
        Forbidden: a test key asks for more than messages in test mode, or the caller may not see what is told.
        Conflict: the workspace has as many endpoints as it may have.
    """
    if not test:
        demand_live(caller)
    row = WebhookEndpoint(
        id=uuid7(),
        workspace_id=caller.workspace_id,
        url=checked_url(url),
        description=_description(description),
        types=checked_types(types),
        test=test,
        format=format,
    )
    _demand_sight(caller, row)
    secret = signatures.new_secret()
    row.secret = signatures.kept(secret, workspace_id=row.workspace_id, endpoint_id=row.id)
    with transaction.atomic():
        # Two creations at once must not both find the last free place.
        _hold(row.workspace_id)
        if endpoints_of(workspace_id=row.workspace_id).count() >= MOST:
            raise Conflict(f"A workspace has at most {MOST} webhook endpoints.", code="too_many_endpoints")
        row.since = _snapshot()
        row.save(force_insert=True)
    return NewSecret(row=_fresh(row), secret=secret)


def update(
    *, caller: Caller, endpoint_id: UUID, changes: dict[str, Any], format: Format | None = None
) -> WebhookEndpoint:
    """Change the fields that are given: url, description, types, active. One that becomes active again is told of
    what happens from then on, and gets what was still on its way to it.

    Raises:
        NotFound: the workspace has no such endpoint.
        Invalid: the URL may not be posted to, or a value is malformed.
        Forbidden: a test key asks to change an endpoint that hears of real messages, or the caller may not see what
            is told.
    """
    with transaction.atomic():
        row = _within_reach(caller, endpoint_id, format)
        if "url" in changes:
            row.url = checked_url(changes["url"])
        if "description" in changes:
            row.description = _description(changes["description"] or "")
        if "types" in changes:
            row.types = checked_types(changes["types"] or ())
        if "active" in changes and changes["active"] is not row.active:
            row.active = changes["active"]
            if row.active:
                _begin_again(row)
        _demand_sight(caller, row)
        row.updated_at = Now()
        row.save()
    return _fresh(row)


def delete(*, caller: Caller, endpoint_id: UUID, format: Format | None = None) -> None:
    """Forget an endpoint with all that was sent or still was to be sent to it.

    Raises:
        NotFound: the workspace has no such endpoint.
        Forbidden: a test key asks to delete an endpoint that hears of real messages.
    """
    with transaction.atomic():
        _within_reach(caller, endpoint_id, format).delete()


def rotate(
    *, caller: Caller, endpoint_id: UUID, overlap_hours: int = OVERLAP_HOURS, format: Format | None = None
) -> NewSecret:
    """Give an endpoint a new secret; the one before signs beside it for some hours, and the one before that ends.

    Raises:
        NotFound: the workspace has no such endpoint.
        Invalid: the overlap is out of range.
        Forbidden: a test key asks to change an endpoint that hears of real messages.
    """
    if not 0 <= overlap_hours <= LONGEST_OVERLAP:
        detail = f"The secrets overlap for 0 to {LONGEST_OVERLAP} hours."
        raise Invalid.at("/overlap_hours", "out_of_range", detail)
    secret = signatures.new_secret()
    with transaction.atomic():
        row = _within_reach(caller, endpoint_id, format)
        _demand_sight(caller, row)
        row.previous_secret = row.secret if overlap_hours else None
        row.previous_until = Now() + timedelta(hours=overlap_hours) if overlap_hours else None
        row.secret = signatures.kept(secret, workspace_id=row.workspace_id, endpoint_id=row.id)
        row.updated_at = Now()
        row.save()
    return NewSecret(row=_fresh(row), secret=secret)


def enable(ids: Collection[UUID]) -> int:
    """Tell endpoints again, for operators of the whole platform; give how many were not active."""
    enabled = 0
    for key in ids:
        with transaction.atomic():
            row = WebhookEndpoint.objects.select_for_update().filter(pk=key, active=False).first()
            if row is not None:
                row.active = True
                _begin_again(row)
                row.save()
                enabled += 1
    return enabled


def checked_url(url: str) -> str:
    """Give the URL that may be posted to; where its name leads is judged at every connection.

    Raises:
        Invalid: it is malformed, or leads where no request may go.
    """
    try:
        spelled = normalise(Channel.WEBHOOK, url)
        Egress.from_words(settings.EGRESS_ALLOW).inspect(spelled)
    except InvalidAddress as error:
        raise Invalid.at("/url", "invalid_url", str(error)) from error
    except UrlRefused as error:
        raise Invalid.at("/url", error.code, str(error)) from error
    if not spelled.isascii():
        detail = "A URL is written in ASCII: a name in punycode, the rest in percent escapes."
        raise Invalid.at("/url", "invalid_url", detail)
    return spelled


def checked_types(types: Sequence[str]) -> list[str]:
    """Give the types once each.

    Raises:
        Invalid: there is no such type.
    """
    for place, word in enumerate(types):
        if word not in TYPES:
            raise Invalid.at(f"/types/{place}", "invalid_choice", f"A type is one of {', '.join(TYPES)}.")
    return list(dict.fromkeys(types))


def _description(text: str) -> str:
    return line(text, pointer="/description", longest=DESCRIPTION_LENGTH)


def _within_reach(caller: Caller, endpoint_id: UUID, format: Format | None) -> WebhookEndpoint:
    found = get(workspace_id=caller.workspace_id, endpoint_id=endpoint_id, format=format)
    if not found.test:
        demand_live(caller)
    locked = endpoints_of(workspace_id=caller.workspace_id).select_for_update().filter(pk=found.id).first()
    if locked is None:
        raise NotFound("There is no such webhook endpoint.", code="webhook_endpoint_not_found")
    return locked


def _demand_sight(caller: Caller, row: WebhookEndpoint) -> None:
    """Let nobody be told by an endpoint what they may not see, nor tell by its secret what they may not write."""
    wanted = row.types or TYPES
    needed = {"messages:read" if word in MESSAGES else "contacts:read" for word in wanted}
    if row.format == Format.CAMPAIGNOS:
        needed.add("contacts:write")
    for scope in sorted(needed):
        demand(caller, scope)


def _begin_again(row: WebhookEndpoint) -> None:
    row.since = _snapshot()
    row.failures, row.failing_since, row.disabled_at, row.disabled_because = 0, None, None, ""


def _snapshot() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_snapshot()::text")
        return str(cursor.fetchone()[0])


def _hold(workspace_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"webhook endpoints {workspace_id}"])


def _fresh(row: WebhookEndpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=row.pk)
