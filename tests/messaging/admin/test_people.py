"""Operators see contacts with what they said and got, and lift suppressions under their own name."""

from __future__ import annotations

from uuid import UUID

from django.test import Client
from django.urls import reverse

from messaging.models import ContactAlias, ContactEvent, Suppression, User
from messaging.models.keys import uuid7
from tests.factories import make_user, make_workspace
from tests.messaging.people.rows import accept_to, make_contact, say, suppress

CONTACTS, SUPPRESSIONS = "admin:messaging_contact_changelist", "admin:messaging_suppression_changelist"
EVENTS = "admin:messaging_contactevent_changelist"


def test_a_contact_is_shown_with_consents_subscriptions_and_messages(operator: Client) -> None:
    workspace = make_workspace()
    contact = make_contact(workspace, name="<b>Ann</b>", attributes={"plan": "gold"}, tags=["vip"])
    alias = ContactAlias.objects.create(id=uuid7(), workspace=workspace, contact=contact)
    say(contact, "news", "opted_out", message_id=uuid7())
    contact.push_subscriptions.create(
        workspace=workspace, endpoint="https://push.example.com/1", p256dh="public-key", auth="secret-auth"
    )
    sent = accept_to(workspace, contact)
    text = operator.get(reverse("admin:messaging_contact_change", args=[contact.pk])).content.decode()
    for shown in (
        "&lt;b&gt;Ann",
        "gold",
        "vip",
        "Opted Out",
        "https://push.example.com/1",
        str(sent.id),
        str(alias.id),
    ):
        assert shown in text, shown
    assert "<b>Ann" not in text
    assert "secret-auth" not in text
    listed = operator.get(reverse("admin:messaging_message_changelist"), {"contact__id__exact": contact.pk})
    assert str(sent.id) in listed.content.decode()
    assert operator.get(reverse("admin:messaging_contact_add")).status_code == 403
    assert operator.post(reverse("admin:messaging_contact_change", args=[contact.pk]), {}).status_code == 403


def test_a_contacts_number_is_shown_with_its_groups_and_with_what_speaks_against_it(operator: Client) -> None:
    contact = make_contact(make_workspace(), phone="+12025550123")
    doubted = make_contact(make_workspace(), phone="+12005550123")

    def page(key: UUID) -> str:
        return operator.get(reverse("admin:messaging_contact_change", args=[key])).content.decode()

    assert "+1 202-555-0123" in page(contact.pk)
    assert "may reach nobody" not in page(contact.pk)
    assert "+1 200-555-0123 (may reach nobody: +1 (US) is not known to give out such a number)" in page(doubted.pk)


def test_contacts_are_searched_by_whole_ids_and_beginnings_of_names(operator: Client) -> None:
    workspace = make_workspace()
    contact = make_contact(workspace, name="Ann Arbor", phone="+12025550123", external_id="crm-1")
    make_contact(workspace, name="Bob", email="bob@example.com")
    for term in ("ann", "ANN@example.com", "+12025550123", "crm-1", str(contact.pk)):
        text = operator.get(reverse(CONTACTS), {"q": term}).content.decode()
        assert str(contact.pk) in text, term
        assert "bob@example.com" not in text, term
    assert "Ann Arbor" not in operator.get(reverse(CONTACTS), {"q": "rbor"}).content.decode()
    assert "Ann Arbor" in operator.get(reverse(CONTACTS)).content.decode()


def test_a_suppression_is_lifted_once_and_under_the_operators_name(operator: Client) -> None:
    workspace = make_workspace()
    row, other = suppress(workspace, message_id=uuid7()), suppress(workspace, address="bob@example.com")
    for expected in ("1 suppression lifted.", "0 suppressions lifted."):
        answer = operator.post(reverse(SUPPRESSIONS), {"action": "lift", "_selected_action": [row.pk]}, follow=True)
        assert [str(each) for each in answer.context["messages"]] == [expected]
    row.refresh_from_db()
    assert row.lifted_at is not None
    assert row.lifted_by == User.objects.get(is_superuser=True)
    assert Suppression.objects.get(pk=other.pk).lifted_at is None
    page = operator.get(reverse("admin:messaging_suppression_change", args=[row.pk])).content.decode()
    assert str(row.message_id) in page
    found = operator.get(reverse(SUPPRESSIONS), {"q": "bob@example.com"}).content.decode()
    assert str(other.pk) in found
    assert str(row.pk) not in found


def test_an_event_is_shown_and_found_by_its_type_and_contact(operator: Client) -> None:
    workspace = make_workspace()
    contact = make_contact(workspace)
    row = ContactEvent.objects.create(
        workspace=workspace, contact=contact, type="consent.opted_out", metadata={"via": "<link>"}
    )
    other = ContactEvent.objects.create(workspace=workspace, type="page_view")
    page = operator.get(reverse("admin:messaging_contactevent_change", args=[row.pk])).content.decode()
    assert "&lt;link&gt;" in page
    assert str(contact.pk) in page
    for term in ("consent.opted_out", str(row.pk), str(contact.pk)):
        found = operator.get(reverse(EVENTS), {"q": term}).content.decode()
        assert str(row.pk) in found, term
        assert str(other.pk) not in found, term
    assert str(other.pk) in operator.get(reverse(EVENTS)).content.decode()
    assert operator.post(reverse("admin:messaging_contactevent_change", args=[row.pk]), {}).status_code == 403
    assert operator.post(reverse("admin:messaging_contactevent_delete", args=[row.pk]), {}).status_code == 403


def test_who_may_only_look_lifts_nothing(db: None) -> None:
    from django.contrib.auth.models import Permission

    viewer, client = make_user(is_staff=True), Client()
    viewer.user_permissions.add(Permission.objects.get(codename="view_suppression"))
    client.force_login(viewer)
    row = suppress(make_workspace())
    assert client.get(reverse(SUPPRESSIONS)).status_code == 200
    client.post(reverse(SUPPRESSIONS), {"action": "lift", "_selected_action": [row.pk]}, follow=True)
    row.refresh_from_db()
    assert row.lifted_at is None
