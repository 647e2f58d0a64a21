"""The query parameters of /api/v1's lists, and what they mean to the selectors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, QueryDict

from analytics.counting import Scope
from analytics.windows import Timeframe
from channels_app.types import Channel
from messaging.api.common import cursors, queries
from messaging.api.common.cursors import Cursor
from messaging.dispatch.selectors import MessageFilter
from messaging.errors import FieldError, Invalid
from messaging.models import Message
from messaging.state import Status
from messaging.tenancy.access import Caller, mode_seen

_CODES = {"invalid_choice": "invalid_choice", "max_value": "out_of_range", "min_value": "out_of_range"}


class WordsField(forms.CharField):
    """One word of a list or several, with commas between."""

    def __init__(self, *, words: type[StrEnum], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._words = words

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return frozenset(self._words(word) for word in text.split(",")) if text else frozenset()
        except ValueError:
            known = ", ".join(self._words)
            raise ValidationError(f"Each word is one of {known}.", code="invalid_choice") from None


class WordsFilter(django_filters.Filter):  # type: ignore[misc]  # no stubs
    """A filter by words."""

    field_class = WordsField


class AddressField(forms.CharField):
    """An address or a name, in which a plus that a URL did not encode is a plus."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strip=False, **kwargs)

    def to_python(self, value: Any) -> str:
        return queries.address(super().to_python(value) or "").strip()


class AddressFilter(django_filters.CharFilter):  # type: ignore[misc]  # no stubs
    """A filter by an address."""

    field_class = AddressField


class PageFilters(django_filters.FilterSet):  # type: ignore[misc]  # no stubs
    """What every list takes: a place to start at and a number of rows."""

    cursor = django_filters.CharFilter(max_length=200)
    limit = django_filters.NumberFilter(min_value=1, max_value=cursors.LARGEST, decimal_places=0, max_digits=9)


class MessageFilters(PageFilters):
    """The filters of the list of messages."""

    status = WordsFilter(words=Status)
    channel = WordsFilter(words=Channel)
    to = AddressFilter(max_length=2048)
    contact = django_filters.CharFilter(max_length=255)
    template = django_filters.CharFilter(max_length=100)
    campaign = django_filters.UUIDFilter()
    batch = django_filters.UUIDFilter()
    created_after = django_filters.IsoDateTimeFilter()
    created_before = django_filters.IsoDateTimeFilter()
    error_code = django_filters.CharFilter(max_length=100)
    q = AddressFilter(max_length=2048)
    test = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce=lambda v: v == "true"
    )
    ordering = django_filters.ChoiceFilter(choices=[("created_at", "created_at"), ("-created_at", "-created_at")])


class InboxFilters(PageFilters):
    """The filters of a person's own feed."""

    unread = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce=lambda v: v == "true"
    )
    archived = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce=lambda v: v == "true"
    )


class TimeframeFilters(django_filters.FilterSet):  # type: ignore[misc]  # no stubs
    """What figures over a stretch of time take."""

    timeframe = django_filters.ChoiceFilter(choices=[(each.value, each.value) for each in Timeframe])
    channel = WordsFilter(words=Channel)
    test = django_filters.TypedChoiceFilter(
        choices=[("true", "true"), ("false", "false")], coerce=lambda v: v == "true"
    )


class StatisticsFilters(TimeframeFilters):
    """What statistics take: they are kept by template and campaign too."""

    template = django_filters.UUIDFilter()
    campaign = django_filters.UUIDFilter()


class Listing:
    """What a list was asked for: cleaned values, a place, a size, and the text that its cursors are bound to."""

    def __init__(self, request: HttpRequest, filters: type[PageFilters], *, workspace_id: UUID) -> None:
        self.values = cleaned(request.GET, filters)
        self.limit = int(self.values["limit"] or cursors.LIMIT)
        self.ascending = self.values.get("ordering") == "created_at"
        narrowing = sorted(
            (name, str(sorted(value) if isinstance(value, frozenset) else value))
            for name, value in self.values.items()
            if name not in {"cursor", "limit"}
        )
        self.query = f"{request.path.rstrip('/')} {workspace_id} {narrowing!r}"
        text = self.values["cursor"]
        self.cursor: Cursor | None = cursors.read(text, query=self.query) if text else None


def message_filter(caller: Caller, values: Mapping[str, Any]) -> MessageFilter:
    """The cleaned parameters in the domain's words.

    Raises:
        Forbidden: see `access.mode_seen`.
    """
    return MessageFilter(
        statuses=values["status"],
        channels=values["channel"],
        to=values["to"] or None,
        contact=values["contact"] or None,
        template=values["template"] or None,
        campaign_id=values["campaign"],
        batch_id=values["batch"],
        error_code=values["error_code"] or None,
        test=_mode(caller, values),
        created_after=values["created_after"],
        created_before=values["created_before"],
        q=values["q"] or None,
    )


def scope_of(caller: Caller, values: Mapping[str, Any]) -> Scope:
    """Which messages are counted.

    Raises:
        Forbidden: see `access.mode_seen`.
    """
    return Scope(
        workspace_id=caller.workspace_id,
        channels=values["channel"],
        template_id=values.get("template"),
        campaign_id=values.get("campaign"),
        test=_mode(caller, values),
    )


def _mode(caller: Caller, values: Mapping[str, Any]) -> bool:
    return mode_seen(caller, None if values["test"] in {"", None} else values["test"])


def timeframe_of(values: Mapping[str, Any]) -> Timeframe:
    """The stretch that is wanted, a day where nothing is said."""
    return Timeframe(values["timeframe"] or Timeframe.DAY)


def cleaned(given: QueryDict, filters: type[django_filters.FilterSet]) -> dict[str, Any]:
    """Check every parameter; one that is unknown or stands twice is refused by name."""
    known = filters.base_filters
    errors = [
        FieldError(f"/{name[:100]}", "unknown_parameter", "There is no such parameter.")
        for name in given
        if name not in known
    ]
    errors += [
        FieldError(f"/{name}", "repeated_parameter", "This parameter stands here more than once.")
        for name in given
        if name in known and len(given.getlist(name)) > 1
    ]
    form: forms.Form = filters(given, queryset=Message.objects.none()).form
    if not form.is_valid():
        for name, found in form.errors.as_data().items():
            code = _CODES.get(found[0].code or "", "invalid_value")
            errors.append(FieldError(f"/{name}", code, found[0].messages[0]))
    if errors:
        raise Invalid("A query parameter cannot be used.", errors=errors)
    return dict(form.cleaned_data)
