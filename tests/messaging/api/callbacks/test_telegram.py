"""What people tell the bot: who they are by a link, that they have enough, that they are back."""

from __future__ import annotations

import itertools
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.types import Channel
from messaging.content import links
from messaging.models import (
    ConsentStatus,
    Contact,
    ContactEvent,
    Member,
    RawCallback,
    Reason,
    Suppression,
    User,
    Workspace,
)
from messaging.models.keys import uuid7
from messaging.people import consent, contacts, merging, suppressions
from tests.factories import accept_message, make_workspace, message
from tests.messaging.api.callbacks.conftest import SECRET
from tests.messaging.api.callers import assert_problem, make_caller, read

pytestmark = [pytest.mark.usefixtures("transactional_db", "peer")]

PATH = "/api/v1/callbacks/telegram"
CHAT = 4711
numbers = itertools.count(1000)


def update(web: Client, text: str, *, chat: int = CHAT, number: int | None = None, kind: str = "private") -> Any:
    person = {"id": chat, "is_bot": False, "first_name": "Ann"}
    said = {"message_id": 1, "date": 0, "chat": {"id": chat, "type": kind}, "from": person, "text": text}
    return post(web, {"update_id": next(numbers) if number is None else number, "message": said})


def post(web: Client, body: Any, secret: str | None = SECRET) -> Any:
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
    return web.generic("POST", PATH, json.dumps(body), content_type="application/json", headers=headers)


def make_contact(workspace: Workspace, **fields: Any) -> Contact:
    return contacts.create(workspace_id=workspace.id, fields={"external_id": uuid7().hex, **fields})


def fresh(contact: Contact) -> Contact:
    return contacts.get(workspace_id=contact.workspace_id, contact_id=contact.pk)


def token_for(contact: Contact, *, age: timedelta = timedelta()) -> str:
    expires_at = timezone.now() + links.CHAT_LIFETIME - age
    return links.write_chat(contact_id=contact.pk, linked=contact.telegram_chat_id, expires_at=expires_at)


def code_of(workspace: Workspace, **fields: Any) -> str:
    """What becomes of a message to the chat: its error, empty where it goes out."""
    key = accept_message(workspace, str(CHAT), **{"channel": Channel.TELEGRAM, "subject": "", "text": "Hi", **fields})
    return str(message(key).error_code)


