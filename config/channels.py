"""Each channel's providers, in order of preference, from what the environment says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from channels_app.types import Channel

MOST_WEIGHT = 1000
MOST_RATE = 100_000.0

Options = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the environment says of providers."""

    deadline: float
    """Seconds for one message, all of its providers together."""
    public_url: str = ""
    """Where providers reach us; empty where nobody said so."""
    email: Sequence[str] = ()
    """URLs of SMTP servers and e-mail services."""
    anymail: Mapping[str, Any] = field(default_factory=dict)
    """What e-mail services need, by Anymail's names."""
    default_from: str = ""
    twilio: Mapping[str, str] = field(default_factory=dict)
    vapid_key: str = ""
    vapid_subject: str = ""
    telegram: Mapping[str, str] = field(default_factory=dict)
    webhook_secrets: Sequence[str] = ()
    allow: Sequence[str] = ()
    ca_file: str = ""
    sandbox: bool = False


def channels(given: Given) -> dict[str, list[Options]]:
    """The options of every provider. Channels without one use the sandbox, where there is one."""
    found: dict[str, list[Options]] = {
        Channel.EMAIL: _email(given),
        Channel.SMS: _twilio(given, "sms_from"),
        Channel.WHATSAPP: _twilio(given, "whatsapp_from"),
        Channel.PUSH: _push(given),
        Channel.TELEGRAM: _telegram(given),
        Channel.WEBHOOK: _webhook(given),
        Channel.ONSITE: [] if given.sandbox else [{"adapter": "inapp"}],
        Channel.DIRECT: [] if given.sandbox else [{"adapter": "inapp"}],
    }
    fallback: list[Options] = [{"adapter": "sandbox"}] if given.sandbox else []
    return {channel.value: found[channel] or list(fallback) for channel in Channel}


def rates(words: Sequence[str]) -> dict[str, float]:
    """Read `provider=messages a second`.

    Raises:
        ImproperlyConfigured: a rate is malformed.
    """
    found: dict[str, float] = {}
    for word in words:
        name, _, said = word.partition("=")
        try:
            rate = float(said)
        except ValueError:
            rate = 0.0
        if not name.strip() or not 0 < rate <= MOST_RATE:
            raise ImproperlyConfigured(
                f"PROVIDER_RATES: each rate is written provider=messages a second, up to {MOST_RATE:.0f}, not {word!r}"
            )
        found[name.strip()] = rate
    return found


def _email(given: Given) -> list[Options]:
    # Each server has its part of the time, so that there is some left for the next one when it stalls.
    share = given.deadline / max(1, len(given.email))
    found: list[Options] = []
    for url in given.email:
        options = {**_weighed(url), "default_from": given.default_from, "timeout": share}
        if url.startswith("anymail:"):
            found.append({"adapter": "anymail", **options, "settings": dict(given.anymail)})
        else:
            found.append({"adapter": "smtp", **options})
    return found


def _weighed(url: str) -> Options:
    """A URL without its weight, and the weight beside it."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return {"url": url}
    weights = [value for name, value in query if name == "weight"]
    if not weights:
        return {"url": url}
    said = weights[-1]
    if not (said.isascii() and said.isdigit() and 1 <= int(said) <= MOST_WEIGHT):
        raise ImproperlyConfigured(f"EMAIL_URL: a weight is a whole number from 1 to {MOST_WEIGHT}")
    rest = urlencode([(name, value) for name, value in query if name != "weight"])
    return {"url": urlunsplit(parts._replace(query=rest)), "weight": int(said)}


def _twilio(given: Given, sender: str) -> list[Options]:
    told = given.twilio
    # What was said in part is handed on: the adapter tells what is missing.
    lost = bool(told.get("account")) and not (told.get("sms_from") or told.get("whatsapp_from"))
    if not told.get(sender) and not lost:
        return []
    return [
        {
            "adapter": "twilio",
            "account": told.get("account", ""),
            "token": told.get("token", ""),
            "from": told.get(sender, ""),
            "base": told.get("base", ""),
            "timeout": given.deadline,
            "callback_url": f"{given.public_url}/api/v1/callbacks/twilio" if given.public_url else "",
        }
    ]


def _push(given: Given) -> list[Options]:
    if not (given.vapid_key or given.vapid_subject):
        return []
    return [
        {
            "adapter": "webpush",
            "key": given.vapid_key,
            "subject": given.vapid_subject,
            "allow": list(given.allow),
            "ca_file": given.ca_file,
            "timeout": given.deadline,
        }
    ]


def _telegram(given: Given) -> list[Options]:
    told = given.telegram
    return [{"adapter": "telegram", **told, "timeout": given.deadline}] if told.get("token") else []


def _webhook(given: Given) -> list[Options]:
    if not given.webhook_secrets:
        return []
    return [
        {
            "adapter": "webhook",
            "secrets": list(given.webhook_secrets),
            "allow": list(given.allow),
            "ca_file": given.ca_file,
            "timeout": given.deadline,
        }
    ]
