"""Status callbacks over HTTP: signed, early, late, twice, forged, about nothing that is known."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from analytics import health
from channels_app.adapters.twilio import TwilioAdapter
from channels_app.types import Channel
from messaging.dispatch import callbacks, claims, delivery, providers, receipts, sweeps, transitions
from messaging.dispatch.queue import Lane
from messaging.dispatch.transitions import Move
from messaging.models import MessageEvent, RawCallback, ReceiptRecord, Suppression
from messaging.models.keys import uuid7
from messaging.state import Status
from tests.factories import accept_message, make_workspace, message
from tests.messaging.api.callbacks.conftest import BASE
from tests.messaging.api.callers import assert_problem
from tests.messaging.invariants import check_all
from tests.peers import twilio
from tests.peers.twilio import Twilio

pytestmark = [pytest.mark.usefixtures("transactional_db", "peer")]

SMS = Lane.named("sms.normal")
PATH = "/api/v1/callbacks/twilio"
ANN = "+12025550123"


def accept(to: str = ANN, **fields: Any) -> UUID:
    return accept_message(make_workspace(), to, **{"channel": SMS.channel, "subject": "", "text": "Good day", **fields})


@pytest.fixture
def sent(peer: Twilio) -> tuple[UUID, str, str]:
    """A message that Twilio took, its number there, and the path that Twilio was told to report to."""
    key = accept()
    delivery.deliver(SMS)
    assert message(key).status == "SENT"
    return key, peer.taken[-1]["sid"], peer.taken[-1]["said"]["StatusCallback"].removeprefix(BASE)


def call(web: Client, path: str, sid: str, status: str, **more: str) -> Any:
    """Call back as Twilio does; the host of the request is not the one that Twilio signed."""
    headers, body = twilio.callback(f"{BASE}{path}", sid, status, **more)
    return post(web, path, headers, body)


def post(web: Client, path: str, headers: dict[str, str], body: bytes) -> Any:
    content_type = headers.get("Content-Type", "application/octet-stream")
    return web.generic("POST", path, body, content_type=content_type, headers=headers)


def test_a_status_callback_is_applied_at_once(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent

    answer = call(web, path, sid, "delivered")

    assert (answer.status_code, answer.content) == (200, b"")
    assert message(key).status == "DELIVERED"
    assert message(key).events.last().cause == "receipt"
    assert b"MessageStatus=delivered" in bytes(RawCallback.objects.get().body)
    assert check_all() == []


def test_what_a_callback_does_is_committed_with_it(web: Client, sent: tuple[UUID, str, str]):
    _, sid, path = sent

    with CaptureQueriesContext(connection) as seen:
        call(web, path, sid, "delivered")

    assert [each["sql"] for each in seen].count("COMMIT") == 1


def test_a_callback_is_kept_although_its_report_cannot_be(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent
    elsewhere = connection.copy()
    try:
        elsewhere.set_autocommit(False)
        with elsewhere.cursor() as holder, connection.cursor() as cursor:
            holder.execute("LOCK TABLE messaging_receiptrecord IN EXCLUSIVE MODE")
            cursor.execute("SET lock_timeout = '1ms'")
            assert call(web, path, sid, "delivered").status_code == 503
            cursor.execute("RESET lock_timeout")
    finally:
        elsewhere.close()

    assert b"MessageStatus=delivered" in bytes(RawCallback.objects.get().body)
    assert (call(web, path, sid, "delivered").status_code, message(key).status) == (200, "DELIVERED")
    assert RawCallback.objects.count() == 1


def test_in_a_rush_a_callback_is_kept_and_applied_with_the_others(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent
    with ExitStack() as rush:
        while callbacks.places.acquire(blocking=False):
            rush.callback(callbacks.places.release)

        assert [call(web, path, sid, status).status_code for status in ("sent", "delivered", "delivered")] == [200] * 3

        assert message(key).status == "SENT"
    assert receipts.apply_due() == 2
    assert message(key).status == "DELIVERED"
    assert check_all() == []


def test_a_callback_without_our_id_is_matched_by_the_providers(web: Client, sent: tuple[UUID, str, str]):
    key, sid, _ = sent

    assert call(web, PATH, sid, "delivered").status_code == 200

    assert message(key).status == "DELIVERED"


def test_a_callback_twice_changes_nothing_the_second_time(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent
    call(web, path, sid, "delivered")
    events = message(key).events.count()

    assert call(web, path, sid, "delivered").status_code == 200

    assert message(key).events.count() == events
    assert ReceiptRecord.objects.count() == 1


def test_callbacks_in_the_wrong_order_never_move_a_message_back(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent
    for status in ("read", "delivered", "sent", "queued"):
        assert call(web, path, sid, status).status_code == 200

    assert message(key).status == "OPENED"
    assert MessageEvent.objects.filter(type="late_receipt").count() == 2
    assert check_all() == []


def test_a_failure_after_sent_is_applied_with_its_code(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent

    call(web, path, sid, "undelivered", ErrorCode="30008")

    assert (message(key).status, message(key).error_code) == ("FAILED", "twilio_30008")


def test_a_bounce_after_delivered_is_applied(web: Client, sent: tuple[UUID, str, str]):
    key, sid, path = sent
    call(web, path, sid, "delivered")
    call(web, path, sid, "undelivered", ErrorCode="30005")

    assert (message(key).status, message(key).error_code) == ("BOUNCED", "twilio_30005")
    assert check_all() == []


def test_a_callback_that_comes_before_our_own_record_waits_for_it(web: Client):
    key = accept()
    lease, _ = claims.take(SMS, limit=1, group=1)
    path = f"{PATH}?message_id={key}"

    assert call(web, path, "SM1", "delivered").status_code == 200
    assert (message(key).status, ReceiptRecord.objects.get().state) == ("SENDING", "pending")

    moved = [Move(id=key, to=Status.SENT, provider="twilio", provider_message_id="SM1")]
    transitions.flush_many(moved, claim_id=lease.claim_id, mark=1)
    ReceiptRecord.objects.update(due_at=Now())
    receipts.apply_due()
    assert message(key).status == "DELIVERED"
    assert check_all() == []


def test_a_callback_without_our_id_that_comes_early_is_matched_later(web: Client):
    key = accept()
    lease, _ = claims.take(SMS, limit=1, group=1)

    assert call(web, PATH, "SM1", "delivered").status_code == 200

    moved = [Move(id=key, to=Status.SENT, provider="twilio", provider_message_id="SM1")]
    transitions.flush_many(moved, claim_id=lease.claim_id, mark=1)
    ReceiptRecord.objects.update(due_at=Now())
    receipts.apply_due()
    assert message(key).status == "DELIVERED"


def test_a_report_of_sent_ends_an_unknown_outcome(web: Client, peer: Twilio):
    key = accept("+199920000000", on_unknown="")
    delivery.deliver(SMS)
    assert (message(key).status, message(key).claim_id) == ("SENDING", None)

    said = peer.taken[-1]
    assert call(web, said["said"]["StatusCallback"].removeprefix(BASE), said["sid"], "sent").status_code == 200

    assert (message(key).status, message(key).provider_message_id) == ("SENT", said["sid"])
    assert check_all() == []


def test_whoever_opted_out_at_the_provider_is_suppressed_though_the_message_failed():
    key = accept("+19994216100000")
    delivery.deliver(SMS)
    receipts.apply_due()

    assert (message(key).status, message(key).error_code) == ("FAILED", "recipient_opted_out")
    again = accept_message(message(key).workspace, "+19994216100000", channel=SMS.channel, subject="", text="Good day")
    assert message(again).error_code == "suppressed"
    assert check_all() == []


@pytest.mark.parametrize(("sender", "left"), [(ANN, "sms"), (f"whatsapp:{ANN}", "whatsapp")])
def test_a_stop_counts_for_the_channel_on_which_it_was_said(web: Client, sender: str, left: str):
    workspace = make_workspace()
    by_sms: dict[str, Any] = {"channel": SMS.channel, "subject": "", "text": "Good day"}
    accept_message(workspace, ANN, **by_sms)
    accept_message(workspace, ANN, **by_sms | {"channel": Channel.WHATSAPP})
    headers, body = twilio.signed(f"{BASE}{PATH}", {"MessageSid": "SM9", "From": sender, "OptOutType": "STOP"})

    assert post(web, PATH, headers, body).status_code == 200

    assert set(Suppression.objects.values_list("channel", flat=True)) == {left}


class TestUnknown:
    def test_a_callback_about_nothing_that_is_known_is_kept_raw_for_a_day(self, web: Client):
        assert call(web, PATH, "SM" + "f" * 32, "delivered").status_code == 200
        assert call(web, f"{PATH}?message_id={uuid7()}", "SM" + "e" * 32, "delivered").status_code == 200

        kept = list(RawCallback.objects.order_by("id"))
        assert [each.provider for each in kept] == ["twilio", "twilio"]
        assert b"MessageStatus=delivered" in bytes(kept[0].body)
        assert [each.state for each in ReceiptRecord.objects.all()] == ["pending", "pending"]

        sweeps.maintain()
        assert RawCallback.objects.count() == 2
        RawCallback.objects.update(received_at=Now() - callbacks.KEPT_FOR)
        sweeps.maintain()
        assert RawCallback.objects.count() == 0

    def test_a_provider_that_there_is_not_has_no_callbacks(self, web: Client):
        for name in ("nobody", "sandbox", "smtp", "twilio-2"):
            answer = call(web, f"/api/v1/callbacks/{name}", "SM1", "delivered")
            assert_problem(answer, 404, "provider_not_found")
        for path in ("/api/v1/callbacks", "/api/v1/callbacks/twilio/more", "/api/v1/callbacks/../health"):
            assert call(web, path, "SM1", "delivered").status_code == 404

    def test_other_methods_are_refused(self, web: Client):
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            answer = web.generic(method, PATH)
            assert (answer.status_code, answer["Allow"]) == (405, "POST, HEAD")

    def test_a_provider_may_ask_whether_it_is_heard(self, web: Client):
        assert web.head(PATH).status_code == 200
        assert web.head("/api/v1/callbacks/nobody").status_code == 404


class TestForged:
    def refused(self, answer: Any) -> None:
        assert_problem(answer, 403, "callback_refused")
        assert ReceiptRecord.objects.count() == 0
        assert RawCallback.objects.count() == 0

    def test_no_signature(self, web: Client, sent: tuple[UUID, str, str]):
        key, sid, path = sent
        headers, body = twilio.callback(f"{BASE}{path}", sid, "delivered")
        del headers["X-Twilio-Signature"]
        self.refused(post(web, path, headers, body))
        assert message(key).status == "SENT"

    @pytest.mark.parametrize("signature", ["", "AAAA", "é", "x" * 10_000])
    def test_a_wrong_signature(self, web: Client, sent: tuple[UUID, str, str], signature: str):
        _, sid, path = sent
        headers, body = twilio.callback(f"{BASE}{path}", sid, "delivered")
        self.refused(post(web, path, {**headers, "X-Twilio-Signature": signature}, body))

    def test_a_right_signature_on_another_body(self, web: Client, sent: tuple[UUID, str, str]):
        _, sid, path = sent
        headers, _ = twilio.callback(f"{BASE}{path}", sid, "delivered")
        self.refused(post(web, path, headers, urlencode({"MessageSid": sid, "MessageStatus": "failed"}).encode()))

    def test_a_right_signature_on_another_url(self, web: Client, sent: tuple[UUID, str, str]):
        _, sid, path = sent
        other = f"{PATH}?message_id={accept()}"
        headers, body = twilio.callback(f"{BASE}{path}", sid, "delivered")
        self.refused(post(web, other, headers, body))
        self.refused(post(web, f"{path}&more=1", headers, body))

    def test_a_signature_for_the_host_of_the_request(self, web: Client, sent: tuple[UUID, str, str]):
        _, sid, path = sent
        headers, body = twilio.callback(f"http://testserver{path}", sid, "delivered")
        self.refused(post(web, path, headers, body))

    def test_an_adapter_that_breaks_over_it(
        self, web: Client, sent: tuple[UUID, str, str], monkeypatch: pytest.MonkeyPatch
    ):
        def breaks(*_: object) -> None:
            raise LookupError("not foreseen")

        _, sid, path = sent
        monkeypatch.setattr(TwilioAdapter, "verify_callback", breaks)
        headers, body = twilio.callback(f"{BASE}{path}", sid, "delivered")
        self.refused(post(web, path, headers, body))

    def test_every_refusal_is_counted_and_told_of(self, web: Client, sent: tuple[UUID, str, str]):
        _, sid, path = sent
        headers, body = twilio.callback(f"{BASE}{path}", sid, "delivered")
        for _ in range(3):
            self.refused(post(web, path, {**headers, "X-Twilio-Signature": "no"}, body))

        assert callbacks.refused() == {"twilio": 3}
        (alert,) = [each for each in health.health().alerts if each.code == "callbacks_refused"]
        assert (alert.subject, alert.detail.split()[0]) == ("twilio", "3")


class TestBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\x00\xff",
            b"MessageSid=%00&MessageStatus=%ED%A0%80",
            b"a=1&" * 5000,
            b'{"update_id": 1}',
            b"MessageStatus=delivered&MessageStatus=failed",
        ],
    )
    def test_nonsense_is_refused_and_never_a_fault_of_ours(self, web: Client, body: bytes):
        for content_type in ("application/x-www-form-urlencoded", "application/json", "text/html", "nonsense", ""):
            answer = web.generic("POST", PATH, body, content_type=content_type)
            assert 400 <= answer.status_code < 500

    def test_a_body_is_bounded(self, web: Client):
        answer = web.generic("POST", PATH, b"x" * (callbacks.LONGEST + 1))
        assert_problem(answer, 413, "body_too_large", ("", "body_too_large"))

    def test_what_cannot_be_stored_is_stored_as_far_as_it_can(self, web: Client):
        form = {"MessageSid": "SM\x00\ufffe", "MessageStatus": "delivered", "ErrorCode": "\x00"}
        url = f"{BASE}{PATH}"
        headers = {"X-Twilio-Signature": twilio.signature(url, form)}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        assert post(web, PATH, headers, urlencode(form).encode()).status_code == 200
        assert ReceiptRecord.objects.count() == 1


def test_each_channel_may_have_an_account_of_its_own(web: Client, sent: tuple[UUID, str, str], settings: Settings):
    key, sid, path = sent
    sms, whatsapp = settings.CHANNELS["sms"], settings.CHANNELS["whatsapp"]
    settings.CHANNELS = {**settings.CHANNELS, "sms": whatsapp, "whatsapp": sms}
    providers.registry.cache_clear()

    assert call(web, path, sid, "delivered").status_code == 200

    assert message(key).status == "DELIVERED"
