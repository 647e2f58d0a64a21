"""What endpoints are told is what the surfaces show: the shapes are written twice, and held together here."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from messaging.api.campaignos import vocabulary
from messaging.api.campaignos.serializers import contacts as campaignos_contacts
from messaging.api.campaignos.serializers import messages as campaignos_messages
from messaging.api.common.rendering import encode
from messaging.api.v1.serializers import messages as v1_messages
from messaging.api.v1.serializers import people as v1_people
from messaging.content import templates
from messaging.dispatch import control, selectors
from messaging.models import Contact, Message, Workspace
from messaging.people import contacts
from messaging.state import Cause, Standing, Status
from messaging.webhooks import campaignos, documents, feeding
from tests.factories import accept_message, make_template, make_workspace


def plain(value: Any) -> Any:
    return json.loads(encode(value))


def encoded(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


@pytest.fixture
def full(db: None) -> Message:
    """A message with everything in it."""
    workspace = make_workspace()
    make_template(workspace, "welcome")
    person = contacts.create(workspace_id=workspace.id, fields={"email": "ann@example.com", "name": "Ann Lee"})
    key = accept_message(
        workspace, "ann@example.com", template="welcome", subject="", text="", name="Ann", metadata={"a": 1}
    )
    now = timezone.now()
    stamps = {status.stamp: now for status in Status if status.stamp}
    Message.objects.filter(pk=key).update(
        status="FAILED",
        error_code="refused",
        error_detail="no",
        contact_id=person.id,
        provider="smtp",
        provider_message_id="7",
        scheduled_at=now,
        expires_at=now,
        next_attempt_at=now,
        **stamps,
    )
    return selectors.message(workspace_id=workspace.id, message_id=key)


@pytest.fixture
def bare(db: None) -> Message:
    workspace = make_workspace()
    return selectors.message(workspace_id=workspace.id, message_id=accept_message(workspace))


@pytest.fixture
def held(bare: Message) -> Message:
    """A message of a campaign that is paused."""
    control.hold_many(ids=[bare.id], cause=Cause.OPERATOR)
    return selectors.message(workspace_id=bare.workspace_id, message_id=bare.id)


@pytest.fixture
def person(db: None) -> Contact:
    workspace: Workspace = make_workspace()
    fields = {"email": "ann@example.com", "name": "Ann Lee", "tags": ["new"], "attributes": {"a": 1}, "locale": "en"}
    return contacts.create(workspace_id=workspace.id, fields=fields)


@pytest.mark.parametrize("which", ["full", "bare", "held"])
def test_a_message_is_told_as_the_canonical_api_shows_it(request: pytest.FixtureRequest, which: str) -> None:
    row: Message = request.getfixturevalue(which)
    origin = templates.origins([row]).get(row.content_id)
    assert (origin is not None) is (which == "full")
    assert encoded(documents.message(row, origin)) == plain(v1_messages.message(row, origin))


def test_an_event_is_told_as_the_canonical_api_shows_it(bare: Message) -> None:
    (event,) = selectors.events(workspace_id=bare.workspace_id, message_id=bare.id)
    assert encoded(documents.told(event)) == plain(v1_messages.event(event))


def test_a_contact_is_told_as_the_canonical_api_shows_it(person: Contact) -> None:
    assert encoded(documents.contact(person)) == plain(v1_people.contact(person))


@pytest.mark.parametrize("which", ["full", "bare"])
def test_a_message_is_told_as_campaignos_shows_it(request: pytest.FixtureRequest, which: str) -> None:
    row: Message = request.getfixturevalue(which)
    assert encoded(campaignos.message(row)) == plain(campaignos_messages.row(row))


def test_a_contact_is_told_as_campaignos_names_it(person: Contact) -> None:
    assert encoded(campaignos.contact(person)) == plain(campaignos_contacts.reference(person))


def test_every_status_and_channel_has_the_word_that_campaignos_has() -> None:
    for status in Status:
        assert campaignos._STATUS.get(status, status.value) == vocabulary.STATUS_OUT[Standing(status.value)]
    left_out = {channel for channel, word in vocabulary.CHANNEL_OUT.items() if word is None}
    assert all(f"'{channel.value}'" in feeding._FEED for channel in left_out)
    for channel in vocabulary.CHANNELS:
        assert vocabulary.CHANNEL_OUT[channel] == channel.value.upper()
        assert f"'{channel.value}'" not in feeding._FEED
