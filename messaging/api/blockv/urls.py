"""The paths of this surface; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path

from messaging.api.blockv.envelope import Nothing
from messaging.api.blockv.views import messages, templates


def both(route: str, view: Callable[..., HttpResponse]) -> list[URLPattern]:
    """A path with and without a trailing slash."""
    return [path(route, view), path(f"{route}/", view)]


# What is named stands before what has an id: `send` and `templates` are no messages.
urlpatterns = [
    *both("messages", messages.MessageList.as_view()),
    *both("messages/send", messages.MessageSend.as_view()),
    *both("messages/templates", templates.TemplateList.as_view()),
    *both("messages/templates/<str:template_id>", templates.TemplateDetail.as_view()),
    *both("messages/<str:message_id>", messages.MessageDetail.as_view()),
    *both("messages/<str:message_id>/cancel", messages.MessageCancel.as_view()),
    *both("messages/<str:message_id>/retry", messages.MessageRetry.as_view()),
    re_path(r"^messages(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
