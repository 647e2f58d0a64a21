"""Telling endpoints of messages: what they get, how it is signed, and what follows from their answers."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.utils import timezone

from messaging.content import encryption, signatures
from messaging.errors import Conflict
from messaging.models import Member, Message, WebhookDelivery, WebhookEndpoint, Workspace
from messaging.models.keys import uuid7
from messaging.state import Status
from messaging.webhooks import backoff, deliveries, disabling, endpoints, feeding, sending
from messaging.webhooks.deliveries import Lane
from tests.analytics.truth import closing
from tests.factories import accept_message, make_member, make_workspace
from tests.messaging.webhooks import telling
from tests.messaging.webhooks.telling import caller_of, end, hurry, listen, only, signature_by, tell, types
from tests.peers.http import Asked, Peer, Reply, running

# What they get


def test_an_endpoint_is_told_of_every_event_with_the_message(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url("/told?as=this"))
    key = accept_message(workspace, metadata={"order": 7})
    end(key)
    assert tell() == 2
    assert sorted(types(peer.requests)) == ["message.cancelled", "message.queued"]
    asked = next(each for each in peer.requests if b"message.queued" in each.body)
    assert (asked.method, asked.target, asked.header("content-type")) == ("POST", "/told?as=this", "application/json")
    told = json.loads(asked.body)
    event = told["data"]["event"]
    assert asked.header("webhook-id") == event["id"]
    assert told["timestamp"] == event["at"]
    assert (event["type"], event["status"], event["cause"]) == ("queued", "QUEUED", "api")
    assert told["data"]["message"]["id"] == str(key)
    assert told["data"]["message"]["metadata"] == {"order": 7}
    assert told["data"]["message"]["status"] == "CANCELLED"
    found = telling.deliveries(made.row)
    assert {each.state for each in found} == {"delivered"}
    assert {(each.attempts, each.last_status, each.last_detail) for each in found} == {(1, 200, "taken")}
    assert all(each.tries[0]["status"] == 200 and each.finished_at for each in found)


def test_an_endpoint_hears_only_what_it_asked_for(workspace: Workspace, peer: Peer) -> None:
    listen(workspace, peer.url(), types=["message.cancelled"])
    end(accept_message(workspace))
    tell()
    assert types(peer.requests) == ["message.cancelled"]


def test_a_failure_after_the_message_went_out_is_told(workspace: Workspace, peer: Peer) -> None:
    listen(workspace, peer.url(), types=["message.failed"])
    key = accept_message(workspace)
    Message.objects.filter(pk=key).update(status="SENT", sent_at=timezone.now())
    end(key, Status.FAILED)
    tell()
    assert types(peer.requests) == ["message.failed"]


def test_an_endpoint_hears_nothing_of_other_workspaces_nor_of_before(workspace: Workspace, peer: Peer) -> None:
    accept_message(workspace)
    listen(workspace, peer.url())
    accept_message(make_workspace("Other"))
    assert tell() == 0
    accept_message(workspace)
    assert tell() == 1


def test_messages_in_test_mode_are_told_to_endpoints_of_test_mode_alone(workspace: Workspace, peer: Peer) -> None:
    listen(workspace, peer.url("/live"))
    listen(workspace, peer.url("/test"), test=True)
    accept_message(workspace)
    accept_message(workspace, test=True)
    tell()
    told = {each.path: json.loads(each.body)["data"]["message"]["test"] for each in peer.requests}
    assert told == {"/live": False, "/test": True}
    assert len(peer.requests) == 2


def test_two_endpoints_are_told_of_the_same_event_by_the_same_id(workspace: Workspace, peer: Peer) -> None:
    listen(workspace, peer.url("/one"))
    listen(workspace, peer.url("/two"))
    accept_message(workspace)
    assert tell() == 2
    assert len({each.header("webhook-id") for each in peer.requests}) == 1


def test_what_is_encrypted_at_rest_is_told_in_the_clear(workspace: Workspace, peer: Peer, settings) -> None:
    settings.DISPATCH_KEYS = {"a": AESGCM.generate_key(256)}
    encryption.forget()
    made = listen(workspace, peer.url())
    assert made.secret.encode() not in bytes(WebhookEndpoint.objects.get(pk=made.row.pk).secret)
    accept_message(workspace, subject="Secret plans", encrypted=True)
    tell()
    (asked,) = peer.requests
    assert json.loads(asked.body)["data"]["message"]["subject"] == "Secret plans"
    assert telling.signatures(asked) == [signature_by(asked, made.secret)]
    encryption.forget()


# Signatures


def test_a_webhook_is_signed_as_the_specification_says(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url())
    accept_message(workspace)
    tell()
    (asked,) = peer.requests
    assert telling.signatures(asked) == [signature_by(asked, made.secret)]
    assert abs(time.time() - int(asked.header("webhook-timestamp"))) < 60


def test_both_secrets_sign_while_one_replaces_the_other(workspace: Workspace, peer: Peer) -> None:
    first = listen(workspace, peer.url())
    caller = caller_of(workspace)
    second = endpoints.rotate(caller=caller, endpoint_id=first.row.id)
    accept_message(workspace)
    tell()
    (asked,) = peer.requests
    assert telling.signatures(asked) == [signature_by(asked, second.secret), signature_by(asked, first.secret)]
    third = endpoints.rotate(caller=caller, endpoint_id=first.row.id, overlap_hours=0)
    accept_message(workspace)
    tell()
    latest = peer.requests[-1]
    assert telling.signatures(latest) == [signature_by(latest, third.secret)]


def test_the_secret_before_ends_with_its_time(workspace: Workspace, peer: Peer) -> None:
    first = listen(workspace, peer.url())
    second = endpoints.rotate(caller=caller_of(workspace), endpoint_id=first.row.id, overlap_hours=1)
    later = timezone.now() + timedelta(hours=2)
    assert signatures.secrets_of(second.row) == (second.secret, first.secret)
    assert signatures.secrets_of(second.row, now=later) == (second.secret,)


def test_messages_to_an_endpoints_url_are_signed_by_it_and_others_by_the_workspace(
    workspace: Workspace, peer: Peer, settings
) -> None:
    raw = "whsec_" + base64.b64encode(b"k" * 32).decode()
    made, elsewhere = listen(workspace, peer.url()), peer.url("/else")
    assert signatures.credentials_for(workspace.id, [elsewhere]) == {}
    settings.WEBHOOK_SECRETS = [raw]
    found = signatures.credentials_for(workspace.id, [made.row.url, elsewhere])
    assert found[made.row.url] == {"secrets": made.secret}
    own = found[elsewhere]["secrets"]
    assert own == " ".join(signatures.workspace_secrets(workspace.id))
    assert raw not in own
    other = signatures.credentials_for(make_workspace("Other").id, [made.row.url])
    assert other[made.row.url]["secrets"] not in (own, made.secret)


# Answers


def test_a_failure_is_tried_again_with_the_same_id(workspace: Workspace) -> None:
    answers = iter([Reply(status=500, body=b"not now"), Reply(status=404), Reply()])
    with running(lambda asked: next(answers)) as peer:
        made = listen(workspace, peer.url())
        accept_message(workspace)
        assert tell() == 1
        waiting = only(made.row)
        assert (waiting.state, waiting.attempts, waiting.last_status) == ("pending", 1, 500)
        assert waiting.last_detail == "not now"
        assert waiting.next_attempt_at > timezone.now() + timedelta(seconds=2)
        assert tell() == 0
        for _ in range(2):
            hurry(made.row)
            assert tell() == 1
        done = only(made.row)
        assert (done.state, done.attempts) == ("delivered", 3)
        assert [each["status"] for each in done.tries] == [500, 404, 200]
        assert len({each.header("webhook-id") for each in peer.requests}) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_is_asked_no_sooner_than_it_wishes(workspace: Workspace, peer: Peer, status: int) -> None:
    made = listen(workspace, peer.url(f"/status-{status}?retry-after=3600"))
    accept_message(workspace)
    tell()
    assert only(made.row).next_attempt_at > timezone.now() + timedelta(minutes=55)


def test_the_budget_of_tries_ends(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url("/status-500"))
    accept_message(workspace)
    for _ in range(len(backoff.WAITS) + 1):
        tell()
        hurry(made.row)
    ended = only(made.row)
    assert (ended.state, ended.attempts, ended.next_attempt_at) == ("failed", 10, None)
    assert ended.finished_at
    assert tell() == 0


def test_waits_grow_as_standard_webhooks_proposes() -> None:
    waits = [backoff.wait_after(attempts) for attempts in range(1, 10)]
    hours = [0, 0, 0.5, 2, 5, 10, 14, 20, 24]
    assert all(hour * 3600 <= wait <= hour * 3600 * 1.1 + 331 for hour, wait in zip(hours, waits, strict=True) if wait)
    assert backoff.wait_after(10) is None
    assert backoff.wait_after(1, asked=1e9) == backoff.LONGEST
    assert backoff.wait_after(1, asked=-5) == pytest.approx(5.25, abs=0.26)


def test_an_endpoint_that_is_gone_is_told_no_more_and_its_people_are(workspace: Workspace, peer: Peer) -> None:
    make_member(workspace)
    made = listen(workspace, peer.url("/status-410"))
    accept_message(workspace)
    tell()
    row = WebhookEndpoint.objects.get(pk=made.row.pk)
    assert (row.active, row.disabled_because, only(row).state) == (False, "gone", "failed")
    notices = Message.objects.filter(workspace=workspace, channel="onsite")
    (admin,) = notices
    assert str(admin.recipient) == str(caller_avatar(workspace))
    assert "disabled" in admin.subject
    accept_message(workspace)
    assert tell() == 0
    assert len(peer.requests) == 1


def caller_avatar(workspace: Workspace) -> object:
    return Member.objects.get(workspace=workspace, role="admin").user.avatar_id


def test_days_of_failures_alone_end_an_endpoint(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url("/status-500"))
    rows = WebhookEndpoint.objects.filter(pk=made.row.pk)
    accept_message(workspace)
    tell()
    assert rows.get().failing_since
    rows.update(failing_since=timezone.now() - timedelta(days=6))
    hurry(made.row)
    tell()
    assert rows.get().active, "two failures are no reason"
    rows.update(failures=disabling.FAILURES)
    hurry(made.row)
    tell()
    assert (rows.get().active, rows.get().disabled_because) == (False, "failing")


def test_many_failures_in_a_short_time_end_no_endpoint(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url("/status-500"))
    rows = WebhookEndpoint.objects.filter(pk=made.row.pk)
    almost = timezone.now() - timedelta(days=disabling.DAYS) + timedelta(hours=1)
    rows.update(failures=disabling.FAILURES, failing_since=almost)
    accept_message(workspace)
    tell()
    assert rows.get().failures > disabling.FAILURES
    assert rows.get().active


def test_one_success_forgives_all_failures(workspace: Workspace) -> None:
    answers = iter([Reply(status=500), Reply()])
    with running(lambda asked: next(answers)) as peer:
        made = listen(workspace, peer.url())
        accept_message(workspace)
        tell()
        hurry(made.row)
        tell()
    row = WebhookEndpoint.objects.get(pk=made.row.pk)
    assert (row.failures, row.failing_since) == (0, None)


def test_what_waited_is_sent_when_an_endpoint_is_enabled_again(workspace: Workspace) -> None:
    answers = iter([Reply(status=500), Reply()])
    with running(lambda asked: next(answers)) as peer:
        made = listen(workspace, peer.url())
        accept_message(workspace)
        tell()
        caller = caller_of(workspace)
        endpoints.update(caller=caller, endpoint_id=made.row.id, changes={"active": False})
        accept_message(workspace)
        hurry(made.row)
        assert tell() == 0
        endpoints.update(caller=caller, endpoint_id=made.row.id, changes={"active": True})
        assert tell() == 1
        assert only(made.row).state == "delivered"


def test_a_redirect_is_not_followed(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url(f"/status-302?location={peer.url('/inside')}"))
    accept_message(workspace)
    tell()
    assert [each.path for each in peer.requests] == ["/status-302"]
    assert only(made.row).last_status == 302


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("path", ["/stall", "/drip", "/cut", "/garbage", "/endless"])
def test_what_never_answers_ends_by_the_deadline_and_is_tried_again(
    workspace: Workspace, peer: Peer, path: str
) -> None:
    made = listen(workspace, peer.url(path))
    accept_message(workspace)
    assert tell() == 1
    found = only(made.row)
    assert (found.state, found.attempts, found.last_status) == ("pending", 1, None)
    assert found.last_detail


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("path", ["/huge", "/endless-body", "/drip-body"])
def test_of_a_long_answer_the_beginning_is_kept(workspace: Workspace, peer: Peer, path: str) -> None:
    made = listen(workspace, peer.url(path))
    accept_message(workspace)
    tell()
    found = only(made.row)
    assert found.state == "delivered"
    assert len(found.last_detail) <= deliveries.DETAIL_LENGTH


def test_a_private_address_is_refused_at_the_connection_too(workspace: Workspace, peer: Peer, settings) -> None:
    made = listen(workspace, peer.url())
    settings.EGRESS_ALLOW = []
    sending._adapter.cache_clear()
    accept_message(workspace)
    tell()
    assert peer.connections == 0
    assert only(made.row).last_detail.startswith("url_refused")


def test_an_endpoint_that_stalls_holds_its_share_and_nothing_else(workspace: Workspace) -> None:
    stalling, go = threading.Semaphore(0), threading.Event()

    def answer(asked: Asked) -> Reply:
        if asked.path == "/slow":
            stalling.release()
            go.wait()
        return Reply()

    with running(answer) as other:
        listen(workspace, other.url("/slow"))
        for _ in range(40):
            accept_message(workspace)
        first = threading.Thread(target=closing(tell))
        first.start()
        for _ in range(sending.SHARES[Lane.STEADY]):
            assert stalling.acquire(timeout=30)
        quick = listen(workspace, other.url("/quick"))
        accept_message(workspace)
        feeding.feed()
        assert sending.send(Lane.STEADY) == 1
        assert only(quick.row).state == "delivered"
        slow = [each for each in other.requests if each.path == "/slow"]
        assert len(slow) == sending.SHARES[Lane.STEADY]
        go.set()
        first.join()


# Workers that die, and two at once


def test_a_worker_that_dies_after_sending_leaves_the_same_id_to_the_next(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url())
    accept_message(workspace)
    feeding.feed()
    token, (claimed,) = deliveries.claim(Lane.STEADY, limit=10, share=10, busy={}, lease=60.0)
    assert tell() == 0, "it is claimed"
    hurry(made.row)
    assert tell() == 1
    done = only(made.row)
    assert (done.state, done.attempts) == ("delivered", 2)
    late = deliveries.Tried(
        delivery_id=claimed.id,
        endpoint_id=made.row.id,
        claim=token,
        state=deliveries.State.PENDING,
        status=500,
        detail="too late",
        seconds=0.0,
        wait=5.0,
    )
    assert deliveries.record([late]) == []
    assert only(made.row).state == "delivered"


def test_two_workers_never_claim_the_same(workspace: Workspace, peer: Peer) -> None:
    listen(workspace, peer.url())
    for _ in range(60):
        accept_message(workspace)
    feeding.feed()
    claimed: list[object] = []

    def work() -> None:
        while True:
            _, some = deliveries.claim(Lane.STEADY, limit=5, share=5, busy={}, lease=60.0)
            if not some:
                return
            claimed.extend(each.id for each in some)

    run_all([work] * 4)
    assert len(claimed) == len(set(claimed)) == 60


def run_all(works: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(works)) as pool:
        for each in [pool.submit(closing(work)) for work in works]:
            each.result()


# Once more


def test_what_was_delivered_is_sent_once_more_under_the_same_id(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url())
    accept_message(workspace)
    tell()
    caller = caller_of(workspace)
    row = deliveries.resend(caller=caller, endpoint=made.row, delivery_id=only(made.row).id)
    assert (row.state, row.attempts) == ("pending", 0)
    with pytest.raises(Conflict):
        deliveries.resend(caller=caller, endpoint=made.row, delivery_id=row.id)
    assert tell() == 1
    assert len({each.header("webhook-id") for each in peer.requests}) == 1
    assert [each["status"] for each in only(made.row).tries] == [200, 200]


def test_a_test_event_is_sent_whatever_the_endpoint_asked_for(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url(), types=["message.bounced"])
    deliveries.test(caller=caller_of(workspace), endpoint=made.row)
    tell()
    (asked,) = peer.requests
    assert json.loads(asked.body)["type"] == "endpoint.test"
    assert json.loads(asked.body)["data"] == {"endpoint_id": str(made.row.id)}


def test_what_is_told_of_was_erased_meanwhile(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url())
    key = accept_message(workspace)
    feeding.feed()
    Message.objects.filter(pk=key).delete()
    tell()
    assert peer.requests == []
    found = only(made.row)
    assert (found.state, found.last_detail) == ("failed", "nothing_left")
    assert WebhookEndpoint.objects.get(pk=made.row.pk).failing_since is None


def test_old_deliveries_are_forgotten(workspace: Workspace, peer: Peer) -> None:
    made = listen(workspace, peer.url())
    accept_message(workspace)
    feeding.feed()
    kept = only(made.row)
    old = (int((time.time() - 31 * 86400) * 1000) << 80) | (uuid7().int & ((1 << 80) - 1))
    WebhookDelivery.objects.create(
        id=UUID(int=old), endpoint=made.row, event_id=uuid7(), type="message.sent", at=timezone.now()
    )
    assert deliveries.forget() == 1
    assert telling.deliveries(made.row) == [kept]
