"""What providers call us for: verified, read, kept, and applied at once where that can be.

A provider is one of the platform, not of a workspace: who can sign for it is the provider itself, and what it names is
an id that we gave to it, or that it gave to us, for one message. So no callback can be aimed at another workspace's
message by anybody who does not hold the provider's secret.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, cast

import structlog
from django.db import transaction
from django.db.models.functions import Now

from channels_app.base import ChannelAdapter
from channels_app.errors import CallbackRejected, LoginAwaited, ProviderMissing
from channels_app.types import Callback, Channel, Receipt, Signal
from messaging.dispatch import providers, queue, receipts, signals, storable
from messaging.errors import Forbidden, Invalid, NotFound, Unauthenticated
from messaging.models import RawCallback

log = structlog.get_logger(__name__)

LONGEST: Final = 1024 * 1024
"""Bytes of a callback's body."""
KEPT_FOR: Final = timedelta(days=1)
places: Final = threading.BoundedSemaphore(2)
"""Threads of a process that apply reports at one time."""
_NUMBER: Final = re.compile(r"-[0-9]+\Z")
_HOUR: Final = 3600
_HOURS: Final = 24
_NAMES: Final = "refused"


def take(provider: str, callback: Callback) -> None:
    """Verify a callback and do what it says; one that came before changes nothing.

    What is kept when this returns is applied whatever happens: at once, or by the sweep.

    Raises:
        NotFound: no such provider calls us.
        Unauthenticated: the provider is to be asked to log in.
        Forbidden: none of the provider's adapters finds it signed, or it is too old.
        Invalid: it is signed, and not what the provider sends.
    """
    adapter = _signer(provider, callback)
    said = _read(adapter, callback)
    reports = [each for each in said if isinstance(each, Receipt)]
    if len(reports) == len(said):
        _report(adapter, reports, callback)
        return
    # What people say of themselves is heeded each by itself; what came is kept before, whatever becomes of that.
    _keep_raw(adapter.provider, callback)
    for each in said:
        if not isinstance(each, Receipt):
            signals.heed(adapter.provider, each.channel or adapter.channel, each)
    if reports:
        _report(adapter, reports, callback)


def check(provider: str) -> None:
    """Say whether a provider of this name calls us: some ask before they believe in the URL.

    Raises:
        NotFound: none does.
    """
    if next(_adapters(provider), None) is None:
        raise _unknown()


def _signer(provider: str, callback: Callback) -> ChannelAdapter:
    """The adapter that finds the callback signed. Several channels may have the provider, each with its own secret."""
    refusal = ""
    for adapter in _adapters(provider):
        try:
            adapter.verify_callback(callback)
        except LoginAwaited as error:
            raise Unauthenticated("name the user and the password", code="callback_login_awaited") from error
        except CallbackRejected as error:
            refusal = str(error)
        except Exception as error:
            log.exception("callback_not_verified", provider=provider)
            refusal = type(error).__name__
        else:
            return adapter
    if not refusal:
        raise _unknown()
    _count(_NUMBER.sub("", provider))
    log.warning("callback_refused", provider=provider, reason=refusal)
    raise Forbidden("the callback is not signed by the provider, or too old", code="callback_refused")


def _unknown() -> NotFound:
    return NotFound("no provider of this name reports to us", code="provider_not_found")


def _adapters(provider: str) -> Iterator[ChannelAdapter]:
    """The adapters under a provider's name that take callbacks; the second and further ones of a name are numbered."""
    for channel in Channel:
        try:
            known = providers.registry().adapters(channel)
        except ProviderMissing:
            continue
        for adapter in known:
            hears = type(adapter).verify_callback is not ChannelAdapter.verify_callback
            if hears and provider in {adapter.provider, _NUMBER.sub("", adapter.provider)}:
                yield adapter


def _read(adapter: ChannelAdapter, callback: Callback) -> Sequence[Receipt | Signal]:
    """What a callback says; one that cannot be read is kept before that is said."""
    try:
        return adapter.parse_callback(callback)
    except Exception as error:
        _keep_raw(adapter.provider, callback)
        if isinstance(error, CallbackRejected):
            raise Invalid(str(error), code="callback_malformed") from error
        log.exception("callback_not_read", provider=adapter.provider)
        raise Invalid("this is not what the provider sends", code="callback_malformed") from error


def _report(adapter: ChannelAdapter, reports: Sequence[Receipt], callback: Callback) -> None:
    # One commit for what came, what it reports, and what that does: what cannot be applied now is kept all the same,
    # and the sweep applies it.
    try:
        with _applying() as free, transaction.atomic():
            _keep_raw(adapter.provider, callback)
            new = receipts.keep(adapter.provider, reports)
            if free:
                receipts.attempt(new)
    except Exception:
        _keep_raw(adapter.provider, callback)
        raise


@contextmanager
def _applying() -> Iterator[bool]:
    """Whether there is time to apply a report at once. In a rush the sweep applies hundreds by the statements that one
    takes here, and callers of the API need not wait behind providers."""
    free = places.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            places.release()


def _keep_raw(provider: str, callback: Callback) -> None:
    """Keep what came to the letter, also where it cannot be read; a repeat is kept once."""
    parts = (provider.encode(), callback.url.encode("utf-8", "replace"), callback.body)
    raw = RawCallback(
        provider=provider,
        url=storable.text(callback.url),
        content_type=storable.text(callback.header("content-type")),
        body=callback.body,
        digest=hashlib.sha256(b"\0".join(parts)).digest(),
    )
    RawCallback.objects.bulk_create([raw], ignore_conflicts=True)


def forget_raw(limit: int) -> int:
    """Delete bodies that were kept long enough, at most `limit`; give how many went."""
    old = RawCallback.objects.filter(received_at__lt=Now() - KEPT_FOR).order_by("received_at").values("pk")[:limit]
    number, _ = RawCallback.objects.filter(pk__in=old).delete()
    return number


# What was refused


def _count(provider: str) -> None:
    key = _key(provider, int(time.time()) // _HOUR)
    try:
        with queue.valkey().pipeline(transaction=False) as pipe:
            pipe.incr(key)
            pipe.expire(key, (_HOURS + 1) * _HOUR)
            # Whoever reads need not load an adapter to know its name; none but a provider's own name gets here.
            pipe.sadd(_NAMES, provider)
            pipe.expire(_NAMES, (_HOURS + 1) * _HOUR)
            pipe.execute()
    except queue.Unreachable as error:
        log.warning("callback_not_counted", provider=provider, error=type(error).__name__)


def refused() -> dict[str, int]:
    """How many callbacks were refused in the last day, by provider; those without any are left out.

    Raises:
        queue.Unreachable: Valkey does not answer.
    """
    names = sorted(cast("set[str]", queue.valkey().smembers(_NAMES)))
    hour = int(time.time()) // _HOUR
    keys = [_key(name, hour - past) for name in names for past in range(_HOURS)]
    found = cast("list[str | None]", queue.valkey().mget(keys)) if keys else []
    counts = [sum(int(each or 0) for each in found[at * _HOURS : (at + 1) * _HOURS]) for at in range(len(names))]
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _key(provider: str, hour: int) -> str:
    return f"refused:{provider}:{hour}"
