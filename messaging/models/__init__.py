"""The rows of the domain, a module a subject."""

from messaging.models.callbacks import RawCallback
from messaging.models.campaigns import Audience, Campaign, CampaignStatus
from messaging.models.content import Attachment, Content, Template, TemplateVersion
from messaging.models.fallback import FallbackStep
from messaging.models.messages import Batch, Claim, IdempotencyRecord, Message, MessageEvent, ReceiptRecord, sent_to
from messaging.models.people import (
    Consent,
    ConsentStatus,
    Contact,
    ContactAlias,
    ContactEvent,
    PushSubscription,
    Reason,
    Suppression,
)
from messaging.models.tenancy import ApiKey, Member, Mode, Role, Usage, User, Workspace, WorkspaceKey
from messaging.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookProgress

__all__ = [
    "ApiKey",
    "Attachment",
    "Audience",
    "Batch",
    "Campaign",
    "CampaignStatus",
    "Claim",
    "Consent",
    "ConsentStatus",
    "Contact",
    "ContactAlias",
    "ContactEvent",
    "Content",
    "FallbackStep",
    "IdempotencyRecord",
    "Member",
    "Message",
    "MessageEvent",
    "Mode",
    "PushSubscription",
    "RawCallback",
    "Reason",
    "ReceiptRecord",
    "Role",
    "Suppression",
    "Template",
    "TemplateVersion",
    "Usage",
    "User",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookProgress",
    "Workspace",
    "WorkspaceKey",
    "sent_to",
]