class TestLinking:
    def test_a_contact_is_linked_by_the_link_that_the_api_gives(self, web: Client, settings: Settings):
        settings.TELEGRAM_BOT_NAME = "acme_bot"
        caller = make_caller()
        ann = make_contact(caller.workspace)
        answer = caller.get(f"/api/v1/contacts/{ann.pk}/telegram-link")
        assert answer["Cache-Control"] == "no-store"
        body = read(answer)
        assert set(body) == {"url", "token", "expires_at"}
        assert body["url"] == f"https://t.me/acme_bot?start={body['token']}"
        assert len(body["token"]) <= 64

        assert update(web, f"/start {body['token']}").status_code == 200

        assert fresh(ann).telegram_chat_id == str(CHAT)

    def test_without_the_bots_name_there_is_only_a_token(self, settings: Settings):
        settings.TELEGRAM_BOT_NAME = ""
        caller = make_caller()
        body = read(caller.get(f"/api/v1/contacts/{make_contact(caller.workspace).pk}/telegram-link"))
        assert body["url"] is None

    def test_only_who_may_write_contacts_gets_a_link(self):
        caller = make_caller(scopes=["contacts:read"])
        answer = caller.get(f"/api/v1/contacts/{make_contact(caller.workspace).pk}/telegram-link")
        assert_problem(answer, 403, "missing_scope")
        stranger = make_contact(make_workspace())
        assert_problem(make_caller().get(f"/api/v1/contacts/{stranger.pk}/telegram-link"), 404, "contact_not_found")

    def test_the_chat_is_taken_from_another_contact_of_the_workspace_only(self, web: Client):
        workspace, other = make_workspace(), make_workspace()
        ann, ben = make_contact(workspace), make_contact(workspace, telegram_chat_id=str(CHAT))
        cat = make_contact(other, telegram_chat_id=str(CHAT))

        update(web, f"/start {token_for(ann)}")

        chats = [fresh(each).telegram_chat_id for each in (ann, ben, cat)]
        assert chats == [str(CHAT), "", str(CHAT)]

    def test_a_link_works_once(self, web: Client):
        ann = make_contact(make_workspace())
        token = token_for(ann)
        update(web, f"/start {token}")

        assert update(web, f"/start {token}", chat=CHAT + 1).status_code == 200

        assert fresh(ann).telegram_chat_id == str(CHAT)

    def test_a_link_that_was_used_is_worth_nothing_once_the_contact_was_unlinked_again(self, web: Client):
        ann = make_contact(make_workspace())
        token = token_for(ann)
        update(web, f"/start {token}")
        contacts.update(workspace_id=ann.workspace_id, contact_id=ann.pk, fields={"telegram_chat_id": ""})

        assert update(web, f"/start {token}", chat=CHAT + 1).status_code == 200

        assert fresh(ann).telegram_chat_id == ""

    def test_a_link_that_was_not_used_is_worth_nothing_once_the_contact_was_linked_by_another(self, web: Client):
        ann = make_contact(make_workspace())
        given = [token_for(ann, age=timedelta(seconds=age)) for age in (0, 60)]

        for place, token in enumerate(given):
            assert update(web, f"/start {token}", chat=CHAT + place).status_code == 200

        assert fresh(ann).telegram_chat_id == str(CHAT)

    def test_an_update_of_any_number_is_taken(self, web: Client):
        # Too long for an index, and not to be compressed.
        number = int.from_bytes(random.Random(7).randbytes(1_700))

        assert [update(web, "/stop", number=number).status_code for _ in range(2)] == [200, 200]

    def test_a_link_that_is_forged_old_or_for_something_else_links_nobody(self, web: Client):
        workspace = make_workspace()
        ann, ben = make_contact(workspace), make_contact(workspace)
        good = token_for(ann)
        raw = bytearray(links._bytes(good) or b"")
        raw[5:21] = ben.pk.bytes
        later = bytearray(links._bytes(good) or b"")
        later[1:5] = b"\xff\xff\xff\xff"
        link = links.Link(purpose=links.Purpose.PREFERENCES, workspace_id=workspace.id, contact_id=ann.pk)
        tokens = [
            links._text(bytes(raw)),
            links._text(bytes(later)),
            token_for(ann, age=links.CHAT_LIFETIME + timedelta(seconds=2)),
            links.write(link)[:64],
            good[:-1],
            good[:-1] + ("A" if good[-1] != "A" else "B"),
            "x",
            "A" * 64,
        ]
        for token in tokens:
            assert update(web, f"/start {token}").status_code == 200
        assert [fresh(each).telegram_chat_id for each in (ann, ben)] == ["", ""]

    def test_the_link_of_a_merged_contact_leads_to_the_one_that_was_kept(self, web: Client):
        workspace = make_workspace()
        ann, ben = make_contact(workspace), make_contact(workspace)
        token = token_for(ben)
        merging.merge(workspace_id=workspace.id, keep=ann.pk, other=ben.pk)

        update(web, f"/start {token}")

        assert fresh(ann).telegram_chat_id == str(CHAT)

    def test_a_contact_that_is_gone_is_not_linked(self, web: Client):
        ann = make_contact(make_workspace())
        token = token_for(ann)
        ann.delete()
        assert update(web, f"/start {token}").status_code == 200


class TestOptingOut:
    def test_stop_ends_messages_of_every_category_in_every_workspace_that_knows_the_chat(self, web: Client):
        knows, wrote, neither = make_workspace(), make_workspace(), make_workspace()
        ann = make_contact(knows, telegram_chat_id=str(CHAT))
        assert code_of(wrote) == ""

        assert update(web, "/stop").status_code == 200

        assert [code_of(each) for each in (knows, wrote)] == ["suppressed", "suppressed"]
        assert [code_of(each, category="news") for each in (knows, wrote)] == ["suppressed", "suppressed"]
        assert set(fresh(ann).consents.values_list("category", "status")) == {
            ("*", "opted_out"),
            ("transactional", "opted_out"),
        }
        noted = ContactEvent.objects.filter(contact=ann, type="consent.opted_out")
        assert {each.metadata["via"] for each in noted} == {"telegram"}
        assert not Suppression.objects.filter(workspace=neither).exists()
        assert code_of(neither) == ""

    def test_what_was_agreed_to_before_does_not_outweigh_a_stop(self, web: Client):
        workspace = make_workspace()
        ann = make_contact(workspace, telegram_chat_id=str(CHAT))
        say(ann, "news", ConsentStatus.OPTED_IN)

        update(web, "/stop")

        assert code_of(workspace, category="news") == "suppressed"

    def test_blocking_the_bot_is_an_opt_out(self, web: Client):
        workspace = make_workspace()
        make_contact(workspace, telegram_chat_id=str(CHAT))
        standing = {"chat": {"id": CHAT, "type": "private"}, "new_chat_member": {"status": "kicked"}}
        assert post(web, {"update_id": next(numbers), "my_chat_member": standing}).status_code == 200
        assert code_of(workspace) == "suppressed"

    def test_other_channels_are_left_alone(self, web: Client):
        workspace = make_workspace()
        make_contact(workspace, telegram_chat_id=str(CHAT), email="ann@example.com")
        update(web, "/stop")
        assert message(accept_message(workspace, "ann@example.com")).error_code == ""

    def test_the_same_update_twice_counts_once(self, web: Client):
        workspace = make_workspace()
        make_contact(workspace, telegram_chat_id=str(CHAT))
        update(web, "/stop", number=1)
        update(web, "/start", number=2)
        assert update(web, "/stop", number=1).status_code == 200
        assert code_of(workspace) == ""


