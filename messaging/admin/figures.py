"""What statistics are made of, and the state of providers. All of it is read-only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from analytics import health
from analytics.histogram import lower_bound
from analytics.models import Progress, Rollup, Timing
from messaging.admin.base import ReadOnlyAdmin


@admin.register(Rollup)
class RollupAdmin(ReadOnlyAdmin):
    list_display = (
        *(
            "hour",
            "span",
            "workspace",
            "channel",
            "provider",
            "total",
            "sent",
            "delivered",
            "opened",
            "clicked",
            "bounced",
        ),
        *("failed", "unsubscribed", "complained", "cancelled", "test"),
    )
    list_filter = ("whole", "span", "channel", "test")
    list_select_related = ("workspace",)
    sortable_by = ()
    ordering = ("-hour", "workspace_id", "channel", "provider")

    def get_urls(self) -> list[URLPattern]:
        own = path("health/", self.admin_site.admin_view(self.providers), name="analytics_health")
        return [own, *super().get_urls()]

    def providers(self, request: HttpRequest) -> HttpResponse:
        """The state of every provider, and of what all messages need."""
        found = health.health()
        rows = [(channel, health.condition_of(channel), channel.providers) for channel in found.channels]
        context = {**self.admin_site.each_context(request), "title": "Health", "found": found, "rows": rows}
        return TemplateResponse(request, "messaging/health.html", context)


@admin.register(Timing)
class TimingAdmin(ReadOnlyAdmin):
    list_display = ("hour", "span", "workspace", "channel", "measure", "lasting", "count", "longest", "test")
    list_filter = ("span", "channel", "measure", "test")
    list_select_related = ("workspace",)
    sortable_by = ()
    ordering = ("-hour", "workspace_id", "channel", "measure", "bucket")

    @admin.display(description="seconds")
    def lasting(self, timing: Timing) -> str:
        return f"{lower_bound(timing.bucket):.3g} to {lower_bound(timing.bucket + 1):.3g}"


@admin.register(Progress)
class ProgressAdmin(ReadOnlyAdmin):
    list_display = ("xact", "waits_for", "counted_at")

    @admin.display(description="open transactions that it waits for")
    def waits_for(self, progress: Any) -> int:
        return len(progress.open)
