"""The words of this surface, and what they mean to the domain.

The domain's kinds of action and languages are open, this surface's are closed. What it has no word for is shown as
`custom` and as `en`, and a filter by these two finds it: each `_known` table is read in both directions.
"""

from __future__ import annotations

from typing import Literal, get_args

from channels_app.types import Channel
from messaging.content import languages
from messaging.state import Priority, Standing

SystemWord = Literal["email", "sms", "push"]
StatusWord = Literal["pending", "delivered", "failed", "scheduled", "cancelled", "retrying"]
ActionWord = Literal["register", "login", "reset", "verify", "otp", "org_invite", "custom", "internal"]
LanguageWord = Literal["en", "es", "fr", "de", "it", "pt", "ru"]
ContentWord = Literal["text", "html"]
OrderWord = Literal["asc", "desc", "ascending", "descending"]

CHANNEL_OUT: dict[Channel, SystemWord | None] = {
    Channel.EMAIL: "email",
    Channel.SMS: "sms",
    Channel.WHATSAPP: None,
    Channel.PUSH: "push",
    Channel.TELEGRAM: None,
    Channel.ONSITE: None,
    Channel.WEBHOOK: None,
    Channel.DIRECT: None,
}
"""None is a channel that this surface does not show."""

STATUS_OUT: dict[Standing, StatusWord] = {
    Standing.SCHEDULED: "scheduled",
    Standing.QUEUED: "pending",
    Standing.RETRYING: "retrying",
    Standing.SENDING: "pending",
    # There is no word between pending and delivered, and many providers send no receipts.
    Standing.SENT: "delivered",
    Standing.DELIVERED: "delivered",
    Standing.OPENED: "delivered",
    Standing.CLICKED: "delivered",
    Standing.BOUNCED: "failed",
    Standing.FAILED: "failed",
    Standing.UNSUBSCRIBED: "delivered",
    Standing.CANCELLED: "cancelled",
}

URGENT: frozenset[ActionWord] = frozenset({"register", "login", "reset", "verify", "otp"})
"""Kinds of action that somebody waits for in front of a screen: they take the urgent lane."""

ASCENDING: dict[OrderWord, bool] = {"asc": True, "ascending": True, "desc": False, "descending": False}

CHANNEL_IN: dict[SystemWord, Channel] = {word: channel for channel, word in CHANNEL_OUT.items() if word is not None}
CHANNELS = frozenset(CHANNEL_IN.values())
"""The channels that this surface shows."""
STATUS_IN: dict[StatusWord, frozenset[Standing]] = {
    word: frozenset(standing for standing, shown in STATUS_OUT.items() if shown == word)
    for word in get_args(StatusWord)
}

OTHER_ACTION: ActionWord = "custom"
OTHER_LANGUAGE: LanguageWord = "en"
_ACTIONS: dict[str, ActionWord] = {word: word for word in get_args(ActionWord)}
_LANGUAGES: dict[str, LanguageWord] = {word: word for word in get_args(LanguageWord)}
NAMED_ACTIONS = frozenset(_ACTIONS) - {OTHER_ACTION}
"""The kinds of action that are not shown as OTHER_ACTION."""
NAMED_LANGUAGES = frozenset(_LANGUAGES) - {OTHER_LANGUAGE}
"""The languages that are not shown as OTHER_LANGUAGE."""


def action_word(action_type: str) -> ActionWord:
    """The word for a kind of action."""
    return _ACTIONS.get(action_type, OTHER_ACTION)


def language_word(tag: str) -> LanguageWord:
    """The word for a language: `pt` for `pt-BR`."""
    known = (_LANGUAGES[language] for language in languages.chain(tag) if language in _LANGUAGES)
    return next(known, OTHER_LANGUAGE)


def priority_of(action: ActionWord) -> Priority:
    """The lane that a kind of action takes."""
    return Priority.URGENT if action in URGENT else Priority.NORMAL
