"""The other channels that a message turns to: checked when it is accepted, kept beside it, called off with it.

A step hands on what the message says: its subject where the channel has one, its text, its files and media, its data,
metadata and category. Between e-mail, whose body is HTML, and the other channels only the text goes. Where the message
was made from a template and the channel has one under the same key, that one speaks. What belongs to the envelope of
one channel alone (from, reply_to, cc, bcc, headers) is not handed on to another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from django.db import connection
from msgspec.structs import replace as replace_in

from channels_app.carriage import CARRIES
from channels_app.types import Channel
from messaging.content import templates
from messaging.content.parts import Parts
from messaging.dispatch.draft import Draft, Fallback, Recipient, problems
from messaging.dispatch.sieve import Rejected, Taken, sift
from messaging.dispatch.transitions import NewMessage
from messaging.dispatch.wording import Wording, Wordings
from messaging.errors import FieldError, Invalid
from messaging.models import FallbackStep
from messaging.models.keys import uuid7
from messaging.people.recipients import BY_ID

MOST: Final = 5
"""Steps that one message may have."""
LONGEST: Final = 30 * 24 * 3600
"""Seconds that a step may leave to the message before it."""

_PHONES: Final = frozenset({Channel.SMS, Channel.WHATSAPP})
_State = FallbackStep.State


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of one message, checked."""

    channel: Channel
    recipient: str
    """The address in its one spelling; empty where the contact's counts when the step is taken."""
    contact_id: UUID | None
    template: str
    after_seconds: int | None


def plan(
    draft: Draft, taken: Sequence[Taken], *, workspace_id: UUID, test: bool, batch: bool
) -> tuple[dict[int, list[Step]], list[Rejected]]:
    """Check the draft's steps for every recipient: give each one's, by place, and the recipients that a step cannot
    reach.

    Raises:
        Invalid: a step names no place that it could go to, or cannot carry what the messages share.
    """
    if len(draft.fallback) > MOST:
        raise Invalid.at("/fallback", "too_long", f"a message has at most {MOST} fallbacks")
    found: dict[int, list[Step]] = {place: [] for place in range(len(taken))}
    rejected: dict[int, Rejected] = {}
    for number, wish in enumerate(draft.fallback):
        if batch and wish.to:
            detail = "in a batch each recipient's own contact says where its fallback goes"
            raise Invalid.at(f"/fallback/{number}/to", "not_allowed", detail)
        for place, step in _checked(draft, taken, number, wish, workspace_id, test=test):
            if isinstance(step, Rejected):
                rejected.setdefault(place, step)
            else:
                found[place].append(step)
    return {place: own for place, own in found.items() if place not in rejected}, list(rejected.values())


def _checked(
    draft: Draft, taken: Sequence[Taken], number: int, wish: Fallback, workspace_id: UUID, *, test: bool
) -> Iterator[tuple[int, Step | Rejected]]:
    """One step for every recipient, by place; those who are told the same are looked at together."""
    by_wording: dict[UUID, list[int]] = {}
    for place, one in enumerate(taken):
        by_wording.setdefault(one.wording.content_id, []).append(place)
    for places in by_wording.values():
        wording = taken[places[0]].wording
        template = _template(wording, wish.channel, workspace_id)
        said = draft.parts if template else wording.prepared.parts
        step = handed_on(replace(draft, language=wording.language), said, channel=wish.channel, template=template)
        wordings = _worded(step, said, draft.channel, number, workspace_id, test=test)
        named = [(place, who) for place in places if (who := _who(taken[place], wish, draft.channel)) is not None]
        nobody = set(places) - {place for place, _ in named}
        detail = f"the recipient is no contact, so that the fallback by {wish.channel} needs a to"
        yield from ((place, _rejected(place, number, "/to", "required", detail)) for place in sorted(nobody))
        people, refused = sift(
            workspace_id=workspace_id,
            channel=wish.channel,
            wordings=wordings,
            recipients=[who for _, who in named],
            test=test,
        )
        wrong = {each.index for each in refused}
        passed = [pair for index, pair in enumerate(named) if index not in wrong]
        for (place, who), one in zip(passed, people, strict=True):
            yield place, _step(wish, who, one, template)
        for each in refused:
            yield named[each.index][0], _rejected(named[each.index][0], number, each.pointer, each.code, each.detail)


