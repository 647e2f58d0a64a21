"""What two avatars wrote to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from channels_app.types import Channel
from messaging.dispatch import control
from messaging.dispatch.draft import Recipient
from messaging.errors import Invalid, NotFound
from messaging.inbox import conversations
from messaging.models import Message, User, Workspace
from messaging.models.keys import uuid7
from messaging.people.recipients import resolve
from messaging.state import Cause
from tests.factories import make_member, make_workspace
from tests.messaging.inbox.arrivals import arrive, send
from tests.messaging.people.rows import make_contact

pytestmark = pytest.mark.usefixtures("transactional_db")


@dataclass(frozen=True)
class Pair:
    """Two members of a workspace."""

    workspace: Workspace
    ann: User
    bob: User

    def write(self, author: User, reader: User, **fields: Any) -> UUID:
        return send(self.workspace, author=author, to=str(reader.avatar_id), channel=Channel.DIRECT, **fields)

    def seen_by(self, reader: User, other: User | UUID, **fields: Any) -> list[UUID]:
        named = {"ascending": True, "beyond": None, "limit": 50, **fields}
        found = conversations.messages(
            workspace_id=self.workspace.id,
            avatar_id=reader.avatar_id,
            other_id=other.avatar_id if isinstance(other, User) else other,
            **named,
        )
        return [row.id for row in found]


@pytest.fixture
def pair() -> Pair:
    workspace = make_workspace()
    return Pair(workspace, make_member(workspace).user, make_member(workspace).user)


def test_both_directions_stand_in_one_line_the_oldest_first(pair: Pair):
    keys = [pair.write(pair.ann, pair.bob), pair.write(pair.bob, pair.ann), pair.write(pair.ann, pair.bob)]
    arrive()

    assert pair.seen_by(pair.ann, pair.bob) == pair.seen_by(pair.bob, pair.ann) == keys


def test_others_and_other_channels_are_not_in_it(pair: Pair):
    cid = make_member(pair.workspace).user
    pair.write(pair.ann, cid)
    pair.write(cid, pair.bob)
    send(pair.workspace, author=pair.ann, to=str(pair.bob.avatar_id))
    test = pair.write(pair.ann, pair.bob, test=True)
    arrive()

    assert pair.seen_by(pair.ann, pair.bob) == []
    assert pair.seen_by(pair.ann, pair.bob, test=True) == [test]


def test_a_writer_sees_what_is_on_its_way_and_a_reader_what_arrived(pair: Pair):
    waiting, cancelled, failed = (pair.write(pair.ann, pair.bob) for _ in range(3))
    pair.write(pair.ann, pair.bob, scheduled_at=timezone.now() + timedelta(hours=1))
    control.cancel(workspace_id=pair.workspace.id, message_id=cancelled, cause=Cause.API)
    Message.objects.filter(id=failed).update(status="FAILED")

    assert pair.seen_by(pair.ann, pair.bob) == [waiting, failed]
    assert pair.seen_by(pair.bob, pair.ann) == []


def test_what_one_writes_to_oneself_is_there_once(pair: Pair):
    waiting = pair.write(pair.ann, pair.ann)
    assert pair.seen_by(pair.ann, pair.ann) == [waiting]
    arrive()
    assert pair.seen_by(pair.ann, pair.ann) == [waiting]


def test_pages_go_both_ways_and_skip(pair: Pair):
    keys = [pair.write(*((pair.ann, pair.bob) if n % 2 else (pair.bob, pair.ann))) for n in range(6)]
    arrive()

    assert pair.seen_by(pair.ann, pair.bob, limit=2) == keys[:2]
    assert pair.seen_by(pair.ann, pair.bob, beyond=keys[1], limit=2) == keys[2:4]
    assert pair.seen_by(pair.ann, pair.bob, beyond=keys[4], limit=2, ascending=False) == [keys[3], keys[2]]
    assert pair.seen_by(pair.ann, pair.bob, offset=3, limit=2) == keys[3:5]


def test_a_contact_may_be_written_to_by_any_of_its_names(pair: Pair):
    face = uuid7()
    contact = make_contact(pair.workspace, avatar_id=face, external_id="crm-7")
    keys = [
        send(pair.workspace, author=pair.ann, channel=Channel.DIRECT, **named)
        for named in ({"to": str(face)}, {"to": "crm-7"}, {"contact_id": str(contact.id)}, {"avatar_id": face})
    ]

    assert pair.seen_by(pair.ann, face) == keys


def test_a_direct_message_goes_to_an_avatar_of_the_workspace_only(pair: Pair):
    foreigner = make_member(make_workspace()).user
    faceless = make_contact(pair.workspace, external_id="crm-8")
    for named, code in (
        ({"to": str(foreigner.avatar_id)}, "invalid_recipient"),
        ({"avatar_id": foreigner.avatar_id}, "invalid_recipient"),
        ({"to": str(pair.bob.id)}, "invalid_recipient"),
        ({"avatar_id": uuid7()}, "invalid_recipient"),
        ({"contact_id": str(faceless.id)}, "contact_unreachable"),
        ({"contact_id": str(pair.bob.avatar_id)}, "contact_not_found"),
    ):
        with pytest.raises(Invalid) as refusal:
            send(pair.workspace, channel=Channel.DIRECT, **named)
        assert (refusal.value.code, len(refusal.value.errors)) == (code, 1), named
    assert not Message.objects.exists()


@pytest.mark.parametrize("to", ["bob", "01a1fd6e-0dca-713b-9b4e-7efab0633194"])
def test_an_id_that_nobody_bears_is_for_the_sandbox_alone(pair: Pair, to: str):
    asked = [Recipient(to=to)]
    kept = resolve(workspace_id=pair.workspace.id, channel=Channel.DIRECT, recipients=asked, invented=True)
    refused = resolve(workspace_id=pair.workspace.id, channel=Channel.DIRECT, recipients=asked)

    assert [each.address for each in kept] == [to]
    assert [getattr(each, "code", None) for each in refused] == ["invalid_recipient"]


def test_a_contact_named_like_an_avatar_does_not_take_its_letters(pair: Pair):
    make_contact(pair.workspace, avatar_id=uuid7(), external_id=str(pair.bob.avatar_id))
    key = send(pair.workspace, author=pair.ann, channel=Channel.DIRECT, to=str(pair.bob.avatar_id))

    assert Message.objects.get(id=key).recipient == str(pair.bob.avatar_id)


def test_an_avatar_is_written_to_in_any_spelling(pair: Pair):
    keys = [
        send(pair.workspace, author=pair.ann, channel=Channel.DIRECT, to=to)
        for to in (str(pair.bob.avatar_id).upper(), pair.bob.avatar_id.hex)
    ]
    assert pair.seen_by(pair.ann, pair.bob) == keys


def test_the_other_must_be_known(pair: Pair):
    stranger = make_member(make_workspace()).user
    for other in (stranger.avatar_id, uuid7(), pair.bob.id):
        with pytest.raises(NotFound):
            pair.seen_by(pair.ann, other)


def test_what_somebody_wrote_who_left_stays(pair: Pair):
    key = pair.write(pair.bob, pair.ann)
    arrive()
    pair.bob.members.all().delete() if hasattr(pair.bob, "members") else None

    assert pair.seen_by(pair.ann, pair.bob) == [key]
