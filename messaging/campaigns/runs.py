"""Campaigns as they run: started once, paused, resumed, cancelled, and their failures tried again.

Whoever moves a campaign holds its row until the end, so of two who want the same the second finds it done.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from messaging.campaigns import audience, feeder, messages, pace
from messaging.campaigns.plans import CHANGEABLE, ENDED, gaps, get, held
from messaging.dispatch import control
from messaging.errors import DispatchError, Invalid, TransitionRefused
from messaging.models import Campaign, CampaignStatus
from messaging.people.contacts import kept_id
from messaging.state import CANCELLABLE, WAITING, Cause

C = CampaignStatus


def start(*, workspace_id: UUID, campaign_id: UUID, by_test_key: bool = False) -> Campaign:
    """Start a draft: its messages are accepted, all in one transaction, or it is scheduled where its time is to come.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: it goes to real people, and whoever asks has a test key.
        Conflict: it was started before, or it is quiet at this time of the day.
        Invalid: nobody can be written to, or too many would be, or the messages are refused.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        if row.status != C.DRAFT:
            raise TransitionRefused(f"A campaign that is {row.status} cannot be started.", code="campaign_started")
        _demand_whole(row)
        if row.scheduled_at is not None and row.scheduled_at > timezone.now():
            _move(row, C.SCHEDULED)
        elif pace.is_quiet(row):
            raise pace.Held("The campaign is quiet at this time of the day.", code="quiet_hours")
        else:
            launch(row)
    return get(workspace_id=workspace_id, campaign_id=campaign_id)


def launch(row: Campaign) -> None:
    """Accept the messages of a campaign that the caller holds, or the first of them where it has a pace, inside the
    caller's transaction.

    Raises:
        Invalid: see `start`.
    """
    _demand_whole(row)
    row.started_at = _clock()
    row.feed_at = timezone.now() if pace.is_paced(row) else None
    audience.freeze(row)
    _move(row, C.RUNNING)
    feeder.feed(row)


def enrol(
    *, workspace_id: UUID, campaign_id: UUID, contact_id: UUID, by_test_key: bool = False, awaited: bool = False
) -> UUID:
    """Write to one contact as the campaign does, whether it was started or not; give the message's id.

    `awaited` says that a request waits for the outcome.

    Raises:
        NotFound: the workspace has no such campaign, or no such contact.
        Forbidden: it goes to real people, and whoever asks has a test key.
        Conflict: it is paused or cancelled, or has gone to the contact already, or may not write to the contact now.
        Invalid: the campaign lacks something, or the contact cannot be written to.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        _demand(row, set(C) - {C.PAUSED, C.CANCELLED}, "extended")
        _demand_whole(row, of_any_kind=True)
        pace.demand(row, contact_id=kept_id(workspace_id=workspace_id, contact_id=contact_id))
        return audience.enrol(row, contact_id, awaited=awaited)


def pause(*, workspace_id: UUID, campaign_id: UUID, cause: Cause) -> Campaign:
    """Hold back what no worker has begun to send; what a worker has in hand still goes out.

    Raises:
        NotFound: the workspace has no such campaign.
        Conflict: it does not run.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id)
        _demand(row, {C.RUNNING}, "paused")
        _move(row, C.PAUSED)
        hold(row, cause=cause)
    return get(workspace_id=workspace_id, campaign_id=campaign_id)


def resume(*, workspace_id: UUID, campaign_id: UUID, cause: Cause, by_test_key: bool = False) -> Campaign:
    """Let a paused campaign go on.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: it goes to real people, and whoever asks has a test key.
        Conflict: it is not paused.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        _demand(row, {C.PAUSED}, "resumed")
        _move(row, C.RUNNING)
        for ids in messages.chunks(control.held_back(messages.of(row))):
            control.release_many(ids=ids, cause=cause)
    return get(workspace_id=workspace_id, campaign_id=campaign_id)


def cancel(*, workspace_id: UUID, campaign_id: UUID, cause: Cause) -> Campaign:
    """End a campaign for good and cancel what no worker has begun to send.

    Raises:
        NotFound: the workspace has no such campaign.
        Conflict: it has ended.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id)
        _demand(row, {*CHANGEABLE, C.RUNNING, C.PAUSED}, "cancelled")
        audience.waiting([row.id]).update(error_code="cancelled")
        row.feed_at = None
        _move(row, C.CANCELLED)
        cancel_waiting(row, cause=cause)
        settle(row)
    return get(workspace_id=workspace_id, campaign_id=campaign_id)


