"""Reads request bodies: bytes, then JSON, then a typed Struct, each step with its own refusal."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

import msgspec
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest

from messaging.api.common.refusals import Malformed, WrongMediaType
from messaging.content.screen import screen
from messaging.errors import FieldError, Invalid, TooLarge

T = TypeVar("T")

STRICT_BYTES = 64 * 1024
"""Up to this size a name that stands twice in one object is refused; in longer bodies the last one counts."""

_WHOLE = ""
"""The pointer to a body as a whole, where what is wrong has no place among its values."""
_JSON = re.compile(r"application/json\s*(?:;\s*charset\s*=\s*\"?utf-8\"?\s*)?\Z", re.IGNORECASE)
_SEGMENT = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]")
_PLACED = re.compile(r"(?P<what>.*) - at `(?P<key>key in )?(?P<path>\$[^`]*)`\Z", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_CODES = (
    ("Invalid enum value", "invalid_choice"),
    ("Invalid ", "invalid_value"),
    ("Expected `datetime` with", "time_zone_required"),
    ("of length <=", "too_long"),
    ("of length >=", "too_short"),
    ("matching regex", "invalid_value"),
    (">=", "out_of_range"),
    ("<=", "out_of_range"),
    ("Expected ", "wrong_type"),
)


def read(request: HttpRequest) -> bytes:
    """Give the body of a JSON request, never more than `MAX_BODY_BYTES`.

    Raises:
        WrongMediaType: the body is not plain JSON in UTF-8.
        TooLarge: it is longer than a request may be, whether its length was announced or not.
    """
    _demand_json(request)
    return read_any(request)


def read_if_any(request: HttpRequest) -> bytes:
    """Give the body of a request that may have none; one that is there is JSON.

    Raises:
        WrongMediaType, TooLarge: see `read`.
    """
    body = read_any(request)
    if body:
        _demand_json(request)
    return body


def _demand_json(request: HttpRequest) -> None:
    if not _JSON.match(request.META.get("CONTENT_TYPE", "")):
        raise WrongMediaType("The body must be application/json in UTF-8.")


def read_any(request: HttpRequest, *, most: int | None = None) -> bytes:
    """Give the body of a request of any kind, never more than `most` bytes, or `MAX_BODY_BYTES`.

    Raises:
        WrongMediaType: the body is compressed.
        TooLarge: it is longer than a request may be, whether its length was announced or not.
    """
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise WrongMediaType("The body must not be compressed.")
    limit: int = settings.MAX_BODY_BYTES if most is None else most
    announced = request.META.get("CONTENT_LENGTH") or ""
    if announced.isdecimal() and int(announced) > limit:
        _refuse_size(limit)
    body: bytes = _stream(request, announced).read(limit + 1)
    if len(body) > limit:
        _refuse_size(limit)
    return body


def _stream(request: HttpRequest, announced: str) -> Any:
    """A body without a length (chunked) is read from the server, where the server marks its end; Django shows none."""
    unannounced = not announced and request.META.get("wsgi.input_terminated")
    return request.environ["wsgi.input"] if unannounced and isinstance(request, WSGIRequest) else request


def _refuse_size(limit: int) -> NoReturn:
    detail = f"A request body has at most {limit} bytes."
    raise TooLarge(detail, code="body_too_large", errors=[FieldError(_WHOLE, "body_too_large", detail)])


def parse(body: bytes, into: type[T]) -> T:
    """Turn a body into a Struct.

    Raises:
        Malformed: it is not one JSON value.
        Invalid: a field is unknown, missing or of the wrong type, or holds what cannot be stored.
    """
    return convert(decode(body), into)


def decode(body: bytes) -> Any:
    """Read one JSON value without NUL, lone surrogates, numbers out of range or too many levels.

    Raises:
        Malformed: it is not one JSON value.
        Unclean: it holds what cannot be taken in.
    """
    value = decode_unscreened(body)
    screen(value)
    return value


def decode_unscreened(body: bytes) -> Any:
    """Read one JSON value; whoever asks screens its parts. A byte order mark before it is passed over (RFC 8259, 8.1).

    Raises:
        Malformed: it is not one JSON value.
    """
    body = body.removeprefix(BOM_UTF8)
    try:
        if len(body) > STRICT_BYTES:
            return msgspec.json.decode(body)
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except msgspec.ValidationError as error:
        raise Invalid.at(_WHOLE, "out_of_range", "A number is out of range.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed("The body is not valid JSON in UTF-8.") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not valid JSON: line {error.lineno}, column {error.colno}.") from error
    except ValueError as error:
        # Python's own limit on the digits of a whole number.
        raise Invalid.at(_WHOLE, "out_of_range", "A number is out of range.") from error


def demand_unique(body: bytes) -> None:
    """Refuse a body, of those that are looked at so closely, in which a name stands twice in one object.

    Raises:
        Malformed: one does.
    """
    if len(body) <= STRICT_BYTES:
        decode_unscreened(body)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _malformed("A name stands twice in one object.", code="duplicate_name")
    return found


def _malformed(detail: str, *, code: str = Malformed.code) -> Invalid:
    return Malformed.at(_WHOLE, code, detail)


def _no_number(word: str) -> NoReturn:
    raise _malformed("NaN and infinities are not JSON.")


def convert(value: Any, into: type[T]) -> T:
    """Turn a JSON value into a Struct.

    Raises:
        Invalid: a field is unknown, missing or of the wrong type.
    """
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        place = field_error(error)
        raise Invalid(place.detail, errors=[place]) from error


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Say which field a Struct was refused for, and why."""
    placed = _PLACED.match(str(error))
    what = placed["what"] if placed else str(error)
    parts = [name or index for name, index in _SEGMENT.findall(placed["path"])] if placed else []
    if unknown := _UNKNOWN.match(what):
        return FieldError(_pointer(parts, unknown[1]), "unknown_field", "There is no such field.")
    if missing := _MISSING.match(what):
        return FieldError(_pointer(parts, missing[1]), "required", "This field is required.")
    code = next((code for words, code in _CODES if words in what), "invalid_value")
    return FieldError(_pointer(parts), code, what.replace("`", ""))


def _pointer(parts: list[str], name: str | None = None) -> str:
    names = [*parts, name.replace("~", "~0").replace("/", "~1")[:200]] if name is not None else parts
    return "".join(f"/{each}" for each in names)


def utc(moment: datetime | None, pointer: str) -> datetime | None:
    """The same moment in UTC.

    Raises:
        Invalid: its offset carries it beyond the first or the last year.
    """
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError as error:
        place = FieldError(pointer, "out_of_range", "The time is out of range.")
        raise Invalid(place.detail, errors=[place]) from error
