"""Reads what avatars send: raw text, a JSON string, or an object around it; and ids as a list or as an object's values.

Text that is no JSON is taken as it stands even where it is called JSON, for that is what published clients do.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NamedTuple

from django.http import HttpRequest
from msgspec import Meta, Struct

from messaging.api.common import bodies
from messaging.api.common.refusals import Malformed, WrongMediaType
from messaging.api.oasis.vocabulary import MESSAGING_IN, MESSAGING_OUT, MessagingWord
from messaging.content.rendering import is_template
from messaging.content.screen import screen
from messaging.errors import Invalid

LARGEST: Final = 10_000
"""Ids in one request."""

_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)


class TalkIn(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True, rename="camel"):
    """The form with a name for everything."""

    content: str
    message_type: Annotated[str | int | None, Meta(description="A name in any case, or its number.")] = None


class Talk(NamedTuple):
    """What is said, and as what, where the body tells."""

    content: str
    kind: MessagingWord | None = None


class Literal(NamedTuple):
    """A text that is sent as it stands, whatever a template would make of it."""

    text: str
    data: dict[str, Any] | None


def talk_of(body: bytes, *, content_type: str) -> Talk:
    """What an avatar says.

    Raises:
        Invalid: it says nothing, or in a form that is none of those.
    """
    text = _decoded(body)
    value = text if content_type.lower().startswith("text/") else _json_or(text, body)
    if isinstance(value, bool | int | float):
        # A number alone is what somebody wrote.
        value = text
    if value is None:
        raise _no_body()
    found = Talk(value) if isinstance(value, str) else _named(value)
    screen(found.content, pointer="/content")
    if not found.content.strip():
        raise Invalid.at("/content", "missing_content", "The message has no content.")
    return found


def ids_of(body: bytes) -> list[str]:
    """The ids of a list, or of the values of an object.

    Raises:
        Invalid: it is neither, or has too many.
    """
    _decoded(body)
    value = bodies.decode(body)
    if value is None:
        raise _no_body()
    found = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Invalid.at("", "wrong_type", "The body is a list of ids.")
    if len(found) > LARGEST:
        raise Invalid.at("", "too_long", f"There may be at most {LARGEST} ids.")
    return found


def kind_of(word: str) -> MessagingWord:
    """What a message is said to be, by its name in any case or its number.

    Raises:
        Invalid: there is no such type.
    """
    kind = MESSAGING_IN.get(word.strip().lower())
    if kind is None:
        detail = f"messageType is one of {', '.join(MESSAGING_OUT.values())}."
        raise Invalid.at("/messageType", "invalid_parameter", detail)
    return kind


def literal(content: str) -> Literal:
    """A text for a draft that means itself."""
    if is_template(content):
        return Literal("{{ content }}", {"content": content})
    return Literal(content, None)


def check_kind(request: HttpRequest) -> str:
    """The kind of body that a request has.

    Raises:
        WrongMediaType: it is a form with parts, or not in UTF-8.
    """
    content_type = str(request.META.get("CONTENT_TYPE", ""))
    charset = _CHARSET.search(content_type)
    if content_type.lower().startswith("multipart/") or (charset and charset[1].lower() not in {"utf-8", "utf8"}):
        raise WrongMediaType("The body must be text or JSON, in UTF-8.")
    return content_type


def _decoded(body: bytes) -> str:
    if not body.strip():
        raise _no_body()
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Malformed.at("", Malformed.code, "The body is not in UTF-8.") from None


def _json_or(text: str, body: bytes) -> Any:
    try:
        return bodies.decode_unscreened(body)
    except Invalid as error:
        if error.code == "duplicate_name":
            raise
        return text


def _named(value: Any) -> Talk:
    screen(value)
    given = bodies.convert(value, TalkIn)
    return Talk(given.content, kind_of(str(given.message_type)) if given.message_type is not None else None)


def _no_body() -> Invalid:
    return Invalid("The request body is required.", code="missing_body")
