"""The OpenAPI document and its page."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from tests.messaging.api.callers import Caller
from tests.messaging.api.v1.test_access import KEY, OPERATIONS
from tests.messaging.api.v1.test_send import SEND

CALLBACKS = "/api/v1/callbacks/{provider}"
"""Providers are answered whatever they accept, since there is nothing to read."""
REFUSALS = {"400", "401", "403", "404", "405", "406", "413", "415", "422", "500", "503"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(Client().get("/api/schema/").json())


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    schema = json.loads((resources.files("drf_spectacular") / "validation/openapi_3_1_schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    assert document["openapi"].startswith("3.1")
    for described in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(described)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    text = json.dumps(document)
    found = {part.split('"', 1)[0] for part in text.split('"$ref": "')[1:]}
    assert found <= known


def test_it_describes_every_operation_and_nothing_else(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    names = {"messages": "message_id", "batches": "batch_id", "members": "member_id"}
    names |= {"workspaces": "workspace_id", "api-keys": "key_id", "contacts": "contact_id"}
    names |= {"suppressions": "suppression_id", "push-subscriptions": "subscription_id"}
    names |= {"templates": "template_id", "campaigns": "campaign_id", "inbox": "message_id"}
    names |= {"conversations": "avatar_id", "webhook-endpoints": "endpoint_id", "deliveries": "delivery_id"}
    wanted = set()
    for operation in OPERATIONS:
        parts = operation.path.split("/")
        while KEY in parts:
            place = parts.index(KEY)
            parts[place] = f"{{{names[parts[place - 1]]}}}"
        wanted.add((operation.method, "/".join(parts)))
    assert described == wanted | {("POST", CALLBACKS)}


def test_every_operation_names_its_refusals(document: dict[str, Any]) -> None:
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            for status in REFUSALS - ({"406"} if path == CALLBACKS else set()):
                content = responses[status]["content"]
                assert content == {"application/problem+json": {"schema": problem}}, (path, method)


def test_answers_are_what_the_document_says(document: dict[str, Any], caller: Caller) -> None:
    answer = json.loads(caller.post("/api/v1/messages", SEND).content)
    problem = json.loads(caller.post("/api/v1/messages", {}).content)
    page = json.loads(caller.get("/api/v1/messages").content)
    for name, value in (("FullMessage", answer), ("Problem", problem), ("Page_Message_", page)):
        described = {**document, "$ref": f"#/components/schemas/{name}"}
        Draft202012Validator(described).validate(value)


def test_sign_in_needs_no_credentials(document: dict[str, Any]) -> None:
    assert "security" not in document["paths"]["/api/token"]["post"]
    assert "security" not in document["paths"][CALLBACKS]["post"]
    assert set(document["components"]["securitySchemes"]) == {"apiKey", "accessToken", "session"}


def test_the_page_brings_everything_itself() -> None:
    for path in ("/api/docs", "/api/docs/"):
        answer = Client().get(path)
        assert answer.status_code == 200
        page = answer.content.decode()
        assert "/static/drf_spectacular_sidecar/swagger-ui-dist/" in page
        assert "https://" not in page
