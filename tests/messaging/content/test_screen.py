from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.content.screen import DEPTH, LARGEST, SMALLEST, Unclean, one_line, screen


def found(value: object, pointer: str = "") -> tuple[str, str]:
    with pytest.raises(Unclean) as caught:
        screen(value, pointer=pointer)
    return caught.value.code, caught.value.pointer


def nested(levels: int, inside: object) -> object:
    for level in range(levels):
        inside = [inside] if level % 2 else {"a": inside}
    return inside


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "Zoë 😀 \n\t\x01 \U0010ffff",
        0,
        LARGEST,
        SMALLEST,
        1.5,
        -0.0,
        1.7e308,
        [1.7e308, 1.7e308],
        [],
        {},
        {"a": [{"b": "c"}, [[]]], "é": {"~/": None}},
        nested(DEPTH, "x"),
        nested(DEPTH - 1, []),
    ],
)
def test_clean_values_pass(value):
    screen(value)


@pytest.mark.parametrize(
    ("value", "code", "pointer"),
    [
        ("a\0b", "nul_character", ""),
        (["a", {"b": ["c", "\0"]}], "nul_character", "/1/b/1"),
        ({"a": {"x\0y": 1}}, "nul_character", "/a/x\ufffdy"),
        ({"\0": "\0"}, "nul_character", "/\ufffd"),
        ({"a/b~c": "\0"}, "nul_character", "/a~1b~0c"),
        ({"k" * 500 + "\0": 1}, "nul_character", f"/{'k' * 100}…"),
        ("\ud800", "lone_surrogate", ""),
        ({"a": ["é", "x\udfff"]}, "lone_surrogate", "/a/1"),
        ({"\udc00": 1}, "lone_surrogate", "/\ufffd"),
        (["\ud83d", "\ude00"], "lone_surrogate", "/0"),
        ({"a": float("nan")}, "not_finite", "/a"),
        ([1.0, float("inf")], "not_finite", "/1"),
        ([float("-inf"), float("inf")], "not_finite", "/0"),
        (json.loads("[1e400]"), "not_finite", "/0"),
        ([LARGEST + 1], "out_of_range", "/0"),
        ({"n": SMALLEST - 1}, "out_of_range", "/n"),
        (10**4000, "out_of_range", ""),
        ({"a": "fine", "b": "\0", "c": float("nan")}, "nul_character", "/b"),
    ],
)
def test_what_cannot_be_taken_in_is_found_at_its_place(value, code, pointer):
    assert found(value) == (code, pointer)


def test_the_pointer_goes_on_from_where_the_value_stands():
    assert found({"x": "\0"}, "/recipients/3/data") == ("nul_character", "/recipients/3/data/x")


def test_one_level_more_than_allowed_is_too_deep():
    code, pointer = found(nested(DEPTH + 1, "x"))
    assert code == "too_deep"
    assert pointer.count("/") == DEPTH
    assert found(nested(DEPTH, []))[0] == "too_deep"
    assert found(nested(100_000, "x"))[0] == "too_deep"


def test_one_bad_character_among_ten_thousand_recipients_is_found():
    recipients: list[Any] = [
        {"to": f"a{i}@example.com", "data": {"n": i, "t": ["é", 1.5, None]}} for i in range(10_000)
    ]
    screen({"recipients": recipients})
    recipients[9_998]["data"]["t"][0] = "\0"
    assert found({"recipients": recipients}) == ("nul_character", "/recipients/9998/data/t/0")


def test_details_and_pointers_can_be_printed_and_stored():
    for value in ({"a\0\ud800\n": "\0"}, {"a\0\ud800\n": 10**30}, "\ud800"):
        with pytest.raises(Unclean) as caught:
            screen(value)
        for written in (str(caught.value), caught.value.pointer, caught.value.detail):
            one_line(written)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner),
    )
)
def test_what_passes_can_be_stored_and_what_does_not_cannot(value):
    text = json.dumps(value, ensure_ascii=False)
    storable = (
        "\\u0000" not in text.replace("\\\\", "")
        and not any(0xD800 <= ord(character) < 0xE000 for character in text)
        and not re.search(r"NaN|Infinity", re.sub(r'"(\\.|[^"\\])*"', "", text, flags=re.DOTALL))
        and all(SMALLEST <= int(number) <= LARGEST for number in integers(value))
    )
    assert passes(value) is storable


def passes(value: object) -> bool:
    try:
        screen(value)
    except Unclean:
        return False
    return True


def integers(value: object) -> list[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in integers(item)]
    return [value] if isinstance(value, int) else []


@pytest.mark.parametrize("text", ["", "Hello", "Zoë — 50 % 😀", "a\u00a0b", "family 👩\u200d👧", "שלום"])
def test_ordinary_text_is_one_line(text):
    one_line(text)


@pytest.mark.parametrize(
    "character", ["\0", "\t", "\n", "\r", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"]
)
def test_line_breaks_and_control_characters_are_refused_in_a_line(character):
    with pytest.raises(Unclean) as caught:
        one_line(f"Hi{character}Bcc: x@example.com", pointer="/subject")
    assert (caught.value.code, caught.value.pointer) == ("control_character", "/subject")


def test_half_a_surrogate_pair_is_refused_in_a_line():
    with pytest.raises(Unclean) as caught:
        one_line("a\ud800")
    assert caught.value.code == "lone_surrogate"
