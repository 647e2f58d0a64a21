"""Decides before a claim how many messages may go out, and by which of the channel's providers.

Providers are taken in order, or by their weights where they have any. One whose breaker is open, or that asked to
wait, is passed by; one that tries whether it works again gets one message; the rest goes to the next. A rate holds
messages back: they wait for the provider that they are meant for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from channels_app.types import Channel
from messaging.dispatch import breakers, buckets, providers
from messaging.dispatch.breakers import Reading, State
from messaging.dispatch.buckets import Want
from messaging.dispatch.providers import Choice

UNCONFIGURED: Final = 500
"""Messages that are claimed together where there is no provider, to be failed."""
_SOON: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Messages that one provider may be given."""

    choice: Choice
    number: int
    trial: bool = False
    """Whether the one message decides if the provider's breaker closes."""
    troubled: bool = False
    """Whether it failed lately, so that a success is worth to be noted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What may be claimed for a channel just now."""

    channel: Channel
    choices: tuple[Choice, ...]
    parts: tuple[Part, ...]
    number: int
    """Messages that may be claimed."""
    batch: int
    """Messages that would be claimed if nothing held them back."""
    group: int
    wait: float = 0.0
    """Seconds until there may be more, where there are fewer than a batch."""

    def cut(self, number: int) -> list[Part]:
        """Who gets how many of so many messages, one after the other."""
        left = number
        found: list[Part] = []
        for part in self.parts:
            if part.trial and left:
                found.append(part)
                left -= 1
        steady = [part for part in self.parts if not part.trial]
        shares = split(left, [part.choice.weight or 1 for part in steady])
        free = left
        for part, share in zip(steady, shares, strict=True):
            found.append(replace(part, number=min(share, part.number)))
            free -= found[-1].number
        for place, part in enumerate(found):
            # What goes beyond one's tokens goes to those who have some left.
            room = next((each.number for each in steady if each.choice is part.choice), part.number) - part.number
            found[place] = replace(part, number=part.number + min(room, free))
            free -= min(room, free)
        return [part for part in found if part.number]

    def abandon(self, used: Sequence[Part] = ()) -> None:
        """Give back the tokens that were not used, and the trials that are not made."""
        taken = {part.choice.name: part.number for part in used}
        for part in self.parts:
            if part.trial and part.choice.name not in taken:
                breakers.leave(self.channel, part.choice.name)
        buckets.give_back(
            [
                _want(self.channel, part.choice, part.number - taken.get(part.choice.name, 0))
                for part in self.parts
                if part.choice.rate
            ]
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Obstacle:
    """Why nothing is claimed for a channel just now."""

    provider: str
    """The one that is expected back first."""
    failing: bool
    """Whether its breaker is open; else it asked to wait."""
    wait: float
    """Seconds until it may be given a message."""


def obstacle(channel: Channel) -> Obstacle | None:
    """What holds every message of a channel back; None where some provider may have messages. Changes nothing."""
    choices = providers.choices(channel)
    names = [choice.name for choice in choices]
    if not choices or not all(choice.adapter.shares_fate for choice in choices):
        return None
    readings = breakers.look(channel, names)
    closed = buckets.look([buckets.of_provider(channel, name) for name in names])
    found = [
        Obstacle(provider=name, failing=reading.state is State.OPEN, wait=max(reading.wait, grant.wait))
        for name, reading, grant in zip(names, readings, closed, strict=True)
        if reading.state is State.OPEN or grant.closed
    ]
    return min(found, key=lambda each: each.wait) if len(found) == len(choices) else None


def make(channel: Channel) -> Plan:
    """Ask breakers and buckets, and take the tokens for what may be claimed."""
    choices = providers.choices(channel)
    if not choices:
        return Plan(channel=channel, choices=(), parts=(), number=UNCONFIGURED, batch=UNCONFIGURED, group=UNCONFIGURED)
    batch = min(choice.adapter.limits.batch for choice in choices)
    parts, wait = _parts(channel, choices, batch)
    return Plan(
        channel=channel,
        choices=choices,
        parts=tuple(parts),
        number=min(batch, sum(part.number for part in parts)),
        batch=batch,
        group=max(choice.adapter.limits.group for choice in choices),
        wait=wait,
    )


def give_back(channel: Channel, choice: Choice, number: int) -> None:
    """Give back a provider's tokens that were taken for messages which never came to it."""
    if choice.rate and number > 0:
        buckets.give_back([_want(channel, choice, number)])


def split(number: int, weights: Sequence[int]) -> list[int]:
    """Parts of a number by weights. What does not come out even falls to either by chance, as its weight is."""
    if not weights:
        return []
    whole, offset = sum(weights), random.random()  # noqa: S311
    bounds = [math.floor(number * upto / whole + offset) for upto in accumulate(weights)]
    bounds[-1] = number
    return [min(upper, number) - min(lower, number) for lower, upper in zip([0, *bounds], bounds, strict=False)]


def tiers(choices: Sequence[Choice]) -> list[list[Choice]]:
    """Who is asked together, in order: those that have weights, then each of the others by itself."""
    weighed = [choice for choice in choices if choice.weight]
    alone = [[choice] for choice in choices if not choice.weight]
    return [weighed, *alone] if weighed else alone


def _parts(channel: Channel, choices: Sequence[Choice], batch: int) -> tuple[list[Part], float]:
    """The parts of a batch, and how long to wait for more."""
    watched = [choice for choice in choices if choice.adapter.shares_fate]
    names = [choice.name for choice in watched]
    readings = dict(zip(names, breakers.look(channel, names), strict=True))
    parts: list[Part] = []
    waits: list[float] = []
    for tier in tiers(choices):
        steady: list[Choice] = []
        for choice in tier:
            reading = readings.get(choice.name, breakers.CLOSED)
            if reading.state is State.CLOSED:
                steady.append(choice)
            elif (tried := _trial(channel, choice, reading)) is not None:
                parts.append(tried)
            else:
                waits.append(reading.wait or _SOON)
        found, closed = _granted(channel, steady, batch, readings, waits)
        parts += found
        if found or not closed:
            break
    return parts, min(waits, default=_SOON)


def _trial(channel: Channel, choice: Choice, reading: Reading) -> Part | None:
    """One message for a provider that may work again, unless another worker tries it already."""
    if reading.state is not State.HALF_OPEN or not buckets.take([_want(channel, choice, 1)])[0].number:
        return None
    if breakers.enter(channel, [choice.name])[0].state is not State.HALF_OPEN:
        buckets.give_back([_want(channel, choice, 1)])
        return None
    return Part(choice=choice, number=1, trial=True, troubled=True)


def _granted(
    channel: Channel, steady: Sequence[Choice], batch: int, readings: dict[str, Reading], waits: list[float]
) -> tuple[list[Part], bool]:
    """What those of a tier that work may have of a batch, and whether all of them are closed for now."""
    asked = [
        (choice, number)
        for choice, number in zip(steady, split(batch, [choice.weight or 1 for choice in steady]), strict=True)
        if number
    ]
    counted = [(choice, number) for choice, number in asked if choice.rate or choice.adapter.shares_fate]
    grants = buckets.take([_want(channel, choice, number) for choice, number in counted])
    given = {choice.name: grant for (choice, _), grant in zip(counted, grants, strict=True)}
    parts = []
    for choice, number in asked:
        grant = given.get(choice.name)
        if grant is not None and grant.wait:
            waits.append(grant.wait)
        if allowed := number if grant is None else grant.number:
            troubled = readings.get(choice.name, breakers.CLOSED).faults > 0
            parts.append(Part(choice=choice, number=allowed, troubled=troubled))
    return parts, all(grant.closed for grant in grants) and len(counted) == len(asked)


def _want(channel: Channel, choice: Choice, number: int) -> Want:
    return Want(key=buckets.of_provider(channel, choice.name), rate=choice.rate, number=number)
