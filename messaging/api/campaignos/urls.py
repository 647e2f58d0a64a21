"""The paths of this surface, below /api; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path, register_converter

from messaging.api.campaignos.envelope import Nothing
from messaging.api.campaignos.ids import Kind, converter
from messaging.api.campaignos.views import (
    analytics,
    campaigns,
    consent,
    contacts,
    events,
    keys,
    messages,
    misc,
    onsite,
    push,
    session,
    templates,
    webhooks,
    workspaces,
)

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
    *within("messages/<msg:message_id>/read", onsite.OnsiteRead.as_view(), "message-read"),
    *within("contacts", contacts.ContactList.as_view(), "contacts"),
    *within("contacts/import", contacts.ContactImports.as_view(), "contact-import"),
    *within("contacts/<ct:contact_id>", contacts.ContactDetail.as_view(), "contact"),
    *within("contacts/<ct:contact_id>/merge", contacts.ContactMerge.as_view(), "contact-merge"),
    *within("contacts/<ct:contact_id>/export", contacts.ContactExport.as_view(), "contact-export"),
    *within("contacts/<ct:contact_id>/onsite", onsite.OnsiteInbox.as_view(), "contact-onsite"),
    *within("templates", templates.TemplateList.as_view(), "templates"),
    *within("templates/<tpl:template_id>", templates.TemplateDetail.as_view(), "template"),
    *within("templates/<tpl:template_id>/preview", templates.TemplatePreview.as_view(), "template-preview"),
    *within("campaigns", campaigns.CampaignList.as_view(), "campaigns"),
    *within("campaigns/<cmp:campaign_id>", campaigns.CampaignDetail.as_view(), "campaign"),
    *within("campaigns/<cmp:campaign_id>/execute", campaigns.CampaignExecute.as_view(), "campaign-execute"),
    *within("events", events.EventList.as_view(), "events"),
    *within("push", push.SubscriptionList.as_view(), "push"),
    *within("webhooks", webhooks.WebhookList.as_view(), "webhooks"),
    *within("webhooks/<wh:webhook_id>", webhooks.WebhookDetail.as_view(), "webhook"),
    *both("webhooks/inbound/<wh:webhook_id>", webhooks.Inbound.as_view(), "webhook-inbound"),
    *both("unsubscribe", consent.Unsubscribe.as_view(), "unsubscribe"),
    *both("preferences", consent.PreferenceCentre.as_view(), "preferences"),
    re_path(r"^(?:workspaces|auth|health|openapi|unsubscribe|preferences|webhooks)(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
