"""What e-mail services report, each in its own published form, read into one."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from channels_app.adapters.anymail import AnymailAdapter
from channels_app.errors import CallbackRejected
from channels_app.types import Callback, Channel, Receipt, ReceiptKind
from tests.channels_app.adapters.test_anymail import CREDENTIALS_OF, SETTINGS
from tests.peers import postmark

OURS = UUID("0190163d-8694-739b-8fe5-c1a2b3c4d5e6")
URL = "https://dispatch.example/api/v1/callbacks"
SENT = {"To": "someone@example.com", "MessageID": "pm-1", "Metadata": {"dispatch_id": str(OURS)}}


def reader(service: str, **settings: Any) -> AnymailAdapter:
    told = {**SETTINGS, **CREDENTIALS_OF[service], "POSTAL_API_URL": "https://postal.example", **settings}
    told = {name: value for name, value in told.items() if value is not None}
    if service == "unisender_go":
        told["UNISENDER_GO_API_URL"] = "https://go1.unisender.ru/ru/transactional/api/v1/"
    return AnymailAdapter.from_options(Channel.EMAIL, {"url": f"anymail://{service}", "settings": told})


def posted(body: bytes, headers: Mapping[str, str], service: str = "postmark") -> Callback:
    return Callback(method="POST", url=f"{URL}/{service}", headers=headers, body=body)


def read(adapter: AnymailAdapter, callback: Callback) -> list[Receipt]:
    adapter.verify_callback(callback)
    found = adapter.parse_callback(callback)
    assert all(isinstance(each, Receipt) for each in found)
    return [each for each in found if isinstance(each, Receipt)]


def reported(kind: str, **more: Any) -> Callback:
    headers, body = postmark.report(kind, SENT, **more)
    return posted(body, headers)


def login(content_type: str = "application/json") -> dict[str, str]:
    return {
        "Authorization": "Basic " + b64encode(postmark.CREDENTIALS.encode()).decode(),
        "Content-Type": content_type,
    }


# Postmark: user and password


@pytest.mark.parametrize(
    ("kind", "more", "expected", "code"),
    [
        ("Delivery", {}, ReceiptKind.DELIVERED, ""),
        ("Open", {}, ReceiptKind.OPENED, ""),
        ("Click", {}, ReceiptKind.CLICKED, ""),
        ("SpamComplaint", {}, ReceiptKind.COMPLAINED, ""),
        ("SubscriptionChange", {}, ReceiptKind.UNSUBSCRIBED, ""),
        ("Bounce", {}, ReceiptKind.BOUNCED, "hard_bounce"),
        ("Bounce", {"Type": "SoftBounce"}, ReceiptKind.BOUNCED, "soft_bounce"),
        ("Bounce", {"Type": "Transient"}, ReceiptKind.SENT, ""),
        ("Bounce", {"Type": "BadEmailAddress"}, ReceiptKind.FAILED, "rejected_invalid"),
        ("Bounce", {"Type": "SMTPApiError"}, ReceiptKind.FAILED, "failed"),
    ],
)
def test_every_kind_of_report_is_read(kind, more, expected, code):
    (receipt,) = read(reader("postmark"), reported(kind, **more))
    assert (receipt.kind, receipt.code) == (expected, code)
    assert (receipt.message_id, receipt.provider_message_id) == (OURS, "pm-1")


@pytest.mark.parametrize(("kind", "more"), [("Bounce", {"Type": "AutoResponder"}), ("Bounce", {"Type": "Subscribe"})])
def test_what_says_nothing_of_a_message_gives_nothing(kind, more):
    assert read(reader("postmark"), reported(kind, **more)) == []


def test_what_the_service_tells_of_it_is_kept():
    (receipt,) = read(reader("postmark"), reported("Bounce"))
    assert receipt.detail == {
        "event": "bounced",
        "reason": "bounced",
        "answer": "smtp;550 5.1.1 no such user",
        "description": "The server was unable to deliver your message (ex: unknown user, mailbox not found).",
        "at": "2026-01-31T12:00:06+00:00",
    }


def test_the_same_report_has_the_same_key_and_another_has_another():
    adapter = reader("postmark")
    for kind in ("Delivery", "Open", "Bounce"):
        assert read(adapter, reported(kind))[0].key == read(adapter, reported(kind))[0].key
    keys = {read(adapter, reported(kind))[0].key for kind in ("Delivery", "Open", "Click", "Bounce", "SpamComplaint")}
    assert len(keys) == 5
    later = read(adapter, reported("Open", ReceivedAt="2026-02-01T12:00:00Z"))[0]
    assert later.key != read(adapter, reported("Open"))[0].key


def test_what_becomes_of_a_copy_is_nobodys_business():
    digest = hashlib.sha256(b"someone@example.com").hexdigest()[:32]
    copied = {**SENT, "Metadata": {**SENT["Metadata"], "dispatch_to": digest}}  # type: ignore[dict-item]
    adapter = reader("postmark")
    for recipient, number in (("Someone@example.com", 1), ("carol@example.com", 0)):
        headers, body = postmark.report("Bounce", copied, recipient=recipient)
        assert len(read(adapter, posted(body, headers))) == number


def test_a_message_that_was_not_sent_from_here_is_matched_by_the_services_id_alone():
    for metadata in ({}, {"dispatch_id": "something else"}, {"dispatch_id": 7}):
        headers, body = postmark.report("Delivery", {**SENT, "Metadata": metadata})
        (receipt,) = read(reader("postmark"), posted(body, headers))
        assert (receipt.message_id, receipt.provider_message_id) == (None, "pm-1")


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", "Basic " + b64encode(b"postmark:wrong").decode(), "Bearer x", "Basic \u00e9"],
)
def test_another_user_or_password_is_refused(authorization):
    headers, body = postmark.report("Delivery", SENT)
    with pytest.raises(CallbackRejected):
        reader("postmark").verify_callback(posted(body, {**headers, "Authorization": authorization}))


def test_without_a_password_of_our_own_nobody_is_believed():
    adapter = reader("postmark", WEBHOOK_SECRET=None)
    with pytest.raises(CallbackRejected, match="ANYMAIL_WEBHOOK_SECRET"):
        adapter.verify_callback(reported("Delivery"))


def test_one_password_can_replace_another():
    adapter = reader("postmark", WEBHOOK_SECRET=f"new:secret, {postmark.CREDENTIALS}")
    assert len(read(adapter, reported("Delivery"))) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b'{"RecordType": "Inbound"}', b"[" * 100_000])
def test_what_the_service_does_not_send_is_refused_or_says_nothing(body):
    adapter = reader("postmark")
    callback = posted(body, postmark.signed())
    adapter.verify_callback(callback)
    with pytest.raises(CallbackRejected):
        adapter.parse_callback(callback)


# Mailgun: a signature of a time and a token


def mailgun(key: str = "key", *, age: float = 0.0, body: Mapping[str, Any] | None = None) -> Callback:
    stamp, token = str(int(time.time() - age)), "a" * 50
    signature = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    said = {
        "signature": {"token": token, "timestamp": stamp, "signature": signature},
        "event-data": {
            "id": "Ase7i2zsRYeDXztHGENqRA",
            "event": "failed",
            "severity": "permanent",
            "reason": "bounce",
            "timestamp": 1_769_860_800.5,
            "recipient": "someone@example.com",
            "delivery-status": {"code": 550, "message": "5.1.1 no such user", "description": ""},
            "message": {"headers": {"message-id": "mg-1@mg.example.com", "to": "someone@example.com"}},
            "user-variables": {"dispatch_id": str(OURS)},
            **(body or {}),
        },
    }
    return posted(json.dumps(said).encode(), {"content-type": "application/json"}, "mailgun")


def signed_mailgun() -> AnymailAdapter:
    return reader("mailgun", MAILGUN_WEBHOOK_SIGNING_KEY="key", WEBHOOK_SECRET=None)


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        ({}, ReceiptKind.BOUNCED, "hard_bounce"),
        ({"severity": "temporary"}, ReceiptKind.SENT, ""),
        ({"event": "delivered", "severity": None}, ReceiptKind.DELIVERED, ""),
        ({"event": "opened"}, ReceiptKind.OPENED, ""),
        ({"event": "unsubscribed"}, ReceiptKind.UNSUBSCRIBED, ""),
        ({"event": "complained"}, ReceiptKind.COMPLAINED, ""),
    ],
)
def test_mailguns_reports_are_read(body, kind, code):
    (receipt,) = read(signed_mailgun(), mailgun(body=body))
    assert (receipt.kind, receipt.code) == (kind, code)
    assert (receipt.message_id, receipt.provider_message_id) == (OURS, "<mg-1@mg.example.com>")


def test_a_token_of_mailguns_counts_once_whatever_comes_with_it():
    adapter = signed_mailgun()
    keys = {read(adapter, mailgun(body={"event": event}))[0].key for event in ("opened", "delivered")}
    assert keys == {"a" * 50}


@pytest.mark.parametrize("callback", [mailgun("another"), mailgun(age=90_000.0), mailgun(age=-3_600.0)])
def test_what_mailgun_did_not_sign_lately_is_refused(callback):
    with pytest.raises(CallbackRejected):
        signed_mailgun().verify_callback(callback)


# SendGrid: a public key, several reports a time


def test_sendgrids_reports_come_several_at_a_time():
    secret = ec.generate_private_key(ec.SECP256R1())
    public = secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    adapter = reader(
        "sendgrid", SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY=b64encode(public).decode(), WEBHOOK_SECRET=None
    )
    common = {
        "email": "someone@example.com",
        "timestamp": 1_769_860_800,
        "dispatch_id": str(OURS),
        "anymail_id": "sg-1",
    }
    body = json.dumps(
        [
            {**common, "event": "processed", "sg_event_id": "e1"},
            {**common, "event": "bounce", "type": "blocked", "sg_event_id": "e2", "status": "4.7.1"},
            {**common, "event": "dropped", "reason": "Bounced Address", "sg_event_id": "e3"},
            {**common, "event": "group_resubscribe", "sg_event_id": "e4"},
        ]
    ).encode()

    def signed(at: int) -> Callback:
        signature = secret.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": str(at),
            "content-type": "application/json",
        }
        return posted(body, headers, "sendgrid")

    found = read(adapter, signed(int(time.time())))
    assert [(each.kind, each.code, each.key) for each in found] == [
        (ReceiptKind.SENT, "", "e1"),
        (ReceiptKind.BOUNCED, "soft_bounce", "e2"),
        (ReceiptKind.FAILED, "rejected_bounced", "e3"),
    ]
    assert {each.message_id for each in found} == {OURS}
    forged = Callback(**{**_fields(signed(int(time.time()))), "body": body.replace(b"bounce", b"delivered")})
    for callback in (forged, signed(int(time.time()) - 90_000)):
        with pytest.raises(CallbackRejected):
            adapter.verify_callback(callback)


def _fields(callback: Callback) -> dict[str, Any]:
    return {"method": callback.method, "url": callback.url, "headers": callback.headers, "body": callback.body}


# Resend: Standard Webhooks under another name


def test_resends_reports_are_signed_like_ours():
    key = b"k" * 32
    adapter = reader("resend", RESEND_SIGNING_SECRET="whsec_" + b64encode(key).decode(), WEBHOOK_SECRET=None)
    said = {
        "type": "email.bounced",
        "created_at": "2026-01-31T12:00:06.000Z",
        "data": {
            "email_id": "re-1",
            "to": ["someone@example.com"],
            "headers": [{"name": "X-Metadata", "value": json.dumps({"dispatch_id": str(OURS)})}],
            "bounce": {"message": "The recipient's email provider sent a hard bounce message.", "type": "Permanent"},
        },
    }
    body = json.dumps(said).encode()

    def signed(at: int, key: bytes = key) -> Callback:
        signature = b64encode(hmac.new(key, f"msg_1.{at}.".encode() + body, hashlib.sha256).digest()).decode()
        headers = {"svix-id": "msg_1", "svix-timestamp": str(at), "svix-signature": f"v1,{signature}"}
        return posted(body, {**headers, "content-type": "application/json"}, "resend")

    (receipt,) = read(adapter, signed(int(time.time())))
    assert (receipt.kind, receipt.code, receipt.key) == (ReceiptKind.BOUNCED, "hard_bounce", "msg_1")
    assert receipt.message_id == OURS
    for callback in (signed(int(time.time()) - 3_600), signed(int(time.time()), b"o" * 32)):
        with pytest.raises(CallbackRejected):
            adapter.verify_callback(callback)
    body = json.dumps({**said, "type": "email.failed", "data": {"email_id": "re-1"}}).encode()
    (receipt,) = read(adapter, signed(int(time.time())))
    assert (receipt.kind, receipt.code, receipt.detail["event"]) == (ReceiptKind.FAILED, "failed", "failed")


# Amazon SES: through SNS, one report for several recipients


def test_amazons_report_tells_of_each_recipient():
    digest = hashlib.sha256(b"someone@example.com").hexdigest()[:32]
    event = {
        "eventType": "Bounce",
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {"emailAddress": "someone@example.com", "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
                {"emailAddress": "carol@example.com", "diagnosticCode": "smtp; 550 5.1.1 user unknown"},
            ],
        },
        "mail": {
            "messageId": "0100-1",
            "destination": ["someone@example.com", "carol@example.com"],
            "headers": [{"name": "X-Metadata", "value": json.dumps({"dispatch_id": str(OURS), "dispatch_to": digest})}],
        },
    }
    said = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": "arn:aws:sns:eu-west-1:1:mail",
        "Message": json.dumps(event),
        "Timestamp": "2026-01-31T12:00:06.000Z",
    }
    headers = {
        **login("text/plain; charset=UTF-8"),
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "sns-1",
    }
    (receipt,) = read(reader("amazon_ses"), posted(json.dumps(said).encode(), headers, "amazon_ses"))
    assert (receipt.kind, receipt.code, receipt.message_id) == (ReceiptKind.BOUNCED, "hard_bounce", OURS)
    event["bounce"]["bounceType"] = "Transient"  # type: ignore[index]
    said["Message"] = json.dumps(event)
    (receipt,) = read(reader("amazon_ses"), posted(json.dumps(said).encode(), headers, "amazon_ses"))
    assert receipt.code == "soft_bounce"


# Mandrill: the public URL is signed


def test_mandrills_signature_covers_the_public_url():
    events = [
        {
            "event": "soft_bounce",
            "_id": "md-1",
            "ts": 1_769_860_800,
            "msg": {"_id": "md-1", "email": "someone@example.com", "metadata": {"dispatch_id": str(OURS)}},
        }
    ]
    form = {"mandrill_events": json.dumps(events)}
    adapter = reader("mandrill", WEBHOOK_SECRET=None)

    def signed(url: str) -> Callback:
        said = url + "".join(name + form[name] for name in sorted(form))
        signature = b64encode(hmac.new(b"key", said.encode(), hashlib.sha1).digest()).decode()
        headers = {"X-Mandrill-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        return posted(urlencode(form).encode(), headers, "mandrill")

    (receipt,) = read(adapter, signed(f"{URL}/mandrill"))
    assert (receipt.kind, receipt.code, receipt.message_id) == (ReceiptKind.BOUNCED, "soft_bounce", OURS)
    with pytest.raises(CallbackRejected):
        adapter.verify_callback(signed("https://elsewhere.example/mandrill"))


def test_a_delivery_that_anymail_does_not_know_of_is_read():
    event = {"event": "delivered", "_id": "md-1", "ts": 1_769_860_800, "msg": {"_id": "md-1", "metadata": {}}}
    form = {"mandrill_events": json.dumps([event])}
    said = f"{URL}/mandrill" + "".join(name + form[name] for name in form)
    signature = b64encode(hmac.new(b"key", said.encode(), hashlib.sha1).digest()).decode()
    headers = {"X-Mandrill-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    (receipt,) = read(reader("mandrill"), posted(urlencode(form).encode(), headers, "mandrill"))
    assert (receipt.kind, receipt.provider_message_id) == (ReceiptKind.DELIVERED, "md-1")


# Brevo: user and password


def test_who_left_by_brevos_link_is_heard():
    said = {"event": "unsubscribed", "message-id": "<b-1@brevo>", "email": "someone@example.com", "ts_event": 1}
    (receipt,) = read(reader("brevo"), posted(json.dumps(said).encode(), login(), "brevo"))
    assert (receipt.kind, receipt.provider_message_id) == (ReceiptKind.UNSUBSCRIBED, "<b-1@brevo>")


# All of them


def test_the_password_of_other_services_is_not_asked_of_one_that_signs():
    adapter = reader("mailgun", MAILGUN_WEBHOOK_SIGNING_KEY="key")
    assert len(read(adapter, mailgun(body={"event": "delivered"}))) == 1
    with pytest.raises(CallbackRejected):
        adapter.verify_callback(mailgun("another"))


@pytest.mark.parametrize("name", sorted(CREDENTIALS_OF))
def test_nobody_is_believed_by_default(name):
    adapter = reader(name, WEBHOOK_SECRET=None, MAILGUN_WEBHOOK_SIGNING_KEY="key")
    for body in (b"", b"{}", json.dumps({"events": [], "id": str(uuid4())}).encode()):
        for headers in ({}, {"Content-Type": "application/json"}, login()):
            with pytest.raises(CallbackRejected):
                adapter.verify_callback(posted(body, headers, name))
