"""Tells the recipients that can be sent to from those that cannot, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from channels_app.addresses import normalise_many
from channels_app.errors import InvalidAddress
from channels_app.registry import SANDBOX
from channels_app.types import Channel
from messaging.content import screen
from messaging.content.parts import Prepared
from messaging.content.rendering import RenderFailed, context_of, render_subject
from messaging.dispatch import providers
from messaging.dispatch.draft import Recipient
from messaging.dispatch.wording import Wording, Wordings
from messaging.people.recipients import BY_ID, Found, Missing, Person, resolve

_LONGEST_DETAIL = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A recipient that was not taken; `index` is its place in the request, from 0."""

    index: int
    code: str
    detail: str
    pointer: str = "/to"
    """The place within the recipient."""


class Taken(Struct, frozen=True, kw_only=True):
    """A recipient that passed, with the normalised address, what it is told, and the contact that it is."""

    recipient: Recipient
    address: str
    subject: str
    wording: Wording
    contact_id: UUID | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """What is wrong with a recipient's own part, and where."""

    pointer: str
    code: str
    detail: str


_PLAIN = Found(address="")
"""Somebody of whom nothing is known but the address."""


def sift(
    *, workspace_id: UUID, channel: Channel, wordings: Wordings, recipients: Sequence[Recipient], test: bool
) -> tuple[list[Taken], list[Rejected]]:
    """Tell the recipients that can be sent to from those that cannot.

    Raises:
        Invalid: a template lacks what the channel needs.
    """
    taken: list[Taken] = []
    rejected: list[Rejected] = []
    lines = _Lines()
    people = _people(workspace_id, channel, wordings, recipients, test=test)
    plain = [each.to for each in recipients] if people is None else [each.address for each in people]
    addresses = normalise_many(channel, plain)
    for index, (recipient, address) in enumerate(zip(recipients, addresses, strict=True)):
        place = _PLAIN if people is None else people[index]
        if isinstance(place, Missing):
            rejected.append(Rejected(index=index, code=place.code, detail=place.detail, pointer=place.pointer))
            continue
        if isinstance(address, InvalidAddress):
            rejected.append(Rejected(index=index, code=address.code, detail=str(address)))
            continue
        person = place.person
        wording = wordings.of(person.locale if person else "")
        if person is not None:
            recipient = _filled(recipient, person, wording.prepared)
        subject = lines.of(wording.prepared, recipient, address)
        if isinstance(subject, Wrong):
            rejected.append(Rejected(index=index, code=subject.code, detail=subject.detail, pointer=subject.pointer))
            continue
        taken.append(
            Taken(recipient=recipient, address=address, subject=subject, wording=wording, contact_id=place.contact_id)
        )
    return taken, rejected


class _Lines:
    """The subjects of many: what says the same to all is looked at once."""

    def __init__(self) -> None:
        self._said: dict[int, str | Wrong | None] = {}

    def of(self, prepared: Prepared, recipient: Recipient, address: str) -> str | Wrong:
        wrong = _wrong_name(recipient.name)
        if wrong is not None:
            return wrong
        place = id(prepared)
        if place not in self._said:
            self._said[place] = _line(prepared, {}, pointer="/subject") if prepared.static else None
            return subject_of(prepared, recipient, address, whole=True)
        said = self._said[place]
        return subject_of(prepared, recipient, address, whole=False) if said is None else said


def _people(
    workspace_id: UUID, channel: Channel, wordings: Wordings, recipients: Sequence[Recipient], *, test: bool
) -> list[Found | Missing] | None:
    """Look up who is named; None where every recipient is a plain address."""
    if channel not in BY_ID and all(each.to and not each.contact_id and not each.avatar_id for each in recipients):
        return None
    adapter = providers.adapter(channel.value, test=test)
    return resolve(
        workspace_id=workspace_id,
        channel=channel,
        recipients=recipients,
        whole=wordings.ask_contact,
        invented=adapter is not None and adapter.provider == SANDBOX,
    )


def _filled(recipient: Recipient, person: Person, prepared: Prepared) -> Recipient:
    """The recipient with what the contact knows and the request does not say."""
    data = recipient.data
    if recipient.name and not prepared.read_contact:
        return recipient
    if prepared.read_contact:
        data = {"contact": person.snapshot(), **(data or {})}
    return replace(recipient, name=recipient.name or person.name, data=data)


def subject_of(prepared: Prepared, recipient: Recipient, address: str, *, whole: bool) -> str | Wrong:
    """Check a recipient's own part and render the subject for it.

    `whole` renders the rest too, for nothing but to see whether that can be done: once for each wording, since for all
    it would take as long as sending.
    """
    wrong = _wrong_name(recipient.name)
    if wrong is not None:
        return wrong
    if prepared.static:
        return _line(prepared, {}, pointer="/subject")
    context = context_of(recipient.data or {}, recipient.name, address)
    missing = prepared.missing(context)
    if missing:
        detail = f"the template needs: {', '.join(missing)[:_LONGEST_DETAIL]}"
        return Wrong(pointer="/data", code="missing_variables", detail=detail)
    try:
        if whole:
            prepared.body.render(prepared.offered(context))
            prepared.text.render(prepared.offered(context))
    except RenderFailed as error:
        return Wrong(pointer="/data", code="render_failed", detail=error.detail)
    return _line(prepared, context, pointer="/data")


def _wrong_name(name: str) -> Wrong | None:
    try:
        screen.one_line(name)
    except screen.Unclean as error:
        return Wrong(pointer="/name", code=error.code, detail=error.detail)
    return None


def _line(prepared: Prepared, context: Mapping[str, Any], *, pointer: str) -> str | Wrong:
    try:
        return render_subject(prepared.subject, context)
    except RenderFailed as error:
        return Wrong(pointer=pointer, code="render_failed", detail=error.detail)
