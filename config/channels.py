"""Each channel's providers, in order of preference, from what the environment says."""

from __future__ import annotations

import re
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
    destinations: Mapping[str, str] = field(default_factory=dict)
    """Names that webhooks go to → the URLs that Apprise knows them by."""
    allow: Sequence[str] = ()
    ca_file: str = ""
    sandbox: bool = False


def destinations(text: str) -> dict[str, str]:
    """Read `name=URL`, comma separated; a comma within a URL is no end of it.

    Raises:
        ImproperlyConfigured: a destination is malformed, or named twice.
    """
    found: dict[str, str] = {}
    for word in _BETWEEN_DESTINATIONS.split(text.strip()) if text.strip() else ():
        name, _, url = word.partition("=")
        # What is malformed is not repeated: it may hold a secret.
        if not _DESTINATION.match(name) or "://" not in url:
            raise ImproperlyConfigured("APPRISE_URLS: a destination is written name=URL, its name in a-z, 0-9, . _ -")
        if name in found:
            raise ImproperlyConfigured(f"APPRISE_URLS: the destination {name} is there twice")
        found[name] = url.strip()
    return found


_DESTINATION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_BETWEEN_DESTINATIONS = re.compile(r"\s*,\s*(?=[^,=/]*=[^,/]*://)")


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
    whole = {channel.value: found[channel] or list(fallback) for channel in Channel}
    if given.destinations:
        named = {"adapter": "apprise", "destinations": dict(given.destinations), "timeout": given.deadline}
        # The sandbox takes whatever comes: names are asked for before it, but after the URLs of real webhooks.
        place = len(found[Channel.WEBHOOK])
        whole[Channel.WEBHOOK].insert(place, named)
    return whole


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
