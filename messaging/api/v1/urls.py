"""The paths of /api/v1; each answers with and without a trailing slash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path, re_path, register_converter
from rest_framework.request import Request

from messaging.api.common.converters import Key
from messaging.api.v1.operations import View
from messaging.api.v1.views import (
    campaigns,
    contacts,
    figures,
    inbox,
    messages,
    suppressions,
    templates,
    tenancy,
    tokens,
    webhooks,
)
from messaging.errors import NotFound

register_converter(Key, "key")


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
    *both("v1/messages", messages.MessageList.as_view(), "messages"),
    *both("v1/messages/batch", messages.BatchList.as_view(), "message-batch"),
    *both("v1/messages/<key:message_id>", messages.MessageDetail.as_view(), "message"),
    *both("v1/messages/<key:message_id>/events", messages.MessageEvents.as_view(), "message-events"),
    *both("v1/messages/<key:message_id>/explain", messages.MessageExplanation.as_view(), "message-explain"),
    *both("v1/messages/<key:message_id>/cancel", messages.MessageCancel.as_view(), "message-cancel"),
    *both("v1/messages/<key:message_id>/retry", messages.MessageRetry.as_view(), "message-retry"),
    *both("v1/batches/<key:batch_id>", messages.BatchDetail.as_view(), "batch"),
    *both("v1/inbox", inbox.Inbox.as_view(), "inbox"),
    *both("v1/inbox/counts", inbox.InboxCounts.as_view(), "inbox-counts"),
    *both("v1/inbox/<key:message_id>/seen", inbox.InboxSeen.as_view(), "inbox-seen"),
    *both("v1/inbox/<key:message_id>/read", inbox.InboxRead.as_view(), "inbox-read"),
    *both("v1/inbox/<key:message_id>/archive", inbox.InboxArchive.as_view(), "inbox-archive"),
    *both("v1/conversations/<key:avatar_id>", inbox.Conversation.as_view(), "conversation"),
    *both("v1/stats", figures.Stats.as_view(), "stats"),
    *both("v1/performance", figures.Speed.as_view(), "performance"),
    *both("v1/health", figures.Condition.as_view(), "health"),
    *both("v1/contacts", contacts.ContactList.as_view(), "contacts"),
    *both("v1/contacts/<key:contact_id>", contacts.ContactDetail.as_view(), "contact"),
    *both("v1/contacts/<key:contact_id>/consent", contacts.ContactConsent.as_view(), "contact-consent"),
    *both(
        "v1/contacts/<key:contact_id>/telegram-link", contacts.ContactTelegramLink.as_view(), "contact-telegram-link"
    ),
    *both("v1/contacts/<key:contact_id>/merge", contacts.ContactMerge.as_view(), "contact-merge"),
    *both("v1/push-subscriptions", contacts.SubscriptionList.as_view(), "push-subscriptions"),
    *both("v1/push-subscriptions/<key:subscription_id>", contacts.SubscriptionDetail.as_view(), "push-subscription"),
    *both("v1/suppressions", suppressions.SuppressionList.as_view(), "suppressions"),
    *both("v1/suppressions/<key:suppression_id>", suppressions.SuppressionDetail.as_view(), "suppression"),
    *both("v1/campaigns", campaigns.CampaignList.as_view(), "campaigns"),
    *both("v1/campaigns/<key:campaign_id>", campaigns.CampaignDetail.as_view(), "campaign"),
    *both("v1/campaigns/<key:campaign_id>/progress", campaigns.CampaignProgress.as_view(), "campaign-progress"),
    *both("v1/campaigns/<key:campaign_id>/start", campaigns.CampaignStart.as_view(), "campaign-start"),
    *both("v1/campaigns/<key:campaign_id>/pause", campaigns.CampaignPause.as_view(), "campaign-pause"),
    *both("v1/campaigns/<key:campaign_id>/resume", campaigns.CampaignResume.as_view(), "campaign-resume"),
    *both("v1/campaigns/<key:campaign_id>/cancel", campaigns.CampaignCancel.as_view(), "campaign-cancel"),
    *both("v1/campaigns/<key:campaign_id>/retry-failed", campaigns.CampaignRetry.as_view(), "campaign-retry"),
    *both("v1/templates", templates.TemplateList.as_view(), "templates"),
    *both("v1/templates/<key:template_id>", templates.TemplateDetail.as_view(), "template"),
    *both("v1/templates/<key:template_id>/versions", templates.TemplateVersions.as_view(), "template-versions"),
    *both("v1/templates/<key:template_id>/preview", templates.TemplatePreview.as_view(), "template-preview"),
    *both("v1/webhook-endpoints", webhooks.EndpointList.as_view(), "webhook-endpoints"),
    *both("v1/webhook-endpoints/<key:endpoint_id>", webhooks.EndpointDetail.as_view(), "webhook-endpoint"),
    *both("v1/webhook-endpoints/<key:endpoint_id>/rotate", webhooks.EndpointRotation.as_view(), "webhook-rotate"),
    *both("v1/webhook-endpoints/<key:endpoint_id>/test", webhooks.EndpointTest.as_view(), "webhook-test"),
    *both("v1/webhook-endpoints/<key:endpoint_id>/deliveries", webhooks.DeliveryList.as_view(), "webhook-deliveries"),
    *both(
        "v1/webhook-endpoints/<key:endpoint_id>/deliveries/<key:delivery_id>",
        webhooks.DeliveryDetail.as_view(),
        "webhook-delivery",
    ),
    *both(
        "v1/webhook-endpoints/<key:endpoint_id>/deliveries/<key:delivery_id>/resend",
        webhooks.DeliveryResend.as_view(),
        "webhook-resend",
    ),
    *both("v1/webhook-secrets", webhooks.WorkspaceSecrets.as_view(), "webhook-secrets"),
    *both("v1/me", tenancy.Me.as_view(), "me"),
    *both("v1/api-keys", tenancy.KeyList.as_view(), "api-keys"),
    *both("v1/api-keys/<key:key_id>", tenancy.KeyDetail.as_view(), "api-key"),
    *both("v1/members", tenancy.MemberList.as_view(), "members"),
    *both("v1/members/<key:member_id>", tenancy.MemberDetail.as_view(), "member"),
    *both("v1/workspaces", tenancy.WorkspaceList.as_view(), "workspaces"),
    *both("v1/workspaces/<key:workspace_id>", tenancy.WorkspaceDetail.as_view(), "workspace"),
    *both("token", tokens.TokenIssue.as_view(), "token"),
    *both("token/refresh", tokens.TokenRefresh.as_view(), "token-refresh"),
    re_path(r"^(?:v1|token)(?:/[\s\S]*)?\Z", Nothing.as_view()),
]
