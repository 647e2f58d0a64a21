"""What a channel carries beside its body: fields that it has no place for are refused, not dropped."""

from __future__ import annotations

from channels_app.types import Channel

_MAIL = frozenset({"from", "reply_to", "cc", "bcc", "headers", "attachments"})

CARRIES: dict[Channel, frozenset[str]] = {
    Channel.EMAIL: _MAIL | {"subject"},
    Channel.SMS: frozenset({"from"}),
    Channel.WHATSAPP: frozenset({"from", "media"}),
    Channel.PUSH: frozenset({"subject"}),
    Channel.TELEGRAM: frozenset({"subject", "media", "attachments"}),
    Channel.ONSITE: frozenset({"subject"}),
    Channel.WEBHOOK: frozenset({"subject"}),
    Channel.DIRECT: frozenset({"subject"}),
}

NEEDS_SUBJECT = frozenset({Channel.EMAIL})

MOST_ATTACHMENTS: dict[Channel, int] = {Channel.TELEGRAM: 1}
"""How many files a message carries, where that is bounded by number."""
