"""The three parts of what a message says (subject, body, text): as written, and compiled for a channel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from channels_app.carriage import CARRIES, NEEDS_SUBJECT
from channels_app.types import Channel
from messaging.content import exits, screen
from messaging.content.liquid.context import ABSENT, find
from messaging.content.liquid.tree import Segments
from messaging.content.rendering import Compiled, TemplateRefused, compile, subject_line
from messaging.errors import FieldError, Invalid

_CONTACT = re.compile(r"contact(?:[.\[]|\Z)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The sources of a message; an empty one is none."""

    subject: str = ""
    body: str = field(default="", repr=False)
    text: str = field(default="", repr=False)

    def over(self, below: Parts) -> Parts:
        """These parts, and those of `below` where there is none."""
        return Parts(subject=self.subject or below.subject, body=self.body or below.body, text=self.text or below.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """The parts filled in, with blanks for the variables that are missing."""

    subject: str
    body: str
    text: str
    missing: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """The parts compiled for a channel, ready to be filled in for a recipient."""

    subject: Compiled
    body: Compiled
    text: Compiled
    variables: list[str]
    """Every path that is read, sorted."""
    read_contact: bool
    """Whether anything of the contact is to be filled in."""
    exits: frozenset[str]
    """The links of each message's own that body and text read."""
    needs: frozenset[Segments] | None
    """Paths in all parts: where each has a value, nothing is missing. None where only a render tells."""

    @property
    def parts(self) -> Parts:
        return Parts(subject=self.subject.source, body=self.body.source, text=self.text.source)

    @property
    def static(self) -> bool:
        """Whether there is nothing to fill in."""
        return self.subject.static and self.body.static and self.text.static

    def offered(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """What body and text see where there is no message yet: stand-ins for the links that it will have."""
        return {**exits.stand_ins(self.exits), **context} if self.exits else context

    def missing(self, context: Mapping[str, Any]) -> list[str]:
        """The paths, sorted, that a render would fail for."""
        if self.needs is not None and all(find(context, path) is not ABSENT for path in self.needs):
            return []
        whole = self.offered(context)
        wanted = [*self.subject.missing(context), *self.body.missing(whole), *self.text.missing(whole)]
        return sorted(set(wanted))

    def preview(self, context: Mapping[str, Any]) -> Preview:
        """Fill the parts in as far as that goes.

        Raises:
            RenderFailed: the template reached a limit or met a value that it cannot use.
        """
        subject, whole = self.subject.preview(context), self.offered(context)
        body, text = self.body.preview(whole), self.text.preview(whole)
        return Preview(
            subject=subject_line(subject.text),
            body=body.text,
            text=text.text,
            missing=sorted({*subject.missing, *body.missing, *text.missing}),
        )


def prepare(parts: Parts, *, channel: Channel, whole: bool = True) -> Prepared:
    """Check what can be known of the parts without a recipient, and compile them for a channel.

    Parts that are not the whole of a message may leave its subject to somebody else.

    Raises:
        Invalid: with every place that is wrong.
    """
    errors = list(_errors(parts, channel))
    if whole and channel in NEEDS_SUBJECT and not parts.subject.strip():
        errors.insert(0, FieldError("/subject", "required", f"a message by {channel} needs a subject"))
    compiled: dict[str, Compiled] = {}
    for name, html in (("subject", False), ("body", channel is Channel.EMAIL), ("text", False)):
        try:
            compiled[name] = compile(getattr(parts, name), html=html, field=name)
        except TemplateRefused as error:
            place = f"line {error.line}, column {error.column}: {error.detail}"
            errors.append(FieldError(f"/{name}", "template_refused", place))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    variables = sorted({name for each in compiled.values() for name in each.variables})
    links = exits.read_by((*compiled["body"].variables, *compiled["text"].variables))
    needs = [compiled["subject"].needs, *(_without(compiled[name].needs, links) for name in ("body", "text"))]
    return Prepared(
        **compiled,
        variables=variables,
        read_contact=any(map(_CONTACT.match, variables)),
        exits=links,
        needs=None if None in needs else frozenset().union(*(each for each in needs if each is not None)),
    )


def _without(needs: frozenset[Segments] | None, names: frozenset[str]) -> frozenset[Segments] | None:
    return needs and frozenset(path for path in needs if path[0] not in names)


def _errors(parts: Parts, channel: Channel) -> Iterator[FieldError]:
    if parts.subject and "subject" not in CARRIES[channel]:
        yield FieldError("/subject", "not_carried", f"the channel {channel} does not carry subject")
    if not parts.body and not parts.text:
        yield FieldError("/body", "required", "a message needs a body or a text")
    try:
        screen.one_line(parts.subject)
    except screen.Unclean as error:
        yield FieldError("/subject", error.code, error.detail)
