"""What a filter means to the database: conditions that every row meets, and alternatives of which a row meets one.

An index gives the order of keys below one value only. So the rows are asked for in branches, one for each value of
the narrowest alternatives, and the branches are merged; no row is in two of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Q

from channels_app import addresses
from channels_app.errors import InvalidAddress
from channels_app.types import Channel
from messaging.content import templates
from messaging.dispatch.selectors.filters import MessageFilter, Party
from messaging.models import PushSubscription, Template
from messaging.models.keys import lowest_key
from messaging.people import recipients
from messaging.state import Status

_ONE: Final = " = %s"
_SKEW = timedelta(seconds=2)
"""How far the clock that makes keys may be from the database's, which stamps created_at."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
FOLDED: Final = 'lower(recipient) COLLATE "C"'
"""A recipient as its index has it; what it is compared with is folded by the database, too."""
FOLD: Final = "lower(%s::text)"
_LANGUAGE = "lower(split_part(translate(language, '_.@', '---'), '-', 1))"
"""The first part of a tag, in any of the spellings that are taken."""
_UNSAID = f"(channel = '{Channel.DIRECT}' AND status IN ('{Status.SCHEDULED}', '{Status.CANCELLED}'))"


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.sql} AND {other.sql}", self.parameters + other.parameters)

    def __invert__(self) -> Condition:
        return Condition(f"({self.sql}) IS NOT TRUE", self.parameters)


Alternatives = Sequence[Condition]
"""Conditions of which no row meets two."""


def ordered(workspace_id: UUID, where: MessageFilter) -> list[Condition]:
    """The rows that a filter lets through, in branches of which each has an index in the order of keys.

    None where nothing can pass. Of statuses and channels one is taken apart: its index tells the other, too.
    """
    return _branches(workspace_id, where, narrow=True, wide=True)


def counted(workspace_id: UUID, where: MessageFilter) -> list[Condition]:
    """The same rows in as few branches as can be counted by an index."""
    return _branches(workspace_id, where, narrow=True, wide=False)


def whole(workspace_id: UUID, where: MessageFilter) -> list[Condition]:
    """The same rows in one branch, or none."""
    return _branches(workspace_id, where, narrow=False, wide=False)


def _branches(workspace_id: UUID, where: MessageFilter, *, narrow: bool, wide: bool) -> list[Condition]:
    few, many = list(_narrow(workspace_id, where)), list(_wide(where))
    if not all(few) or not all(many):
        return []
    leading, rest = (few[:1], few[1:] + many) if few and narrow else ([], few + many)
    if wide and not few and not _is_sifted(where):
        leading, rest = many[:1], many[1:]
    base = _all_of([Condition("workspace_id = %s", (workspace_id,)), *_common(where), *map(_any_of, rest)])
    return [base & each for each in leading[0]] if leading else [base]


def _is_sifted(where: MessageFilter) -> bool:
    """Whether rows have to be looked at one by one: then they are looked at once, not by status or channel."""
    looked_at = (where.language, where.other_languages, where.action_type, where.other_action_types, where.error_code)
    return not where.stages() and any(looked_at)


def _all_of(conditions: Iterable[Condition]) -> Condition:
    first, *others = conditions
    for each in others:
        first &= each
    return first


def _any_of(alternatives: Alternatives) -> Condition:
    if len(alternatives) == 1:
        return alternatives[0]
    if len({each.sql for each in alternatives}) == 1 and all(len(each.parameters) == 1 for each in alternatives):
        values = [each.parameters[0] for each in alternatives]
        return Condition(alternatives[0].sql.removesuffix(_ONE) + " = ANY(%s)", (values,))
    sql = " OR ".join(f"({each.sql})" for each in alternatives)
    return Condition(f"({sql})", tuple(itertools.chain.from_iterable(each.parameters for each in alternatives)))


def _disjoint(alternatives: Alternatives) -> Alternatives:
    """The same rows, each only under the first condition that it meets."""
    found: list[Condition] = []
    for each in alternatives:
        found.append(_all_of([each, *(~earlier for earlier in alternatives[: len(found)])]))
    return found


def _equal(column: str, values: Iterable[Any]) -> list[Condition]:
    return [Condition(f"{column}{_ONE}", (value,)) for value in values]


def _narrow(workspace_id: UUID, where: MessageFilter) -> Iterator[Alternatives]:
    """Alternatives that leave few rows, the fewest first."""
    if where.ids is not None:
        yield [Condition("id = ANY(%s)", (list(where.ids),))] if where.ids else []
    if where.q is not None:
        yield _named(where.q)
    yield from _to(workspace_id, where)
    if where.batch_id is not None:
        yield _equal("batch_id", [where.batch_id])
    if where.template is not None:
        yield _equal("template_id", templates.ids_of(workspace_id=workspace_id, name=where.template))
    if where.campaign_id is not None:
        yield _equal("campaign_id", [where.campaign_id])
    if where.prefix is not None:
        yield _beginning(workspace_id, where.prefix)


