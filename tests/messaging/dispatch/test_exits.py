"""The ways out that messages offer: headers of e-mails, and links in what they say."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from pytest_django import Settings

from channels_app.adapters.mime import Composer
from channels_app.types import Accepted, Channel, OutboundMessage
from messaging.content import links
from messaging.content.links import Link, Purpose
from messaging.dispatch import delivery, selectors
from messaging.dispatch.queue import Lane
from messaging.errors import NotFound
from messaging.models import Contact, Message, Workspace
from messaging.tracking import optout
from tests.factories import accept_message, make_template, make_workspace, message
from tests.messaging.dispatch.conftest import Install
from tests.messaging.dispatch.scripted import Answers, MaySend

pytestmark = pytest.mark.usefixtures("transactional_db")

PAGE = '<a href="{{ unsubscribe_url }}">no more</a> <a href="{{ preferences_url }}">choose</a>'


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


@pytest.fixture(autouse=True)
def known(settings: Settings) -> None:
    settings.PUBLIC_BASE_URL = "https://dispatch.example"
    settings.PUBLIC_BASE_URL_IS_SET = True


@pytest.fixture
def sent(install: Install) -> list[OutboundMessage]:
    """What the provider of e-mail is given."""
    taken: list[OutboundMessage] = []

    def script(batch: Iterator[OutboundMessage], may_send: MaySend) -> Answers:
        for outbound in batch:
            taken.append(outbound)
            yield outbound.id, Accepted()

    install(script)
    install(script, channel=Channel.SMS)
    return taken


def send(workspace: Workspace, sent: list[OutboundMessage], *, to: str = "ann@example.com", **fields: Any) -> UUID:
    key = accept_message(workspace, to, **fields)
    delivery.deliver(Lane.named(f"{fields.get('channel', Channel.EMAIL)}.normal"))
    assert sent[-1].id == key
    return key


def link_of(url: str, purpose: Purpose = Purpose.UNSUBSCRIBE) -> Link:
    return links.read(parse_qs(urlsplit(url).query)["token"][0], purpose=purpose)


def offered(outbound: OutboundMessage) -> str:
    return outbound.headers["List-Unsubscribe"].removeprefix("<").removesuffix(">")


def test_an_e_mail_that_is_not_transactional_offers_a_way_out_by_one_click(workspace, sent):
    key = send(workspace, sent, category="news")
    headers = sent[0].headers
    assert set(headers) == {"List-Unsubscribe", "List-Unsubscribe-Post"}
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert offered(sent[0]).startswith("https://dispatch.example/api/unsubscribe?token=")
    link = link_of(offered(sent[0]))
    assert (link.workspace_id, link.message_id, link.channel) == (workspace.id, key, Channel.EMAIL)
    assert link.category == "news"


def test_each_recipient_has_a_link_of_his_own(workspace, sent):
    for to in ("ann@example.com", "bob@example.com"):
        send(workspace, sent, to=to, category="news")
    assert offered(sent[0]) != offered(sent[1])


def test_the_headers_stand_in_the_letter_whole(workspace, sent):
    send(workspace, sent, category="news", headers={"X-Campaign": "spring"})
    letter = Composer("Acme <hi@example.com>").compose(sent[0])
    parsed = message_from_bytes(letter.head + letter.tail)
    assert "".join(parsed["List-Unsubscribe"].split()) == sent[0].headers["List-Unsubscribe"]
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["X-Campaign"] == "spring"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "nobody leaves transactional messages"),
        ({"category": "news", "headers": {"list-unsubscribe": "<mailto:out@example.com>"}}, "the sender has his own"),
        ({"category": "news", "channel": Channel.SMS, "to": "+12025550123"}, "other channels have no such header"),
    ],
)
def test_some_messages_carry_no_such_header(workspace, sent, fields, why):
    if fields.get("channel") is Channel.SMS:
        fields = {**fields, "subject": "", "body": "", "text": "Good day", "sender": ""}
    send(workspace, sent, **fields)
    assert sent[0].headers == {}, why


def test_nothing_is_offered_where_nobody_said_how_we_are_reached(workspace, sent, settings: Settings):
    settings.PUBLIC_BASE_URL_IS_SET = False
    send(workspace, sent, category="news")
    assert sent[0].headers == {}


def test_one_click_is_for_https_alone(workspace, sent, settings: Settings):
    settings.PUBLIC_BASE_URL = "http://inside.example"
    send(workspace, sent, category="news")
    assert set(sent[0].headers) == {"List-Unsubscribe"}


def test_the_offer_is_taken_by_its_link(workspace, sent):
    send(workspace, sent, category="news")
    optout.opt_out(optout.recipient_of(link_of(offered(sent[0]))))
    again = message(accept_message(workspace, "ann@example.com", category="news"))
    assert (again.status, again.error_code) == ("FAILED", "suppressed")
    assert message(accept_message(workspace, "ann@example.com", category="offers")).status == "QUEUED"


# Links in what a message says


def contact(workspace: Workspace) -> Contact:
    return Contact.objects.create(workspace=workspace, email="ann@example.com")


def test_a_body_names_the_links_of_its_message(workspace, sent):
    person = contact(workspace)
    key = send(workspace, sent, body=PAGE, text="{{ unsubscribe_url }}", category="news")
    first, second = (part.split('"')[0] for part in sent[0].html.split('href="')[1:])
    assert sent[0].text == first == offered(sent[0])
    assert link_of(first).message_id == key
    # A message to an address is nobody's in particular, whoever has it.
    assert (message(key).contact_id, second) == (None, first)
    assert person.email == "ann@example.com"


def test_a_contact_may_choose_by_its_link(workspace, sent):
    person = contact(workspace)
    key = accept_message(workspace, "ann@example.com", body=PAGE, text="")
    Message.objects.filter(id=key).update(contact_id=person.id)
    delivery.deliver(Lane.named("email.normal"))
    first, second = (part.split('"')[0] for part in sent[0].html.split('href="')[1:])
    assert link_of(second, Purpose.PREFERENCES).contact_id == person.id
    # Whoever leaves what he cannot do without leaves all the rest.
    assert (link_of(first).contact_id, link_of(first).category) == (person.id, "*")


def test_looking_at_a_message_shows_the_links_that_were_sent(workspace, sent):
    key = send(workspace, sent, body=PAGE, text="")
    assert selectors.rendered(message=message(key)).body == sent[0].html


def test_a_text_message_names_its_link_too(workspace, sent):
    fields = {"channel": Channel.SMS, "subject": "", "body": "", "sender": ""}
    send(workspace, sent, to="+12025550123", text="Stop: {{ unsubscribe_url }}", **fields)
    assert link_of(sent[0].text.removeprefix("Stop: ")).channel is Channel.SMS


def test_data_of_that_name_comes_first(workspace, sent):
    send(workspace, sent, body="{{ unsubscribe_url }}", data={"unsubscribe_url": "https://own.example"})
    assert sent[0].html == "https://own.example"


def test_no_link_stands_in_a_subject(workspace, sent):
    with pytest.raises(Exception, match="unsubscribe_url"):
        send(workspace, sent, subject="{{ unsubscribe_url }}", body="{{ unsubscribe_url }}")


def test_other_variables_are_missed_as_before(workspace, sent):
    with pytest.raises(Exception, match="the template needs: order"):
        send(workspace, sent, body="{{ unsubscribe_url }} {{ order }}")


def test_a_preview_shows_where_the_links_will_stand(workspace):
    shown = make_template(workspace, body=PAGE, text="").preview({})
    assert (shown.missing, shown.body.count("https://dispatch.example/api/")) == ([], 2)


def test_a_link_outlives_its_message_where_the_contact_is_known(workspace, sent):
    person = contact(workspace)
    gone = Link(
        purpose=Purpose.UNSUBSCRIBE,
        workspace_id=workspace.id,
        message_id=UUID(int=7),
        contact_id=person.id,
        channel=Channel.EMAIL,
        category="news",
    )
    assert optout.recipient_of(gone).contact_id == person.id
    with pytest.raises(NotFound):
        optout.recipient_of(Link(**{**{name: getattr(gone, name) for name in gone.__slots__}, "contact_id": None}))