def _step(wish: Fallback, who: Recipient, one: Taken, template: str) -> Step:
    return Step(
        channel=wish.channel,
        recipient=one.address if who.to else "",
        contact_id=one.contact_id,
        template=template,
        after_seconds=wish.after_seconds,
    )


def _template(wording: Wording, channel: Channel, workspace_id: UUID) -> str:
    """The key under which the step's channel has a template of its own; empty where there is none."""
    if wording.edition is None:
        return ""
    key = wording.edition.template.key
    try:
        templates.offer(workspace_id=workspace_id, name=key, channel=channel)
    except Invalid:
        return ""
    return key


def handed_on(draft: Draft, said: Parts, *, channel: Channel, template: str) -> Draft:
    """What a step sends of a draft that says this."""
    own = draft.channel is channel
    parts = _carried(said, draft.channel, channel)
    return replace(
        draft,
        channel=channel,
        template=template,
        subject=parts.subject,
        body=parts.body,
        text=parts.text,
        sender=draft.sender if own else "",
        reply_to=draft.reply_to if own else "",
        cc=draft.cc if own else (),
        bcc=draft.bcc if own else (),
        headers=draft.headers if own else {},
        scheduled_at=None,
        campaign_id=None,
        fallback=(),
    )


def _carried(said: Parts, of: Channel, channel: Channel) -> Parts:
    subject = said.subject if "subject" in CARRIES[channel] else ""
    if (of is Channel.EMAIL) is (channel is Channel.EMAIL):
        return replace(said, subject=subject)
    text = said.text if of is Channel.EMAIL else said.text or said.body
    return Parts(subject=subject, text=text)


def _worded(step: Draft, said: Parts, of: Channel, number: int, workspace_id: UUID, *, test: bool) -> Wordings:
    errors = list(problems(step, test=test))
    if not step.template and not (step.body or step.text) and (said.body or said.text):
        detail = f"the channel {step.channel} takes no HTML: the message needs a text for its fallback"
        errors.append(FieldError("/text", "text_required", detail))
    else:
        try:
            wordings = Wordings(step, workspace_id=workspace_id)
            wordings.of("")
        except Invalid as error:
            errors += error.errors
    if errors:
        places = [FieldError(_pointer(number, each.pointer), each.code, each.detail) for each in errors]
        raise Invalid(places[0].detail, errors=places)
    return wordings


def _who(one: Taken, wish: Fallback, of: Channel) -> Recipient | None:
    """The recipient of a step: by the address that is given, else the contact, else the same phone number."""
    contact = str(one.contact_id) if one.contact_id else ""
    own = replace_in(one.recipient, to="", contact_id="", avatar_id=None)
    if wish.to:
        return replace_in(own, to=wish.to, contact_id="" if wish.channel in BY_ID else contact)
    if contact:
        return replace_in(own, contact_id=contact)
    return replace_in(own, to=one.address) if {of, wish.channel} <= _PHONES else None


def _rejected(place: int, number: int, pointer: str, code: str, detail: str) -> Rejected:
    return Rejected(index=place, code=code, detail=detail, pointer=_pointer(number, pointer))


def _pointer(number: int, pointer: str) -> str:
    """Where a step is wrong: it has a channel and a recipient; all else it has from the message."""
    return f"/fallback/{number}/{'to' if pointer in {'/to', '/contact_id', '/avatar_id'} else 'channel'}"


# Rows

