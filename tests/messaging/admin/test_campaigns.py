"""Operators see campaigns with their counts and audience, and start and cancel them."""

from __future__ import annotations

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from messaging.campaigns import runs
from messaging.models import Message, MessageEvent
from tests.factories import make_user, make_workspace
from tests.messaging.campaigns.plans import make_campaign, named
from tests.messaging.people.rows import make_contact

CAMPAIGNS = "admin:messaging_campaign_changelist"


def act(client: Client, action: str, *keys: object) -> list[str]:
    """Do it to these campaigns; give what the page says then."""
    body = {"action": action, "_selected_action": [str(key) for key in keys]}
    answer = client.post(reverse(CAMPAIGNS), body, follow=True)
    return [str(each) for each in answer.context["messages"]]


def test_a_campaign_is_shown_with_counts_and_audience(operator: Client) -> None:
    workspace = make_workspace()
    contact, mute = make_contact(workspace), make_contact(workspace, email="", external_id="mute")
    row = runs.start(**named(make_campaign(workspace, name="<b>Spring</b>")))
    page = operator.get(reverse("admin:messaging_campaign_change", args=[row.pk])).content.decode()
    for shown in ("&lt;b&gt;Spring", "welcome", "&quot;QUEUED&quot;: 1", "contact_unreachable", "Running"):
        assert shown in page, shown
    assert "<b>Spring" not in page
    query = {"campaign__id__exact": str(row.pk)}
    people = operator.get(reverse("admin:messaging_audience_changelist"), query).content.decode()
    assert str(contact.pk) in people
    assert str(mute.pk) in people
    listed = operator.get(reverse("admin:messaging_message_changelist"), query).content.decode()
    assert str(Message.objects.get().pk) in listed
    assert operator.post(reverse("admin:messaging_campaign_change", args=[row.pk]), {}).status_code == 403
    assert operator.get(reverse("admin:messaging_campaign_add")).status_code == 403


def test_campaigns_are_found_by_id_and_name(operator: Client) -> None:
    workspace = make_workspace()
    row, other = make_campaign(workspace, name="Spring"), make_campaign(workspace, name="Autumn")
    for term in ("spr", str(row.pk)):
        text = operator.get(reverse(CAMPAIGNS), {"q": term}).content.decode()
        assert str(row.pk) in text
        assert str(other.pk) not in text


def test_campaigns_are_started_and_cancelled_once(operator: Client) -> None:
    workspace = make_workspace()
    make_contact(workspace)
    row = make_campaign(workspace)
    assert act(operator, "start", row.pk) == ["Spring: started."]
    assert act(operator, "start", row.pk) == ["Spring: A campaign that is running cannot be started."]
    assert act(operator, "cancel", row.pk) == ["Spring: cancelled."]
    assert act(operator, "cancel", row.pk) == ["Spring: A campaign that is cancelled cannot be cancelled."]
    assert MessageEvent.objects.get(type="cancelled").cause == "operator"
    assert [entry.change_message for entry in LogEntry.objects.order_by("id")] == ["started", "cancelled"]


def test_who_may_only_look_starts_nothing(db: None) -> None:
    viewer, client = make_user(is_staff=True), Client()
    viewer.user_permissions.add(Permission.objects.get(codename="view_campaign"))
    client.force_login(viewer)
    row = make_campaign(make_workspace())
    assert client.get(reverse(CAMPAIGNS)).status_code == 200
    act(client, "start", row.pk)
    row.refresh_from_db()
    assert row.status == "draft"
