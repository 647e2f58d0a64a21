"""What is kept here is delivered by being kept."""

from __future__ import annotations

import pytest

from channels_app.adapters.inapp import InAppAdapter
from channels_app.base import ChannelAdapter
from channels_app.errors import ProviderMissing
from channels_app.types import Accepted, Channel, OnUnknown, OutboundMessage, Receipt, ReceiptKind
from tests.channels_app.contract import AdapterContract, Behaviour, answers, make_message

CHANNELS = (Channel.ONSITE, Channel.DIRECT)


class TestContract(AdapterContract):
    name = "inapp"

    @pytest.fixture(params=CHANNELS)
    def adapter(self, request) -> ChannelAdapter:
        return InAppAdapter.from_options(request.param, {})

    @pytest.fixture
    def hasty(self, adapter) -> ChannelAdapter:
        return adapter

    def message(self, adapter: ChannelAdapter, behaviour: Behaviour = Behaviour.ACCEPT) -> OutboundMessage:
        return make_message(adapter.channel, self.address(behaviour))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_message_is_delivered_by_the_same_breath_that_sends_it(channel):
    message = make_message(channel, "ann", attempt=2)
    (outcome,) = answers(InAppAdapter.from_options(channel, {}), [message])
    delivered = Receipt(kind=ReceiptKind.DELIVERED, key=f"{message.id}:2", message_id=message.id)
    assert outcome == Accepted(provider_message_id=str(message.id), receipts=(delivered,))


def test_a_repeat_is_harmless():
    assert InAppAdapter.on_unknown is OnUnknown.REPEAT


@pytest.mark.parametrize("channel", [channel for channel in Channel if channel not in CHANNELS])
def test_no_other_channel_is_kept_here(channel):
    with pytest.raises(ProviderMissing):
        InAppAdapter.from_options(channel, {})
