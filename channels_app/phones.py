"""What the numbering plans say of a phone number: how people write it, and whether it may be in use.

This is told and refuses nothing: plans change sooner than the library that knows them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from channels_app.types import Channel

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

BY_NUMBER: Final = frozenset({Channel.SMS, Channel.WHATSAPP})
"""Channels whose addresses are phone numbers."""
_NO_COUNTRY: Final = "001"
"""The region of numbers that are no single country's."""


def written(number: str) -> str:
    """Give a number in E.164 as people write it abroad, or as it is where no plan has it."""
    plans = _plans()
    known = _known(plans, number)
    if known is None:
        return number
    return str(plans.format_number(known, plans.PhoneNumberFormat.INTERNATIONAL))


def doubt(number: str) -> str:
    """Say why a number in E.164 may reach nobody; empty where nothing speaks against it."""
    plans = _plans()
    known = _known(plans, number)
    if known is None:
        return "no country's numbers begin like this"
    region = plans.region_code_for_country_code(known.country_code)
    place = f"+{known.country_code}" + ("" if region == _NO_COUNTRY else f" ({region})")
    if not plans.is_possible_number(known):
        return f"the numbers of {place} have another length"
    return "" if plans.is_valid_number(known) else f"{place} is not known to give out such a number"


def _plans() -> Any:
    """The library, once somebody looks at a number: its tables take 7 MB."""
    return import_module("phonenumbers")


def _known(plans: Any, number: str) -> PhoneNumber | None:
    try:
        known: PhoneNumber = plans.parse(number)
    except plans.NumberParseException:
        return None
    return known
