"""The document of /messages: its answer as its own JSON schema has it, and helpers for the other files of it."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from jsonschema import Draft202012Validator, FormatChecker

from tests.contracts.forms import SENTENCE
from tests.messaging.api.callers import JSON, Caller, read

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["messages"],
    "properties": {
        "messages": {
            "type": "array",
            "description": "Array of messages.",
            "items": {
                "type": "object",
                "description": "Notification message entity for sending "
                "communications to users through various channels",
                "required": [
                    "id",
                    "to",
                    "system",
                    "language",
                    "action_type",
                    "status",
                    "when_modified",
                    "when_created",
                ],
                "properties": {
                    "id": {
                        "type": "string",
                        "description": "Unique identifier for the notification message",
                        "x-oapi-codegen-extra-tags": {"bson": "_id", "json": "id"},
                        "x-go-type": "id.ID",
                        "x-go-type-import": {"path": "github.com/vlabsio/smarttoken/pkg/types/id"},
                        "x-go-type-skip-optional-pointer": True,
                    },
                    "template_id": {
                        "type": "string",
                        "description": "Template identifier used to format the message content",
                        "x-oapi-codegen-extra-tags": {"bson": "template_id"},
                        "x-go-type": "id.ID",
                        "x-go-type-import": {"path": "github.com/vlabsio/smarttoken/pkg/types/id"},
                    },
                    "action_type": {
                        "description": "Type of action that triggered this notification",
                        "type": "string",
                        "enum": ["register", "login", "reset", "verify", "otp", "org_invite", "custom", "internal"],
                        "x-oapi-codegen-extra-tags": {"bson": "action_type,omitempty", "validate": "omitempty"},
                    },
                    "to": {
                        "type": "string",
                        "description": "Recipient address (email, phone number, etc.) for the notification",
                        "x-oapi-codegen-extra-tags": {"bson": "to,omitempty"},
                    },
                    "system": {
                        "type": "string",
                        "enum": ["email", "sms", "push"],
                        "x-oapi-codegen-extra-tags": {"bson": "system,omitempty"},
                        "description": "Notification system/channel to be used for delivery",
                    },
                    "language": {
                        "type": "string",
                        "enum": ["en", "es", "fr", "de", "it", "pt", "ru"],
                        "x-oapi-codegen-extra-tags": {
                            "bson": "language,omitempty",
                            "form": "language",
                            "validate": "omitempty,oneof=en es fr de it pt ru",
                        },
                        "description": "Language preference for the notification content",
                    },
                    "status": {
                        "type": "string",
                        "enum": ["pending", "delivered", "failed", "scheduled", "cancelled", "retrying"],
                        "x-oapi-codegen-extra-tags": {"bson": "status", "json": "status"},
                        "description": "Current delivery status of the notification message",
                    },
                    "scheduled_at": {
                        "type": "string",
                        "format": "date-time",
                        "description": "The time at which the message should be sent.",
                        "x-oapi-codegen-extra-tags": {"bson": "scheduled_at,omitempty"},
                    },
                    "error": {
                        "description": "Error information if message delivery failed",
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {
                            "code": {"type": "integer", "format": "int32"},
                            "message": {"type": "string"},
                            "details": {"type": "object", "x-go-type": "any", "x-go-type-skip-optional-pointer": True},
                        },
                    },
                    "when_modified": {
                        "type": "string",
                        "format": "date-time",
                        "description": "Timestamp when the message was last modified",
                        "x-oapi-codegen-extra-tags": {"bson": "when_modified,omitempty"},
                        "x-go-type-skip-optional-pointer": True,
                    },
                    "when_created": {
                        "type": "string",
                        "format": "date-time",
                        "description": "Timestamp when the message was created",
                        "x-oapi-codegen-extra-tags": {"bson": "when_created,omitempty"},
                        "x-go-type-skip-optional-pointer": True,
                    },
                },
            },
        },
        "next": {
            "type": "string",
            "description": "Pagination token for the next set of results, if any.",
            "x-go-type-skip-optional-pointer": True,
        },
    },
}
"""The schema that the document prints for the answer of `GET /messages`, word by word."""

MESSAGE: dict[str, Any] = SCHEMA["properties"]["messages"]["items"]
_LIST = Draft202012Validator(SCHEMA, format_checker=FormatChecker())
_MESSAGE = Draft202012Validator(MESSAGE, format_checker=FormatChecker())


def listed(caller: Caller, query: str = "", **headers: str) -> dict[str, Any]:
    """A page of messages, sound by the document's schema."""
    page: dict[str, Any] = read(caller.get(f"/messages?{query}" if query else "/messages", **headers))
    _LIST.validate(page)
    return page


def message(answer: HttpResponse) -> dict[str, Any]:
    """A message, sound by the document's schema."""
    shown: dict[str, Any] = read(answer)
    _MESSAGE.validate(shown)
    return shown


def shown(caller: Caller, key: object) -> dict[str, Any]:
    """The message with this id."""
    return message(caller.get(f"/messages/{key}"))


def send(caller: Caller, **fields: Any) -> str:
    """Send an e-mail, with any field replaced, and give the id."""
    body = {"action_type": "custom", "to": "ann@example.com", "title": "Hello", "content": "Good day", **fields}
    answer = read(caller.post("/messages/send", body))
    assert set(answer) == {"id"}
    return str(answer["id"])


def refused(answer: HttpResponse, status: int, reason: str, *fields: tuple[str, str]) -> dict[str, Any]:
    """The answer is exactly such a refusal, with these fields and what is wrong with each; give its body."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == JSON
    body: dict[str, Any] = json.loads(answer.content)
    details: dict[str, Any] = {"reason": reason, "request_id": answer["X-Request-ID"]}
    if fields:
        details["fields"] = [{"field": name, "code": code, "message": SENTENCE} for name, code in fields]
    assert body == {"code": status, "message": SENTENCE, "details": details}
    return body
