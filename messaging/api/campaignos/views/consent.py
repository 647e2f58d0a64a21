"""What people without an account say by the links in what they got: nothing more, or this and not that.

A link is all that they show, so it is signed, and a link for something else is refused. Programs that look at links
before people do send GET, which therefore changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string
from rest_framework.request import Request

from messaging.api.campaignos.envelope import View, operation
from messaging.api.campaignos.serializers import consent as out
from messaging.api.campaignos.vocabulary import CHANNEL_IN, ChannelWord
from messaging.api.common import bodies, queries
from messaging.api.common.refusals import WrongMediaType
from messaging.api.common.rendering import answer
from messaging.content import links
from messaging.content.links import Link, Purpose
from messaging.errors import DispatchError, Invalid
from messaging.models import Contact
from messaging.people import contacts, preferences
from messaging.tracking import optout
from messaging.tracking.optout import Recipient

_HTML = re.compile(r"text/html", re.IGNORECASE)
_JSON = re.compile(r"application/json", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"
_PAGE, _UNSUBSCRIBE, _PREFERENCES = (f"messaging/{name}.html" for name in ("page", "unsubscribe", "preferences"))
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class TokenView(View):
    """A path that asks for a signed token and nothing else."""

    authentication_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Mail programs say little about what they take; every one gets its answer."""

    def refuse(self, error: DispatchError) -> HttpResponse:
        """A refusal as for programs, or as a page for people."""
        told = super().refuse(error)
        if not _takes_pages(self.request):
            return told
        return _page(_PAGE, {"refusal": error.detail}, status=told.status_code)


class Unsubscribe(TokenView):
    @operation("show_unsubscribe", tag="consent", answers={200: out.Unsubscribed}, query=out.UnsubscribeQuery)
    def get(self, request: Request) -> HttpResponse:
        """Tell whether the recipient is opted out, and what a POST to the same address would stop. Changes nothing.

        A browser gets a page with a button.
        """
        query = self.query(out.UnsubscribeQuery)
        recipient = _recipient(query.token or None, query.channel or None)
        done = optout.is_out(recipient)
        if _takes_pages(request):
            return _page(_UNSUBSCRIBE, _words(recipient, done=done))
        return answer(_told(recipient, done=done))

    @operation(
        "unsubscribe",
        tag="consent",
        takes=out.UnsubscribeIn,
        answers={200: out.Unsubscribed},
        query=out.UnsubscribeQuery,
    )
    def post(self, request: Request) -> HttpResponse:
        """Opt the recipient out of the channel, at once. The token stands in the address, as in the one-click POST of
        RFC 8058 with any body, or in a JSON body."""
        query = self.query(out.UnsubscribeQuery)
        body = self._body(request)
        recipient = _recipient(query.token or body.token, query.channel or body.channel)
        optout.opt_out(recipient)
        if _takes_pages(request):
            return _page(_UNSUBSCRIBE, _words(recipient, done=True))
        return answer(_told(recipient, done=True))

    def _body(self, request: Request) -> out.UnsubscribeIn:
        """What a JSON body says; one of another kind, as of a form, says nothing more than its address."""
        body = bodies.read_any(request._request)
        if not body or not _JSON.match(request.META.get("CONTENT_TYPE", "")):
            return out.UnsubscribeIn()
        return bodies.parse(body, out.UnsubscribeIn)


class PreferenceCentre(TokenView):
    @operation("get_preferences", tag="consent", answers={200: out.Preferences}, query=out.TokenQuery)
    def get(self, request: Request) -> HttpResponse:
        """Give what the contact said about each channel. A browser gets a page with a button for each."""
        workspace_id, contact_id = _contact_link(self.query(out.TokenQuery).token or None)
        return self._shown(contacts.get(workspace_id=workspace_id, contact_id=contact_id))

    @operation(
        "put_preferences",
        tag="consent",
        takes=out.PreferencesIn,
        answers={200: out.Preferences},
        query=out.TokenQuery,
    )
    def put(self, request: Request) -> HttpResponse:
        """Write down what the contact wants; it holds at once."""
        wanted = self.parsed(out.PreferencesIn)
        return self._chosen(self.query(out.TokenQuery).token or wanted.token, wanted.preferences)

    @operation(
        "choose_preference",
        tag="consent",
        takes=out.PreferenceIn,
        taken_as=(_FORM,),
        answers={200: out.Preferences},
        query=out.TokenQuery,
    )
    def post(self, request: Request) -> HttpResponse:
        """Write down one choice, as a button of the page sends it."""
        token = self.query(out.TokenQuery).token or None
        return self._chosen(token, [queries.read(queries.filled(self._form()), out.PreferenceIn)])

    def _form(self) -> QueryDict:
        request = self.request._request
        if not request.META.get("CONTENT_TYPE", "").lower().startswith(_FORM):
            raise WrongMediaType(f"The body must be {_FORM}.")
        return QueryDict(bodies.read_any(request))

    def _chosen(self, token: str | None, wanted: Sequence[out.PreferenceIn]) -> HttpResponse:
        workspace_id, contact_id = _contact_link(token)
        wishes = [each.wish() for each in wanted]
        return self._shown(
            preferences.say(workspace_id=workspace_id, contact_id=contact_id, preferences=wishes, via="preferences")
        )

    def _shown(self, row: Contact) -> HttpResponse:
        told = out.preferences(row)
        return _page(_PREFERENCES, {"choices": out.choices(told)}) if _takes_pages(self.request) else answer(told)


def _read(token: str | None, purpose: Purpose) -> Link:
    if token is None:
        raise Invalid.at("/token", "required", "This needs the token of a link.")
    return links.read(token, purpose=purpose)


def _recipient(token: str | None, channel: ChannelWord | None) -> Recipient:
    """Whom a token speaks for.

    Raises:
        Invalid: the token is not good, or is for another channel than the one that is named.
        NotFound: the contact or the message is gone.
    """
    recipient = optout.recipient_of(_read(token, Purpose.UNSUBSCRIBE))
    if channel is not None and CHANNEL_IN[channel] is not recipient.channel:
        raise Invalid.at("/channel", "other_channel", "The token is for another channel.")
    return recipient


def _contact_link(token: str | None) -> tuple[UUID, UUID]:
    """The workspace and the contact that a token for preferences speaks for."""
    link = _read(token, Purpose.PREFERENCES)
    if link.contact_id is None:
        raise Invalid.at("/token", "invalid_token", "The token is for something else.")
    return link.workspace_id, link.contact_id


def _told(recipient: Recipient, *, done: bool) -> out.Unsubscribed:
    what = out.what(recipient.channel, recipient.category)
    if done:
        return out.Unsubscribed(success=True, message=f"You get no more {what}.")
    return out.Unsubscribed(success=False, message=f"You still get {what}. Send POST to this address to stop them.")


def _takes_pages(request: HttpRequest) -> bool:
    return _HTML.search(request.META.get("HTTP_ACCEPT", "")) is not None


def _words(recipient: Recipient, *, done: bool) -> dict[str, object]:
    """What a page says, with a button where there is something to decide."""
    return {"what": out.what(recipient.channel, recipient.category), "done": done}


def _page(template: str, words: dict[str, object], *, status: int = 200) -> HttpResponse:
    """The same for people."""
    return HttpResponse(
        render_to_string(template, words),
        status=status,
        headers={"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"},
    )
