"""The rows of the domain, a module a subject."""

from messaging.models.messages import (
    Attachment,
    Batch,
    Claim,
    Content,
    IdempotencyRecord,
    Message,
    MessageEvent,
    ReceiptRecord,
)
from messaging.models.tenancy import ApiKey, Member, Mode, Role, User, Workspace

__all__ = [
    "ApiKey",
    "Attachment",
    "Batch",
    "Claim",
    "Content",
    "IdempotencyRecord",
    "Member",
    "Message",
    "MessageEvent",
    "Mode",
    "ReceiptRecord",
    "Role",
    "User",
    "Workspace",
]