_KEEP = """
INSERT INTO messaging_fallbackstep
       (id, workspace_id, origin_id, position, channel, recipient, contact_id, template, after_seconds, watched_id,
        due_at)
SELECT id, workspace_id, origin_id, position, channel, recipient, contact_id, template, after_seconds,
       CASE WHEN position = 1 THEN origin_id END,
       CASE WHEN position = 1 THEN COALESCE(%(due)s, now()) + interval '1 second' END
  FROM unnest(%(ids)s::uuid[], %(workspaces)s::uuid[], %(origins)s::uuid[], %(positions)s::int[], %(channels)s::text[],
              %(recipients)s::text[], %(contacts)s::uuid[], %(templates)s::text[], %(afters)s::int[])
       AS given(id, workspace_id, origin_id, position, channel, recipient, contact_id, template, after_seconds)
"""


def keep(rows: Sequence[NewMessage], steps: Mapping[int, Sequence[Step]]) -> None:
    """Write the steps of new messages, by place. Runs inside the caller's transaction."""
    found = [(rows[place], number, step) for place, own in steps.items() for number, step in enumerate(own, start=1)]
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP,
            {
                "due": rows[0].common.scheduled_at,
                "ids": [uuid7() for _ in found],
                "workspaces": [row.common.workspace_id for row, _, _ in found],
                "origins": [row.id for row, _, _ in found],
                "positions": [number for _, number, _ in found],
                "channels": [step.channel.value for _, _, step in found],
                "recipients": [step.recipient for _, _, step in found],
                "contacts": [step.contact_id for _, _, step in found],
                "templates": [step.template for _, _, step in found],
                "afters": [step.after_seconds for _, _, step in found],
            },
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """What a message led to, or can still lead to, and the message that was sent first."""

    origin_id: UUID | None = None
    steps: tuple[FallbackStep, ...] = ()


def chain(message_id: UUID) -> Chain:
    """The steps after a message, in order; `origin_id` is set where the message itself is a fallback."""
    before = FallbackStep.objects.filter(next_id=message_id).first()
    if before is None:
        return Chain(steps=tuple(FallbackStep.objects.filter(origin_id=message_id).order_by("position")))
    rows = FallbackStep.objects.filter(origin_id=before.origin_id, position__gt=before.position).order_by("position")
    return Chain(origin_id=before.origin_id, steps=tuple(rows))


def watching(message_id: UUID) -> FallbackStep | None:
    """The step that follows if the message does not arrive, or that followed."""
    return FallbackStep.objects.filter(watched_id=message_id).order_by("-position").first()


def drop(ids: Iterable[UUID], *, code: str) -> None:
    """Call off what would take the place of these messages. Runs in the transaction that ended them."""
    _close(ids, _State.DROPPED, code)


def spare(ids: Iterable[UUID]) -> None:
    """Note that these messages arrived, as far as that is known."""
    _close(ids, _State.SPARED, "")


_CLOSE = """
UPDATE messaging_fallbackstep s SET state = %(state)s, due_at = NULL, error_code = %(code)s
  FROM messaging_fallbackstep w
 WHERE w.watched_id = ANY(%(ids)s) AND w.state = 'waiting'
   AND s.origin_id = w.origin_id AND s.position >= w.position AND s.state = 'waiting'
"""


def _close(ids: Iterable[UUID], state: FallbackStep.State, code: str) -> None:
    known = sorted(ids)
    if known:
        with connection.cursor() as cursor:
            cursor.execute(_CLOSE, {"ids": known, "state": state.value, "code": code})


def recall(ids: Iterable[UUID]) -> None:
    """Have these messages looked at once more: they came back. Runs in the transaction that noted so."""
    known = sorted(ids)
    if known:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE messaging_fallbackstep SET state = 'waiting', due_at = now() "
                "WHERE watched_id = ANY(%s) AND state IN ('waiting', 'spared')",
                [known],
            )
