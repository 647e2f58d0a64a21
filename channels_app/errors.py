"""What a channel can refuse.

ChannelError
├── InvalidAddress      the recipient cannot be reached by this channel
├── InvalidMessage      the message holds something that this channel does not carry
├── UrlRefused          a URL leads where no request may go
├── ProviderMissing     the channel has no provider, or its settings are wrong
└── CallbackRejected    a request that claims to come from the provider does not
    └── LoginAwaited    it may, but logs in only once it is asked to
"""

from __future__ import annotations


class ChannelError(Exception):
    """A channel refuses; `code` is for programs, the text for people."""

    code = "channel_error"


class InvalidAddress(ChannelError):
    """The recipient cannot be reached by this channel."""

    code = "invalid_recipient"


class InvalidMessage(ChannelError):
    """The message holds something that this channel does not carry.

    `field` names the part of the message, as the canonical API spells it.
    """

    code = "invalid_message"

    def __init__(self, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class UrlRefused(ChannelError):
    """A URL leads where no request may go."""

    code = "url_refused"


class ProviderMissing(ChannelError):
    """The channel has no provider, or its settings are wrong."""

    code = "provider_not_configured"


class CallbackRejected(ChannelError):
    """A request that claims to come from the provider does not."""

    code = "callback_rejected"


class LoginAwaited(CallbackRejected):
    """The provider names its user and password only once it is asked for them."""
