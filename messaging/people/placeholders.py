"""The plain names under which a template may read what is known of a contact: `{{ firstName }}`, `{{ plan }}`.

A contact's own fields come before its attributes; what a contact lacks is not there at all, so that it can be filled
in from elsewhere, or counts as missing.
"""

from __future__ import annotations

from typing import Any

from messaging.people.names import names_of
from messaging.people.recipients import Person


def placeholders(person: Person) -> dict[str, Any]:
    """What a template may read of a person that was found whole."""
    names = names_of(person)
    own = {
        "contactId": str(person.id),
        "externalId": person.external_id,
        "name": person.name,
        "firstName": names.first,
        "lastName": names.last,
        "email": person.email,
        "phone": person.phone,
        "telegramChatId": person.telegram_chat_id,
        "locale": person.locale,
        "timeZone": person.time_zone,
    }
    return {**person.told(), **{name: value for name, value in own.items() if value}}
