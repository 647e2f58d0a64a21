"""The query parameters of /api/v1's lists, as the schema tells them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter

from analytics.windows import Timeframe
from channels_app.types import Channel
from messaging.api.common import cursors
from messaging.state import Status

_LIMIT = {"type": "integer", "minimum": 1, "maximum": cursors.LARGEST, "default": cursors.LIMIT}


def _words(values: list[str]) -> dict[str, object]:
    return {"type": "array", "items": {"type": "string", "enum": values}}


PAGE = (
    OpenApiParameter("cursor", str, description="A place in the list, from `next` or `previous`."),
    OpenApiParameter("limit", _LIMIT, description="Rows on the page."),
)
MESSAGES = (
    OpenApiParameter("status", _words([status.value for status in Status]), style="form", explode=False),
    OpenApiParameter("channel", _words([channel.value for channel in Channel]), style="form", explode=False),
    OpenApiParameter("to", str, description="A recipient's address, in any spelling that means it."),
    OpenApiParameter("contact", str, description="A contact's id, else its external id, else its avatar's id."),
    OpenApiParameter("template", str, description="A template's key, or the id of one in one language."),
    OpenApiParameter("campaign", UUID),
    OpenApiParameter("batch", UUID),
    OpenApiParameter("created_after", datetime, description="The first moment that is wanted."),
    OpenApiParameter("created_before", datetime, description="The first moment that is not wanted any more."),
    OpenApiParameter("error_code", str),
    OpenApiParameter("q", str, description="A message's id, its recipient or the provider's id for it, exactly."),
    OpenApiParameter("test", bool, description="Messages in test mode instead of the others."),
    OpenApiParameter("ordering", str, enum=["created_at", "-created_at"]),
    *PAGE,
)
INBOX = (
    OpenApiParameter("unread", bool, description="Only what was not read."),
    OpenApiParameter("archived", bool, description="What was put away instead of the rest."),
    *PAGE,
)
TIMEFRAME = (
    OpenApiParameter(
        "timeframe",
        {"type": "string", "enum": [each.value for each in Timeframe], "default": Timeframe.DAY.value},
        description="Clock hours (UTC), the one that runs included; a month is 30 days.",
    ),
    OpenApiParameter("channel", _words([channel.value for channel in Channel]), style="form", explode=False),
    OpenApiParameter("test", bool, description="Messages in test mode instead of the others."),
)
STATISTICS = (
    *TIMEFRAME,
    OpenApiParameter("template", UUID),
    OpenApiParameter("campaign", UUID),
)
