from __future__ import annotations

import pytest
from msgspec import structs

from channels_app.adapters.sandbox import SandboxAdapter, Scenario, spelled_scenario
from channels_app.base import ChannelAdapter
from channels_app.types import (
    Accepted,
    Ambiguous,
    Channel,
    OnUnknown,
    Outcome,
    Permanent,
    ReceiptKind,
    Throttled,
    Transient,
)
from tests.channels_app.contract import AdapterContract, answers, make_message


class TestContract(AdapterContract):
    name = "sandbox"

    @pytest.fixture
    def adapter(self) -> ChannelAdapter:
        return SandboxAdapter.from_options(Channel.EMAIL, {})

    @pytest.fixture
    def hasty(self, adapter) -> ChannelAdapter:
        return adapter


def delivered(channel: Channel = Channel.EMAIL, address: str = "someone@example.com", **fields: object) -> Outcome:
    (outcome,) = answers(SandboxAdapter(channel), [make_message(channel, address, **fields)])
    return outcome


def kinds(outcome: Outcome) -> list[ReceiptKind]:
    assert isinstance(outcome, Accepted)
    return [receipt.kind for receipt in outcome.receipts]


D, O, C, B, U = (  # noqa: E741
    ReceiptKind.DELIVERED,
    ReceiptKind.OPENED,
    ReceiptKind.CLICKED,
    ReceiptKind.BOUNCED,
    ReceiptKind.UNSUBSCRIBED,
)


@pytest.mark.parametrize(
    ("scenario", "receipts"),
    [
        ("delivered", [D]),
        ("opened", [D, O]),
        ("clicked", [D, O, C]),
        ("bounced", [D, B]),
        ("optout", [D, U]),
        ("silent", []),
    ],
)
@pytest.mark.parametrize("channel", Channel)
def test_receipts_of_a_scenario_come_back_in_order(channel, scenario, receipts):
    outcome = delivered(channel, "whoever", metadata={"sandbox": scenario})
    assert kinds(outcome) == receipts
    assert isinstance(outcome, Accepted)
    assert [receipt.after for receipt in outcome.receipts] == sorted(receipt.after for receipt in outcome.receipts)


@pytest.mark.parametrize(
    ("address", "scenario"),
    [
        ("bounced@example.com", Scenario.BOUNCED),
        ("bounced+7@example.com", Scenario.BOUNCED),
        ("anyone+clicked@example.com", Scenario.CLICKED),
        ("Opened@example.com", Scenario.OPENED),
        ("bouncedbar@example.com", None),
        ("someone@bounced.example", None),
    ],
)
def test_an_email_address_names_its_scenario_in_the_local_part(address, scenario):
    assert spelled_scenario(Channel.EMAIL, address) == scenario


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
def test_the_last_digit_of_a_fictional_number_names_the_scenario(channel):
    found = [spelled_scenario(channel, f"+1202555010{digit}") for digit in range(10)]
    assert found == list(Scenario)
    assert [scenario.value for scenario in found if scenario] == [
        "delivered",
        "opened",
        "clicked",
        "bounced",
        "transient",
        "permanent",
        "throttled",
        "unknown",
        "optout",
        "silent",
    ]


def test_a_real_number_or_another_channel_names_nothing():
    assert spelled_scenario(Channel.SMS, "+12025550110") is None
    assert spelled_scenario(Channel.TELEGRAM, "+12025550103") is None


def test_metadata_win_over_the_address_and_an_unknown_word_does_not_count():
    assert isinstance(delivered(address="permanent@example.com", metadata={"sandbox": "delivered"}), Accepted)
    assert isinstance(delivered(address="permanent@example.com", metadata={"sandbox": "pigeon"}), Permanent)
    assert isinstance(delivered(metadata={"sandbox": ["permanent"]}), Accepted)


def test_a_transient_message_fails_twice_and_is_then_delivered():
    outcomes = [delivered(metadata={"sandbox": "transient"}, attempt=attempt) for attempt in (1, 2, 3)]
    assert [type(outcome) for outcome in outcomes] == [Transient, Transient, Accepted]
    assert kinds(outcomes[2]) == [D]


def test_a_throttled_message_waits_once_and_is_delivered_on_the_same_attempt():
    first, second = (delivered(metadata={"sandbox": "throttled"}, throttles=throttles) for throttles in (0, 1))
    assert first == Throttled(wait=2.0, code="sandbox_throttled", detail="told to wait in the sandbox")
    assert kinds(second) == [D]


def test_an_unknown_outcome_is_held_and_no_receipt_comes():
    outcome = delivered(metadata={"sandbox": "unknown"})
    assert isinstance(outcome, Ambiguous)
    assert outcome.receipts == ()
    assert SandboxAdapter.on_unknown is OnUnknown.HOLD


def test_receipt_keys_differ_by_message_and_attempt_and_repeat_for_the_same():
    message = make_message(metadata={"sandbox": "clicked"})
    batches = (
        [message],
        [message],
        [structs.replace(message, attempt=2)],
        [make_message(metadata={"sandbox": "clicked"})],
    )
    keys = []
    for batch in batches:
        (outcome,) = answers(SandboxAdapter(Channel.EMAIL), batch)
        assert isinstance(outcome, Accepted)
        assert all(receipt.message_id == batch[0].id for receipt in outcome.receipts)
        keys.append(frozenset(receipt.key for receipt in outcome.receipts))
    assert keys[0] == keys[1]
    assert len(keys[0] | keys[2] | keys[3]) == 9
