"""Numbers are written as people know them, and doubts are told in words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from channels_app import addresses, phones
from channels_app.types import Channel


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+12025550123", "+1 202-555-0123"),
        ("+4915112345678", "+49 1511 2345678"),
        ("+80012345678", "+800 1234 5678"),
        ("+999123456789", "+999123456789"),
    ],
)
def test_a_number_is_written_with_its_groups_where_a_plan_has_it(number: str, expected: str) -> None:
    assert phones.written(number) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+12025550123", ""),
        ("+80012345678", ""),
        ("+999123456789", "no country's numbers begin like this"),
        ("+1234567890", "the numbers of +1 (US) have another length"),
        ("+12005550123", "+1 (US) is not known to give out such a number"),
    ],
)
def test_a_doubt_says_what_speaks_against_a_number(number: str, expected: str) -> None:
    assert phones.doubt(number) == expected


@pytest.mark.parametrize("number", ["+999123456789", "+1234567890", "+12005550123", "+99999999999999"])
def test_a_doubted_number_is_an_address_all_the_same(number: str) -> None:
    assert phones.doubt(number)
    assert addresses.normalise(Channel.SMS, number) == number


def test_its_tables_are_read_by_those_alone_who_look_at_a_number() -> None:
    looks = "import sys; from channels_app import phones; print('phonenumbers' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", looks], text=True).strip() == "False"
