"""The paths of this surface, below /api; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path, register_converter

from messaging.api.campaignos.envelope import Nothing
from messaging.api.campaignos.ids import Kind, converter
from messaging.api.campaignos.views import analytics, keys, messages, misc, session, workspaces

for _kind in Kind:
    register_converter(converter(_kind), _kind.value)

WORKSPACE = "workspaces/<ws:workspace_id>"


def both(route: str, view: Callable[..., HttpResponse], name: str) -> list[URLPattern]:
    """A path with and without a trailing slash."""
    name = f"campaignos-{name}"
    return [path(route, view, name=name), path(f"{route}/", view)]


def within(route: str, view: Callable[..., HttpResponse], name: str) -> list[URLPattern]:
    """A path of a workspace, with and without a trailing slash."""
    return both(f"{WORKSPACE}/{route}", view, name)


urlpatterns = [
    *both("auth/login", session.Login.as_view(), "login"),
    *both("auth/logout", session.Logout.as_view(), "logout"),
    *both("auth/session", session.Current.as_view(), "session"),
    *both("health", misc.Health.as_view(), "health"),
    *both("openapi", misc.OpenApi.as_view(), "openapi"),
    *both("workspaces", workspaces.WorkspaceList.as_view(), "workspaces"),
    *both(WORKSPACE, workspaces.WorkspaceDetail.as_view(), "workspace"),
    *within("keys", keys.KeyList.as_view(), "keys"),
    *within("messages", messages.MessageList.as_view(), "messages"),
    *within("messages/<msg:message_id>", messages.MessageDetail.as_view(), "message"),
    *within("analytics", analytics.Overview.as_view(), "overview"),
    *within("analytics/campaigns/<cmp:campaign_id>", analytics.CampaignReport.as_view(), "campaign-report"),
    *within("analytics/timeseries", analytics.Series.as_view(), "timeseries"),
    re_path(r"^(?:workspaces|auth|health|openapi|unsubscribe|preferences)(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
