"""What the messages of one accept say: one wording for all, or that of a template for each language."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from messaging.content import templates
from messaging.content.parts import Prepared, prepare
from messaging.content.templates import Edition, Offer
from messaging.dispatch.draft import Draft
from messaging.models.keys import uuid7

_LANGUAGE = "en"
_ACTION_TYPE = "custom"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """What some of the messages say; each has a Content of its own."""

    prepared: Prepared
    language: str
    action_type: str
    edition: Edition | None = None
    """The version of a template behind it."""
    content_id: UUID = field(default_factory=uuid7)

    @property
    def template_id(self) -> UUID | None:
        return self.edition.template.id if self.edition else None


class Wordings:
    """Finds the wording for each recipient; every template is read and compiled once.

    Raises:
        Invalid: there is no such template, or the draft's own parts are refused.
    """

    def __init__(self, draft: Draft, *, workspace_id: UUID) -> None:
        self._draft = draft
        self._offer: Offer | None = None
        self._by_locale: dict[str, Wording] = {}
        self._by_template: dict[UUID, Wording] = {}
        if draft.template:
            self._offer = templates.offer(
                workspace_id=workspace_id, name=draft.template, channel=draft.channel, at=draft.template_at
            )
            return
        self._by_locale[""] = Wording(
            prepared=prepare(draft.parts, channel=draft.channel),
            language=draft.language or _LANGUAGE,
            action_type=draft.action_type or _ACTION_TYPE,
        )

    @property
    def ask_contact(self) -> bool:
        """Whether more of a contact may be wanted than where it is reached."""
        return self._offer is not None or self._by_locale[""].prepared.read_contact

    def of(self, locale: str) -> Wording:
        """The wording for somebody with this locale, which may be unknown.

        Raises:
            Invalid: the template lacks what the channel needs, and the draft does not have it either.
        """
        if self._offer is None:
            return self._by_locale[""]
        if locale not in self._by_locale:
            template = self._offer.choose(self._draft.language, locale)
            if template.id not in self._by_template:
                self._by_template[template.id] = self._worded(templates.edition_of(template))
            self._by_locale[locale] = self._by_template[template.id]
        return self._by_locale[locale]

    def _worded(self, edition: Edition) -> Wording:
        draft = self._draft
        return Wording(
            prepared=prepare(draft.parts.over(edition.parts), channel=draft.channel),
            language=edition.template.language,
            action_type=draft.action_type or edition.template.action_type,
            edition=edition,
        )
