"""The Anymail adapter: sending, against a Postmark of our own, and making requests for every service."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from importlib import metadata
from typing import Any
from uuid import uuid4

import pytest

from channels_app.adapters.anymail import AnymailAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.services import SERVICES
from channels_app.types import (
    Accepted,
    Ambiguous,
    Attachment,
    Channel,
    NotConfigured,
    OutboundMessage,
    Outcome,
    Permanent,
    SharedContent,
    Throttled,
    Transient,
)
from config.stack.home import CLONE
from tests.channels_app.contract import AdapterContract, answers, make_message
from tests.peers import http
from tests.peers.http import Peer, Reply
from tests.peers.postmark import CREDENTIALS, TOKEN, Postmark, running

REQUIREMENTS = CLONE / "requirements.in"
SETTINGS: dict[str, Any] = {"POSTMARK_SERVER_TOKEN": TOKEN, "WEBHOOK_SECRET": CREDENTIALS}
CREDENTIALS_OF: dict[str, dict[str, Any]] = {
    "amazon_ses": {
        "AMAZON_SES_CLIENT_PARAMS": {
            "region_name": "eu-west-1",
            "aws_access_key_id": "AKIAEXAMPLE",
            "aws_secret_access_key": "secret",
        }
    },
    "brevo": {"BREVO_API_KEY": "key"},
    "mailersend": {"MAILERSEND_API_TOKEN": "token", "MAILERSEND_SIGNING_SECRET": "secret"},
    "mailgun": {"MAILGUN_API_KEY": "key", "MAILGUN_SENDER_DOMAIN": "mg.example.com"},
    "mailjet": {"MAILJET_API_KEY": "key", "MAILJET_SECRET_KEY": "secret"},
    "mailtrap": {"MAILTRAP_API_TOKEN": "token"},
    "mandrill": {"MANDRILL_API_KEY": "key", "MANDRILL_WEBHOOK_KEY": "key"},
    "postal": {"POSTAL_API_KEY": "key"},
    "postmark": {"POSTMARK_SERVER_TOKEN": TOKEN},
    "resend": {"RESEND_API_KEY": "key"},
    "scaleway": {"SCALEWAY_SECRET_KEY": "key", "SCALEWAY_PROJECT_ID": "project"},
    "sendgrid": {"SENDGRID_API_KEY": "key"},
    "sparkpost": {"SPARKPOST_API_KEY": "key"},
    "unisender_go": {"UNISENDER_GO_API_KEY": "key"},
}


def adapter_for(url: str, *, service: str = "postmark", timeout: float = 30.0, **settings: Any) -> AnymailAdapter:
    """Give the adapter of a service whose API is at a URL."""
    told = {**SETTINGS, **CREDENTIALS_OF[service], f"{service}_api_url".upper(): url, **settings}
    if service == "amazon_ses":
        told["AMAZON_SES_CLIENT_PARAMS"] = {**told["AMAZON_SES_CLIENT_PARAMS"], "endpoint_url": url}
    return AnymailAdapter.from_options(
        Channel.EMAIL, {"url": f"anymail://{service}", "settings": told, "timeout": timeout}
    )


def outcome(adapter: ChannelAdapter, message: OutboundMessage) -> Outcome:
    (found,) = answers(adapter, [message])
    return found


def to(address: str = "someone@example.com", **fields: Any) -> OutboundMessage:
    return make_message(Channel.EMAIL, address, **fields)


@pytest.fixture
def service() -> Iterator[tuple[Peer, Postmark]]:
    with running() as found:
        yield found


@pytest.fixture
def postmark(service) -> Postmark:
    return service[1]


@pytest.fixture
def adapter(service) -> AnymailAdapter:
    return adapter_for(service[0].url())


class TestContract(AdapterContract):
    name = "anymail"

    @pytest.fixture
    def adapter(self, service) -> ChannelAdapter:
        return adapter_for(service[0].url())

    @pytest.fixture
    def hasty(self, service) -> ChannelAdapter:
        return adapter_for(service[0].url(), timeout=2.0)


# What is posted


def test_an_e_mail_goes_out_whole(adapter, postmark):
    shared = SharedContent(
        key=uuid4(),
        sender='"Ann, of Acme" <ann@example.com>',
        reply_to="Böb <bob@bücher.example>",
        cc=("carol@example.com",),
        bcc=("dave@example.com",),
        headers={"X-Order": "7", "List-Id": "shared"},
        attachments=(
            Attachment(filename="Grüße.pdf", content=b"%PDF", content_type="application/pdf"),
            Attachment(filename="logo.png", content=b"\x89PNG", content_type="image/png", content_id="logo"),
        ),
    )
    message = to(
        name='Zoë "Z"', subject="Grüße", html="<b>hi</b>", text="hi", shared=shared, headers={"list-id": "own"}
    )
    found = outcome(adapter, message)
    (taken,) = postmark.taken
    assert found == Accepted(provider_message_id=taken["MessageID"], detail={"status": "sent"})
    assert taken["From"] == '"Ann, of Acme" <ann@example.com>'
    assert taken["To"] == '"Zoë \\"Z\\"" <someone@example.com>'
    assert (taken["Cc"], taken["Bcc"]) == ("carol@example.com", "dave@example.com")
    assert taken["ReplyTo"] == "Böb <bob@xn--bcher-kva.example>"
    assert (taken["Subject"], taken["HtmlBody"], taken["TextBody"]) == ("Grüße", "<b>hi</b>", "hi")
    assert taken["Headers"] == [{"Name": "X-Order", "Value": "7"}, {"Name": "list-id", "Value": "own"}]
    files = [(file["Name"], file["ContentType"], b64decode(file["Content"])) for file in taken["Attachments"]]
    assert files == [("Grüße.pdf", "application/pdf", b"%PDF"), ("logo.png", "image/png", b"\x89PNG")]
    assert [file.get("ContentID") for file in taken["Attachments"]] == [None, "cid:logo"]
    assert taken["Metadata"]["dispatch_id"] == str(message.id)


@pytest.mark.parametrize(
    ("content_type", "content", "posted"),
    [
        ("text/calendar; method=REQUEST", b"BEGIN", 'text/calendar; method=REQUEST; charset="utf-8"'),
        ("text/csv; charset=iso-8859-1", b"\xfc", 'text/csv; charset="iso-8859-1"'),
        ("text/plain", b"\xfc", "application/octet-stream"),
        ("text/plain; charset=none-such", b"a", "application/octet-stream"),
    ],
)
def test_a_file_keeps_its_bytes_and_what_its_type_says(adapter, postmark, content_type, content, posted):
    file = Attachment(filename="a", content=content, content_type=content_type)
    found = outcome(adapter, to(shared=SharedContent(key=uuid4(), sender="a@example.com", attachments=(file,))))
    assert isinstance(found, Accepted), found
    (taken,) = postmark.taken[0]["Attachments"]
    assert (taken["ContentType"], b64decode(taken["Content"])) == (posted, content)


def test_what_the_caller_keeps_with_a_message_stays_here(adapter, postmark):
    message = to(metadata={"customer": 4711}, data={"code": "secret"})
    outcome(adapter, message)
    assert postmark.taken[0]["Metadata"] == {"dispatch_id": str(message.id)}


def test_a_page_without_a_text_is_sent_as_a_page_alone(adapter, postmark):
    outcome(adapter, to(html="<b>hi</b>", text=""))
    assert postmark.taken[0]["HtmlBody"] == "<b>hi</b>"
    assert "TextBody" not in postmark.taken[0]


def test_nobody_gets_a_message_twice_by_its_copies(adapter, postmark):
    shared = SharedContent(
        key=uuid4(), sender="a@example.com", cc=("someone@example.com", "b@example.com"), bcc=("b@example.com",)
    )
    outcome(adapter, to(shared=shared))
    assert postmark.taken[0]["Cc"] == "b@example.com"
    assert "Bcc" not in postmark.taken[0]


def test_the_default_sender_stands_in(service):
    peer, postmark = service
    options = {"url": "anymail://postmark", "default_from": "Acme <hi@example.com>", "settings": SETTINGS}
    adapter = AnymailAdapter.from_options(
        Channel.EMAIL, {**options, "settings": {**SETTINGS, "POSTMARK_API_URL": peer.url()}}
    )
    outcome(adapter, to(shared=SharedContent(key=uuid4())))
    assert postmark.taken[0]["From"] == "Acme <hi@example.com>"


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "one\r\nBcc: all@example.com"},
        {"name": "one\ntwo"},
        {"headers": {"X-A": "b\r\nBcc: all@example.com"}},
        {"headers": {"Bcc": "all@example.com"}},
        {"headers": {"From": "all@example.com"}},
        {"shared": SharedContent(key=uuid4())},
        {"shared": SharedContent(key=uuid4(), sender="a@example.com", cc=("no address",))},
        {
            "shared": SharedContent(
                key=uuid4(),
                sender="a@example.com",
                attachments=(Attachment(filename="a\r\nb", content=b"", content_type="text/plain"),),
            )
        },
    ],
)
def test_what_no_e_mail_carries_ends_the_message_alone(adapter, service, fields):
    found = outcome(adapter, to(**fields))
    assert isinstance(found, Permanent)
    assert found.code == "invalid_message"
    assert service[0].requests == []


def test_connections_stay_open_from_message_to_message(adapter, service):
    peer, _ = service
    for _ in range(3):
        outcome(adapter, to())
    assert len(peer.requests) == 3
    assert peer.connections == 1


# What the service says


@pytest.mark.parametrize(
    ("recipient", "kind", "code"),
    [
        ("delayed", Accepted, ""),
        ("inactive", Permanent, "recipient_rejected"),
        ("malformed", Permanent, "recipient_invalid"),
        ("refused", Permanent, "http_422"),
        ("status-400", Permanent, "http_400"),
        ("status-413", Permanent, "http_413"),
        ("status-401", NotConfigured, "provider_not_configured"),
        ("status-402", NotConfigured, "provider_not_configured"),
        ("status-403", NotConfigured, "provider_not_configured"),
        ("status-404", NotConfigured, "provider_not_configured"),
        ("status-301", NotConfigured, "provider_not_configured"),
        ("status-408", Transient, "http_408"),
        ("status-429", Throttled, "throttled"),
        ("status-500", Transient, "http_500"),
        ("status-503", Transient, "http_503"),
        ("not-json", Ambiguous, "outcome_unknown"),
        ("no-id", Ambiguous, "outcome_unknown"),
        ("endless-body", Ambiguous, "outcome_unknown"),
    ],
)
def test_what_the_service_says_decides(service, recipient, kind, code):
    found = outcome(adapter_for(service[0].url(), timeout=2.0), to(f"{recipient}@example.com"))
    assert (type(found), getattr(found, "code", "")) == (kind, code), found


def test_a_throttle_waits_as_long_as_the_service_asks(adapter):
    found = outcome(adapter, to("throttled@example.com"))
    assert isinstance(found, Throttled)
    assert found.wait == 7.0
    found = outcome(adapter, to("status-429@example.com"))
    assert isinstance(found, Throttled)
    assert found.wait == 10.0


def test_the_services_own_words_are_kept(adapter):
    found = outcome(adapter, to("refused@example.com"))
    assert isinstance(found, Permanent)
    assert "the account ran out of credits" in found.detail


def test_a_refused_copy_is_told_beside_what_became_of_the_recipient(postmark):
    def answer(asked: http.Asked) -> Reply:
        said = b'{"To": "someone@example.com", "MessageID": "n-1", "ErrorCode": 0, "Message": "Message OK, but will '
        said += b"not deliver to these inactive addresses: carol@example.com. Inactive recipients are ones that have "
        return Reply(body=said + b'generated a hard bounce, a spam complaint or a manual suppression."}')

    shared = SharedContent(key=uuid4(), sender="a@example.com", cc=("carol@example.com",))
    with http.running(answer) as peer:
        found = outcome(adapter_for(peer.url()), to(shared=shared))
    assert found == Accepted(provider_message_id="n-1", detail={"status": "sent", "refused": ["carol@example.com"]})


def test_a_token_that_is_refused_is_a_matter_of_settings(service):
    adapter = adapter_for(service[0].url(), POSTMARK_SERVER_TOKEN="another")
    assert isinstance(outcome(adapter, to()), NotConfigured)


def test_a_service_out_of_reach_is_a_failure_that_passes():
    with running() as (peer, _):
        adapter = adapter_for(peer.url())
    found = outcome(adapter, to())
    assert isinstance(found, Transient), found


def test_secrets_appear_in_no_outcome(service):
    for trick in ("status-401", "status-500", "cut", "not-json", "refused"):
        adapter = adapter_for(service[0].url(), timeout=2.0)
        assert TOKEN not in repr(outcome(adapter, to(f"{trick}@example.com")))


# Every service


NO_SERVICES = {"sendinblue", "uts46"}
"""Anymail's extras that are none: Brevo's old name, and another way to encode domains."""
NEEDLESS = {"svix", "uts46", "amazon-s3-encryption-client-python"}
"""What Anymail would use where we do otherwise, or for letters that come in."""


def test_every_service_of_anymail_is_known():
    extras = set(metadata.metadata("django-anymail").get_all("Provides-Extra") or ())
    assert set(SERVICES) == {extra.replace("-", "_") for extra in extras - NO_SERVICES}
    assert set(CREDENTIALS_OF) == set(SERVICES)


def test_what_anymails_services_need_is_here():
    needed = {re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in metadata.requires("django-anymail") or ()}
    here = {each.name.lower() for each in metadata.distributions()}
    asked = {line.split(">")[0].split("[")[0].strip() for line in REQUIREMENTS.read_text().splitlines()}
    assert needed - NEEDLESS - {"typing-extensions"} <= here
    assert {"boto3", "cryptography"} <= asked


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_message_leaves_by_every_service(name):
    """Nothing but the request is looked at: each service has an answer of its own."""
    shared = SharedContent(
        key=uuid4(),
        sender="Ann <ann@example.com>",
        reply_to="bob@example.com",
        headers={"X-Order": "7"},
        attachments=(Attachment(filename="a.txt", content=b"file", content_type="text/plain"),),
    )
    message = to(
        html="<p>page</p>",
        shared=shared,
        headers={"List-Unsubscribe": "<https://x.example/u>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    )
    with http.running(lambda asked: Reply(status=503)) as peer:
        found = outcome(adapter_for(peer.url(), service=name), message)
        (asked,) = peer.requests
    assert isinstance(found, Transient), found
    body = asked.body.decode()
    assert ("dispatch_id" in body) is (name not in {"mailersend", "postal", "amazon_ses"})
    if name != "amazon_ses":
        # Amazon takes the whole message in base64.
        assert "someone@example.com" in body
        assert "One-Click" in body


def test_amazons_library_sends_once_and_whole():
    def answer(asked: http.Asked) -> Reply:
        return Reply(headers={"content-type": "application/json"}, body=b'{"MessageId": "0100-1"}')

    message = to(headers={"List-Unsubscribe": "<https://x.example/u>"})
    with http.running(answer) as peer:
        found = outcome(adapter_for(peer.url(), service="amazon_ses"), message)
        (asked,) = peer.requests
    assert found == Accepted(provider_message_id="0100-1", detail={"status": "queued"})
    assert asked.path == "/v2/email/outbound-emails"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Throttled), (500, Transient), (503, Transient), (403, NotConfigured), (400, Permanent)],
)
def test_amazons_errors_mean_the_same(status, kind):
    with http.running(lambda asked: Reply(status=status, body=b'{"message": "no"}')) as peer:
        found = outcome(adapter_for(peer.url(), service="amazon_ses"), to())
        assert len(peer.requests) == 1
    assert isinstance(found, kind), found


def test_an_answer_of_amazon_that_never_comes_leaves_doubt():
    with http.running(lambda asked: Reply(manner=http.Manner.CUT)) as peer:
        assert isinstance(outcome(adapter_for(peer.url(), service="amazon_ses"), to()), Ambiguous)
        assert len(peer.requests) == 1
    found = outcome(adapter_for(peer.url(), service="amazon_ses"), to())
    assert isinstance(found, Transient), found


# Settings


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("anymail://", "names one of"),
        ("anymail://postman", "names one of"),
        ("anymail://postmark/path", "names one of"),
        ("anymail://postmark?token=x", "unknown settings: token"),
        ("anymail://postmark?timeout=0", "timeout"),
        ("anymail://postmark?timeout=soon", "malformed"),
        ("anymail://mailgun", "MAILGUN_API_KEY"),
        ("anymail://postal", "POSTAL_API_KEY"),
    ],
)
def test_settings_that_cannot_work_are_told(url, told):
    with pytest.raises(ProviderMissing) as caught:
        AnymailAdapter.from_options(Channel.EMAIL, {"url": url, "settings": SETTINGS})
    assert told in str(caught.value)


def test_other_channels_are_refused():
    with pytest.raises(ProviderMissing):
        AnymailAdapter.from_options(Channel.SMS, {"url": "anymail://postmark", "settings": SETTINGS})


def test_a_service_goes_by_its_own_name(adapter):
    assert adapter.provider == "postmark"
