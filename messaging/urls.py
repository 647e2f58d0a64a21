"""The public APIs, each under its prefix with a page that documents it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from messaging.api.blockv.envelope import refused as blockv_refused
from messaging.api.callbacks import urls as callbacks
from messaging.api.campaignos.envelope import refused
from messaging.api.common.refusals import Malformed
from messaging.api.common.schema import Surface
from messaging.api.fluxkit.envelope import refused as fluxkit_refused
from messaging.api.oasis.envelope import failure
from messaging.api.v1.envelope import PROBLEM, Problem, problem

V1 = Surface(
    name="v1",
    title="Dispatch",
    about="Send messages on eight channels and follow each of them.",
    patterns=(
        path("api/", include(callbacks.patterns(problem, shape=Problem, refused_as=PROBLEM))),
        path("api/", include("messaging.api.v1.urls")),
    ),
    prefixes=("/api/v1", "/api/token"),
    refuse=problem,
)
CAMPAIGNOS = Surface(
    name="campaignos",
    title="CampaignOS workspaces",
    about="Messages to the contacts of a workspace, and the workspace itself.",
    patterns=(path("api/", include("messaging.api.campaignos.urls")),),
    prefixes=(
        "/api/workspaces",
        "/api/auth",
        "/api/health",
        "/api/openapi",
        "/api/unsubscribe",
        "/api/preferences",
        "/api/webhooks",
    ),
    refuse=refused,
)
FLUXKIT = Surface(
    name="fluxkit",
    title="FluxKit messaging wire",
    about="Send e-mails, text messages and WhatsApp messages, and hear in the same call what became of them.",
    patterns=(path("", include("messaging.api.fluxkit.urls")),),
    prefixes=("/messaging",),
    refuse=fluxkit_refused,
)
BLOCKV = Surface(
    name="blockv",
    title="BLOCKv messages",
    about="Send notifications by e-mail, text message and push, and list them.",
    patterns=(path("", include("messaging.api.blockv.urls")),),
    prefixes=("/messages",),
    refuse=blockv_refused,
)
OASIS = Surface(
    name="oasis",
    title="OASIS messaging",
    about="Manage messages by e-mail, SMS, push and in-app, and let avatars write to each other.",
    patterns=(path("api/", include("messaging.api.oasis.urls")),),
    prefixes=("/api/messaging",),
    refuse=failure,
)
SURFACES: tuple[Surface, ...] = (V1, OASIS, CAMPAIGNOS, FLUXKIT, BLOCKV)

# What is asked for most stands first: patterns are tried one after the other.
urlpatterns: list[URLPattern | URLResolver] = [
    *(pattern for surface in SURFACES for pattern in surface.patterns),
    *V1.pages(schema_at="api/schema", docs_at="api/docs"),
    *(
        page
        for surface in SURFACES[1:]
        for page in surface.pages(schema_at=f"api/schema/{surface.name}", docs_at=f"api/docs/{surface.name}")
    ),
]


def bad_request(request: HttpRequest) -> HttpResponse | None:
    """Refuse a request that is broken in itself in the shape of its surface; None where it is for none of them."""
    for surface in SURFACES:
        if request.path.startswith(surface.prefixes):
            return surface.refuse(request, Malformed("The request is malformed.", code="malformed_request"))
    return None
