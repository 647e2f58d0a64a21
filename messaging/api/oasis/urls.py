"""The paths of the OASIS messaging API; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path
from rest_framework.request import Request

from messaging.api.oasis.operations import View
from messaging.api.oasis.views import avatars, figures, messages, sends
from messaging.errors import NotFound


class Nothing(View):
    """Any other path."""

    authentication_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing here.")


def both(route: str, view: Callable[..., HttpResponse], name: str) -> list[URLPattern]:
    """A path with and without a trailing slash."""
    return [path(route, view, name=name), path(f"{route}/", view)]


urlpatterns = [
    *both("messaging/messages", messages.MessageList.as_view(), "oasis-messages"),
    *both("messaging/messages/<str:message_id>", messages.MessageDetail.as_view(), "oasis-message"),
    *both("messaging/messages/<str:message_id>/status", messages.MessageStatus.as_view(), "oasis-message-status"),
    *both("messaging/messages/<str:message_id>/tracking", messages.MessageTracking.as_view(), "oasis-message-tracking"),
    *both("messaging/messages/<str:message_id>/retry", messages.MessageRetry.as_view(), "oasis-message-retry"),
    *both("messaging/messages/<str:message_id>/cancel", messages.MessageCancel.as_view(), "oasis-message-cancel"),
    *both("messaging/send/email", sends.SendEmail.as_view(), "oasis-send-email"),
    *both("messaging/send/sms", sends.SendSms.as_view(), "oasis-send-sms"),
    *both("messaging/send/push", sends.SendPush.as_view(), "oasis-send-push"),
    *both("messaging/send/inapp", sends.SendInApp.as_view(), "oasis-send-inapp"),
    *both("messaging/stats", figures.Stats.as_view(), "oasis-stats"),
    *both("messaging/performance", figures.Performance.as_view(), "oasis-performance"),
    *both("messaging/health", figures.Health.as_view(), "oasis-health"),
    *both("messaging/send-message-to-avatar/<str:avatar_id>", avatars.SendToAvatar.as_view(), "oasis-send-to-avatar"),
    *both("messaging/conversation/<str:avatar_id>", avatars.Conversation.as_view(), "oasis-conversation"),
    *both("messaging/mark-messages-read", avatars.MarkMessagesRead.as_view(), "oasis-mark-messages-read"),
    *both("messaging/notifications", avatars.Notifications.as_view(), "oasis-notifications"),
    *both(
        "messaging/mark-notifications-read", avatars.MarkNotificationsRead.as_view(), "oasis-mark-notifications-read"
    ),
    re_path(r"^messaging(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
