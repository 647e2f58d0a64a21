"""The table of outcomes is whole: every adapter that can be configured has its row, and a test that goes through it."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

from channels_app.registry import ADAPTERS
from tests.channels_app import adapters
from tests.channels_app.contract import ASKS_NOBODY, EXPECTED, ROWS, AdapterContract, Behaviour, Exempt


def tried() -> list[str]:
    """Give the names of the adapters whose tests go through the table."""
    for module in iter_modules(adapters.__path__):
        import_module(f"{adapters.__name__}.{module.name}")
    contracts = AdapterContract.__subclasses__()
    return [contract.name for contract in contracts if contract.__module__.startswith(adapters.__name__)]


def test_every_adapter_of_the_registry_has_a_row():
    assert sorted(ROWS) == sorted(ADAPTERS)


def test_every_row_has_a_test_that_goes_through_it():
    assert set(tried()) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_tells_how_to_bring_about_every_behaviour_or_why_there_is_none(name):
    assert set(ROWS[name]) == set(Behaviour) == set(EXPECTED)
    assert all(way.why if isinstance(way, Exempt) else way for way in ROWS[name].values())


ASKED = sorted(name for name, row in ROWS.items() if row[Behaviour.REFUSE] is not ASKS_NOBODY)


@pytest.mark.parametrize("name", ASKED)
def test_every_adapter_that_asks_somebody_can_be_refused_fail_and_be_left_in_doubt(name):
    for behaviour in (Behaviour.ACCEPT, Behaviour.REFUSE, Behaviour.FAIL, Behaviour.CUT_AFTER):
        assert isinstance(ROWS[name][behaviour], str)