class TestOptingIn:
    @pytest.mark.parametrize("text", ["/start", "/start@acme_bot", "/start whatever"])
    def test_start_lifts_the_recipients_own_stop(self, web: Client, text: str):
        knows, wrote = make_workspace(), make_workspace()
        ann = make_contact(knows, telegram_chat_id=str(CHAT))
        code_of(wrote)
        update(web, "/stop")

        update(web, text)

        assert [code_of(each) for each in (knows, wrote)] == ["", ""]
        assert set(fresh(ann).consents.values_list("status", flat=True)) == {"opted_in"}
        assert not Suppression.objects.filter(lifted_at=None).exists()

    def test_start_lifts_nothing_that_the_workspace_wrote_down(self, web: Client):
        workspace = make_workspace()
        user = User.objects.create(username=uuid7().hex)
        Member.objects.create(workspace=workspace, user=user)
        make_contact(workspace, telegram_chat_id=str(CHAT))
        suppressions.create(
            workspace_id=workspace.id,
            author_id=user.pk,
            channel=Channel.TELEGRAM,
            address=str(CHAT),
            contact=None,
            category="*",
            reason=Reason.MANUAL,
        )
        update(web, "/start")
        assert code_of(workspace) == "suppressed"

    def test_start_lifts_no_opt_out_that_a_person_wrote_down(self, web: Client):
        workspace = make_workspace()
        user = User.objects.create(username=uuid7().hex)
        ann = make_contact(workspace, telegram_chat_id=str(CHAT))
        say(ann, "transactional", ConsentStatus.OPTED_OUT, author=user)
        update(web, "/start")
        assert code_of(workspace) == "suppressed"

    def test_start_says_nothing_about_single_categories(self, web: Client):
        workspace = make_workspace()
        ann = make_contact(workspace, telegram_chat_id=str(CHAT))
        say(ann, "news", ConsentStatus.OPTED_OUT)
        update(web, "/start")
        assert code_of(workspace, category="news") == "suppressed"


def say(contact: Contact, category: str, status: ConsentStatus, author: User | None = None) -> None:
    consent.put(
        workspace_id=contact.workspace_id,
        contact_id=contact.pk,
        channel=Channel.TELEGRAM,
        category=category,
        status=status,
        author_id=author.pk if author else None,
    )


class TestRefusals:
    @pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "é"])
    def test_without_the_secret_nothing_is_believed(self, web: Client, secret: str | None):
        workspace = make_workspace()
        make_contact(workspace, telegram_chat_id=str(CHAT))
        said = {"message_id": 1, "chat": {"id": CHAT, "type": "private"}, "text": "/stop"}
        assert_problem(post(web, {"update_id": 1, "message": said}, secret), 403, "callback_refused")
        assert code_of(workspace) == ""

    @pytest.mark.parametrize("body", [None, [], 1, "x", {}, {"update_id": "1"}, {"update_id": 1.5}])
    def test_what_is_no_update_is_refused(self, web: Client, body: Any):
        assert_problem(post(web, body), 422, "callback_malformed")
        assert RawCallback.objects.count() == 1

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"text": "/stop"},
            {"text": ["/stop"], "chat": {"id": CHAT, "type": "private"}},
            {"text": "/stop", "chat": {"id": "4711", "type": "private"}},
            {"text": "/stop", "chat": {"id": 2**80, "type": "private"}},
            {"text": "/stop", "chat": {"id": CHAT, "type": "group"}},
            {"text": "hello", "chat": {"id": CHAT, "type": "private"}},
        ],
    )
    def test_what_says_nothing_changes_nothing(self, web: Client, said: Any):
        workspace = make_workspace()
        make_contact(workspace, telegram_chat_id=str(CHAT))
        assert post(web, {"update_id": next(numbers), "message": said}).status_code == 200
        assert code_of(workspace) == ""