def retry_failed(
    *, workspace_id: UUID, campaign_id: UUID, cause: Cause, by_test_key: bool = False
) -> tuple[Campaign, int]:
    """Queue the campaign's messages again that failed or bounced; give the campaign and how many they are.

    Where it has a pace, each is queued when its turn comes. Those that were kept from people who must not be written to
    are no failures and stay as they are.

    Raises:
        NotFound: the workspace has no such campaign.
        Forbidden: it goes to real people, and whoever asks has a test key.
        Conflict: it has not started, or is paused or cancelled.
    """
    with transaction.atomic():
        row = held(workspace_id=workspace_id, campaign_id=campaign_id, by_test_key=by_test_key)
        _demand(row, {C.RUNNING, C.COMPLETED, C.PARTLY_FAILED}, "retried")
        row.retry_before = _clock()
        if pace.is_paced(row):
            retried = messages.awaiting_retry(row).count()
        else:
            retried = messages.retry(row, messages.failures(row), cause=cause)
        if retried:
            row.finished_at = None
            if pace.is_paced(row) and row.feed_at is None:
                row.feed_at = timezone.now()
            _move(row, C.RUNNING)
    return get(workspace_id=workspace_id, campaign_id=campaign_id), retried


def hold(row: Campaign, *, cause: Cause) -> None:
    """Hold back what waits of a campaign and may be claimed."""
    for ids in messages.chunks(control.loose(messages.of(row))):
        control.hold_many(ids=ids, cause=cause)


def cancel_waiting(row: Campaign, *, cause: Cause) -> None:
    """Cancel what waits of a campaign and is in no worker's hands."""
    for ids in messages.chunks(messages.of(row).filter(status__in=CANCELLABLE)):
        control.cancel_many(workspace_id=row.workspace_id, ids=ids, cause=cause)


def settle(row: Campaign) -> bool:
    """End a campaign that the caller holds once nobody of its audience and none of its messages waits; tell whether it
    has ended."""
    if row.feed_at is not None:
        return False
    if messages.of(row).filter(status__in=WAITING).order_by("-id").values_list("id", flat=True).first() is not None:
        return False
    row.finished_at = timezone.now()
    if row.status == C.CANCELLED:
        _move(row, C.CANCELLED)
    else:
        _move(row, C.PARTLY_FAILED if messages.failures(row).exists() else C.COMPLETED)
    return True


def _demand(row: Campaign, states: set[CampaignStatus], deed: str) -> None:
    if row.status not in states:
        code = "campaign_ended" if row.status in ENDED else "campaign_refused"
        raise TransitionRefused(f"A campaign that is {row.status} cannot be {deed}.", code=code)


def _demand_whole(row: Campaign, *, of_any_kind: bool = False) -> None:
    lacking = [each for each in gaps(row) if not (of_any_kind and each.pointer == "/kind")]
    if lacking:
        raise Invalid(lacking[0].detail, code=lacking[0].code, errors=lacking)


def _clock() -> datetime:
    """The database's time: it stamps the versions of templates, of which the newest at the start is sent."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def send_back(row: Campaign, error: DispatchError) -> None:
    """Make a campaign that could not start when it should have a draft again, which says why."""
    row.started_at = row.feed_at = None
    _move(row, C.DRAFT, code=error.code, detail=error.detail)


def halt(row: Campaign, error: DispatchError) -> None:
    """Pause a campaign that cannot go on; it says why."""
    _move(row, C.PAUSED, code=error.code, detail=error.detail)
    hold(row, cause=Cause.SWEEPER)


def _move(campaign: Campaign, status: CampaignStatus, *, code: str = "", detail: str = "") -> None:
    campaign.status = status.value
    campaign.error_code, campaign.error_detail = code, detail
    campaign.updated_at = timezone.now()
    times = ("started_at", "feed_at", "retry_before", "finished_at", "updated_at")
    campaign.save(update_fields=("status", *times, "error_code", "error_detail"))