def _to(workspace_id: UUID, where: MessageFilter) -> Iterator[Alternatives]:
    """Alternatives by whom a message is for."""
    if where.to is not None:
        yield _received(_spellings(where.to, where.channels or frozenset(Channel)))
    if where.who is not None:
        yield _known_as(workspace_id, where.who)
    if where.contact is not None:
        yield _equal("contact_id", recipients.ids_of(workspace_id=workspace_id, name=where.contact))
    if where.party is not None:
        yield _of_party(where.party)


def _wide(where: MessageFilter) -> Iterator[Alternatives]:
    """Alternatives that may leave most rows."""
    stages = where.stages()
    if stages is not None:
        yield [_at(status, tried) for status, tried in stages]
    if where.channels and len(where.channels) < len(Channel):
        yield _equal("channel", [channel.value for channel in sorted(where.channels)])


def _received(spellings: Iterable[str]) -> list[Condition]:
    """Messages to each of these recipients, spelled so but for the case of e-mail addresses; see `models.sent_to`."""
    sql = f"{FOLDED} = {FOLD} AND COALESCE(recipient = ANY(%s) OR channel = '{Channel.EMAIL}', FALSE)"
    alike: dict[str, list[str]] = {}
    for each in spellings:
        alike.setdefault(each.lower(), []).append(each)
    # Folded by the database, as the index is, which has its own idea of some letters.
    return [Condition(sql, (several[0], several)) for several in alike.values()]


def _at(status: Status, tried: bool | None) -> Condition:
    sql = {None: "", True: " AND attempts > 0", False: " AND attempts = 0"}[tried]
    return Condition(f"status = %s{sql}", (status.value,))


def _common(where: MessageFilter) -> Iterator[Condition]:
    """Conditions on every row, beside its workspace."""
    yield Condition("deleted_at IS NULL")
    for column in ("action_type", "error_code", "test"):
        value = getattr(where, column)
        if value is not None:
            yield Condition(f"{column} = %s", (value,))
    if where.language is not None:
        yield Condition(f"{_LANGUAGE} = %s", (where.language,))
    if where.other_languages:
        yield Condition(f"{_LANGUAGE} <> ALL(%s)", (sorted(where.other_languages),))
    if where.other_action_types:
        yield Condition("action_type <> ALL(%s)", (sorted(where.other_action_types),))
    if where.created_after is not None:
        low = lowest_key(_within(where.created_after) - _SKEW)
        yield Condition("id >= %s AND created_at >= %s", (low, where.created_after))
    if where.created_before is not None:
        high = lowest_key(_within(where.created_before) + _SKEW)
        yield Condition("id < %s AND created_at < %s", (high, where.created_before))


def _named(q: str) -> Alternatives:
    found = _received(_spellings(q, frozenset(Channel)))
    found.append(Condition("provider_message_id = %s AND provider_message_id <> ''", (q,)))
    key = recipients.as_key(q)
    if key is not None:
        found.append(Condition("id = %s", (key,)))
    return _disjoint(found)


def _known_as(workspace_id: UUID, who: str) -> Alternatives:
    """Messages to a recipient under any of its names."""
    contacts = recipients.ids_of(workspace_id=workspace_id, name=who)
    device = Q(endpoint=who) if (key := recipients.as_key(who)) is None else Q(id=key)
    devices = PushSubscription.objects.filter(device, workspace_id=workspace_id).values_list("endpoint", "id")
    names = [str(name) for names in devices for name in names]
    spellings = [*_spellings(who, frozenset(Channel)), *names]
    found = [Condition(f"{FOLDED} IN ({', '.join([FOLD] * len(spellings))})", tuple(spellings))]
    found += _equal("contact_id", contacts)
    return _disjoint(found)


def _of_party(party: Party) -> Alternatives:
    """Messages that somebody sent, or that are for them."""
    said = Condition(f"NOT {_UNSAID}")
    own = [] if party.user_id is None else [Condition("author_id = %s", (party.user_id,))]
    others = [~each for each in own]
    got = [_all_of([each, *others, said]) for each in _received(sorted(party.addresses))]
    keys = [key for key in map(recipients.as_key, sorted(party.addresses)) if key is not None]
    elsewhere = ~Condition("recipient = ANY(%s)", (sorted(party.addresses),))
    return [*own, *got, *(_all_of([each, elsewhere, *others, said]) for each in _equal("contact_id", keys))]


def _beginning(workspace_id: UUID, prefix: str) -> Alternatives:
    """Messages whose recipient, or whose template's name or key, begins so."""
    begins = Condition(f"starts_with({FOLDED}, {FOLD})", (prefix,))
    rows = Template.objects.filter(Q(key__istartswith=prefix) | Q(name__istartswith=prefix), workspace_id=workspace_id)
    found = list(rows.order_by("id").values_list("id", flat=True))
    return _disjoint([begins, Condition("template_id = ANY(%s)", (found,))]) if found else [begins]


def _spellings(address: str, channels: frozenset[Channel]) -> list[str]:
    """The address as it is given, and as each channel would keep it."""
    found = [address]
    for channel in sorted(channels):
        try:
            found.append(addresses.normalise(channel, address))
        except InvalidAddress:
            continue
    return list(dict.fromkeys(found))


def _within(moment: datetime) -> datetime:
    """The nearest moment that a key can hold, with room for the skew."""
    return min(max(moment, _EPOCH + _SKEW), _LAST_DAY)
