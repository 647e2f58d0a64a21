"""Who must not be written to: the one rule of consent and suppression, asked for many messages at once.

A suppression keeps an address from its category, or from every one where its category is `*`; an opt-out from `*`
leaves transactional messages alone. What a contact said about the message's category counts before what was said about
`*`, and without a record everything is allowed. A message to a plain address is held to what the contacts with that
address said. E-mail addresses are compared without regard to case, all others as they are. The same SQL judges messages
when they are accepted and again when they are claimed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from channels_app.types import Channel
from messaging.models.statements import prepared

TRANSACTIONAL: Final = "transactional"
CODE: Final = "suppressed"

_OWNERS: Final[Mapping[Channel, str]] = {
    Channel.EMAIL: "email",
    Channel.SMS: "phone",
    Channel.WHATSAPP: "phone",
    Channel.TELEGRAM: "telegram_chat_id",
}
"""The column of contacts that holds a channel's addresses; other channels have ids, which intake looked up."""

_BY_ADDRESS = """
            UNION ALL
            SELECT k.id FROM messaging_contact k
             WHERE r.contact_id IS NULL AND k.workspace_id = r.workspace_id
               AND {borne} = {recipient} AND NOT k.{column} = ''
"""
_PROBE = """
LATERAL (
    SELECT jsonb_build_object(
               'reason', s.reason, 'category', s.category, 'since', s.created_at, 'suppression_id', s.id,
               'message_id', s.message_id, 'by', (SELECT avatar_id FROM messaging_user WHERE id = s.author_id)) AS told
      FROM messaging_suppression s
     WHERE s.workspace_id = r.workspace_id AND s.channel = {channel}
       AND CASE WHEN s.channel = 'email' THEN lower(s.address) ELSE s.address END = {recipient}
       AND s.lifted_at IS NULL AND s.category IN (r.category, '*')
       AND NOT (s.category = '*' AND s.reason = 'opted_out' AND r.category = 'transactional')
    UNION ALL
    SELECT jsonb_build_object(
               'reason', 'opted_out', 'category', said.category, 'since', said.updated_at,
               'contact_id', said.contact_id, 'message_id', said.message_id,
               'by', (SELECT avatar_id FROM messaging_user WHERE id = said.author_id))
      FROM (SELECT COALESCE((SELECT contact_id FROM messaging_contactalias WHERE id = r.contact_id), r.contact_id) AS id
             WHERE r.contact_id IS NOT NULL{by_address}) person
     CROSS JOIN LATERAL (
        SELECT c.* FROM messaging_consent c
         WHERE c.contact_id = person.id AND c.channel = {channel} AND c.category IN (r.category, '*')
         ORDER BY c.category = '*' LIMIT 1) said
     WHERE said.status = 'opted_out' AND NOT (said.category = '*' AND r.category = 'transactional')
    LIMIT 1
) refusal
"""

_REFUSED = """
SELECT r.n, refusal.told
  FROM (SELECT n, contact_id, recipient, %(workspace)s::uuid AS workspace_id, %(category)s::text AS category
          FROM unnest(%(contacts)s::uuid[], %(addresses)s::text[]) WITH ORDINALITY AS given(contact_id, recipient, n)) r
 CROSS JOIN {probe}
"""

_SENTENCES: Final[Mapping[str, str]] = {
    "bounced": "a message to this address bounced",
    "complained": "the recipient complained about a message",
    "opted_out": "the recipient opted out",
    "manual": "the address was put on the suppression list",
}


_QUOTED: Final = re.compile(r'(["\\])')
_ESCAPED: Final = r"\\\1"


def probe(channel: Channel) -> str:
    """SQL to join after messages `r` (workspace_id, contact_id, recipient, category) of one channel.

    It gives `refusal.told`, a JSON object, for a message that must not be sent, and no row for any other.
    """
    column = _OWNERS.get(channel)
    borne, recipient = f"k.{column}", "r.recipient"
    if channel is Channel.EMAIL:
        borne, recipient = f"lower({borne})", f"lower({recipient})"
    by_address = _BY_ADDRESS.format(column=column, borne=borne, recipient=recipient) if column else ""
    return _PROBE.format(channel=f"'{channel.value}'", recipient=recipient, by_address=by_address)


def refused(
    *, workspace_id: UUID, channel: Channel, category: str, recipients: Sequence[tuple[UUID | None, str]]
) -> dict[int, dict[str, Any]]:
    """Which of these contacts and addresses must not be written to, by place, and what is known of the reason."""
    parameters = {
        "workspace": workspace_id,
        "category": category,
        "contacts": _array("NULL" if contact is None else str(contact) for contact, _ in recipients),
        "addresses": _array(_quoted(address) for _, address in recipients),
    }
    with prepared(_REFUSED.format(probe=probe(channel)), parameters) as cursor:
        return {row[0] - 1: read(row[1]) for row in cursor.fetchall()}


# Written as the server reads them: psycopg looks at each value of a list, which takes longer than the rest of it.


def _array(values: Iterable[str]) -> str:
    return f"{{{','.join(values)}}}"


def _quoted(text: str) -> str:
    return f'"{text}"' if not _QUOTED.search(text) else f'"{_QUOTED.sub(_ESCAPED, text)}"'


def read(told: Any) -> dict[str, Any]:
    """What a probe told, without what it does not know."""
    known = msgspec.json.decode(told) if isinstance(told, str) else told
    return {name: value for name, value in known.items() if value is not None}


def sentence(told: Mapping[str, Any]) -> str:
    """A refusal in words."""
    said = _SENTENCES[told["reason"]]
    return said if told["category"] == "*" else f"{said} ({told['category']})"
