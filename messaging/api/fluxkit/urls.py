"""The paths of /messaging; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path

from messaging.api.fluxkit import views
from messaging.api.fluxkit.envelope import Nothing


def both(route: str, view: Callable[..., HttpResponse], name: str) -> list[URLPattern]:
    """A path with and without a trailing slash."""
    return [path(route, view, name=f"fluxkit-{name}"), path(f"{route}/", view)]


urlpatterns = [
    *both("messaging/email", views.EmailSend.as_view(), "email"),
    *both("messaging/email/template", views.TemplateSend.as_view(), "email-template"),
    *both("messaging/sms", views.SmsSend.as_view(), "sms"),
    *both("messaging/whatsapp", views.WhatsAppSend.as_view(), "whatsapp"),
    *both("messaging/logs", views.LogList.as_view(), "logs"),
    *both("messaging/health", views.Health.as_view(), "health"),
    re_path(r"^messaging(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
