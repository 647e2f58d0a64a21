"""What messages take along: the devices of a push message, read for a claim at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels_app.types import Accepted, Channel, OutboundMessage, Permanent
from messaging.content import signatures
from messaging.dispatch import delivery
from messaging.dispatch.queue import Lane
from messaging.models import Contact, PushSubscription, WebhookEndpoint, Workspace
from messaging.models.keys import uuid7
from tests.factories import accept_batch, accept_message, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend
from tests.messaging.webhooks.telling import listen

pytestmark = pytest.mark.usefixtures("transactional_db")

PUSH = Lane.named("push.urgent")


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def make_contact(workspace: Workspace, devices: int) -> tuple[Contact, list[PushSubscription]]:
    contact = Contact.objects.create(id=uuid7(), workspace=workspace)
    return contact, [
        PushSubscription.objects.create(
            workspace=workspace,
            contact=contact,
            endpoint=f"https://push.example/{uuid7().hex}",
            p256dh="key",
            auth=f"secret{number}",
        )
        for number in range(devices)
    ]


class Post:
    """A provider that keeps what it is given, and says which devices are gone."""

    def __init__(self, gone: str = "") -> None:
        self.given: list[OutboundMessage] = []
        self.gone = gone

    def __call__(self, batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            self.given.append(outbound)
            gone = tuple(device.id for device in outbound.devices if device.endpoint == self.gone)
            if gone and len(gone) == len(outbound.devices):
                yield outbound.id, Permanent(code="subscription_gone", gone=gone)
            else:
                yield outbound.id, Accepted(gone=gone)


def send(workspace: Workspace, to: str, **fields: Any) -> None:
    accept_message(workspace, to, channel=Channel.PUSH, priority=PUSH.priority, **fields)
    delivery.deliver(PUSH)


def test_a_contact_is_reached_on_every_device_that_still_takes_messages(workspace: Workspace, install: Install) -> None:
    post = Post()
    install(post, channel=Channel.PUSH)
    contact, devices = make_contact(workspace, 3)
    PushSubscription.objects.filter(pk=devices[1].pk).update(active=False)
    send(workspace, str(contact.id), data={"order": 7})
    (given,) = post.given
    assert [(each.id, each.endpoint, each.auth) for each in given.devices] == [
        (devices[0].id, devices[0].endpoint, "secret0"),
        (devices[2].id, devices[2].endpoint, "secret2"),
    ]
    assert (given.priority, given.expires_at, dict(given.data)) == ("urgent", None, {"order": 7})


@pytest.mark.parametrize("named", ["id", "endpoint"])
def test_one_device_is_reached_by_its_id_or_its_endpoint(workspace: Workspace, install: Install, named: str) -> None:
    post = Post()
    install(post, channel=Channel.PUSH)
    _, devices = make_contact(workspace, 2)
    send(workspace, str(getattr(devices[1], named)))
    assert [each.id for each in post.given[0].devices] == [devices[1].id]


def test_devices_that_are_gone_get_nothing_more(workspace: Workspace, install: Install) -> None:
    contact, devices = make_contact(workspace, 2)
    post = Post(gone=devices[0].endpoint)
    install(post, channel=Channel.PUSH)
    send(workspace, str(contact.id))
    assert list(PushSubscription.objects.filter(active=True)) == [devices[1]]
    send(workspace, str(contact.id))
    assert [len(each.devices) for each in post.given] == [2, 1]


def test_the_devices_of_a_whole_claim_are_read_at_once(workspace: Workspace, install: Install) -> None:
    install(Post(), channel=Channel.PUSH)
    contacts = [make_contact(workspace, 2)[0] for _ in range(20)]
    accept_batch(workspace, [str(contact.id) for contact in contacts], channel=Channel.PUSH, priority=PUSH.priority)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert delivery.deliver(PUSH) == 20
    assert sum("pushsubscription" in query["sql"] for query in queries) == 1


def test_a_webhook_takes_the_secrets_of_its_endpoint_or_else_the_workspaces_own(
    workspace: Workspace, install: Install, settings: Any
) -> None:
    settings.WEBHOOK_SECRETS = ["whsec_" + "a" * 32]
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    made = listen(workspace, "http://127.0.0.1:8080/known")
    post = Post()
    install(post, channel=Channel.WEBHOOK)
    known = accept_message(workspace, made.row.url, channel=Channel.WEBHOOK, subject="")
    other = accept_message(workspace, "http://127.0.0.1:8080/other", channel=Channel.WEBHOOK, subject="")
    delivery.deliver(Lane.named("webhook.normal"))
    told = {outbound.id: outbound.credentials for outbound in post.given}
    (own,) = signatures.workspace_secrets(workspace.id)
    assert told == {known: {"secrets": made.secret}, other: {"secrets": own}}


def test_a_webhook_whose_secret_does_not_open_does_not_go_out(
    workspace: Workspace, install: Install, settings: Any
) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    made = listen(workspace, "http://127.0.0.1:8080/known")
    WebhookEndpoint.objects.filter(pk=made.row.pk).update(secret=b"\x01" + b"x" * 60)
    post = Post()
    install(post, channel=Channel.WEBHOOK)
    key = accept_message(workspace, made.row.url, channel=Channel.WEBHOOK, subject="")
    delivery.deliver(Lane.named("webhook.normal"))
    assert post.given == []
    assert (message(key).status, message(key).error_code) == ("FAILED", "encryption_failed")
