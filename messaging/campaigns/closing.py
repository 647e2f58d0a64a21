"""Closes a workspace, once nothing of it can go out any more."""

from __future__ import annotations

from django.db import transaction

from messaging.campaigns.plans import ENDED
from messaging.errors import Conflict
from messaging.models import Campaign, CampaignStatus, Message
from messaging.state import WAITING
from messaging.tenancy import workspaces
from messaging.tenancy.access import Caller


def close(*, caller: Caller) -> None:
    """End every way into the caller's workspace.

    Raises:
        Forbidden: the caller is not an owner, lacks the scope `admin`, or uses a test key.
        Conflict: a message waits to be sent, or a campaign has not ended.
    """
    with transaction.atomic():
        workspaces.leave_to_nobody(caller=caller)
        campaigns = Campaign.objects.filter(workspace_id=caller.workspace_id)
        if campaigns.exclude(status__in={CampaignStatus.DRAFT, *ENDED}).exists():
            raise Conflict("A campaign has not ended; cancel it first.", code="campaign_active")
        if Message.objects.filter(workspace_id=caller.workspace_id, status__in=WAITING).exists():
            raise Conflict("Messages wait to be sent; cancel them or let them go out.", code="messages_waiting")
