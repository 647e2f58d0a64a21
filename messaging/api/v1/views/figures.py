"""Statistics, performance and health."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from analytics import health, performance, statistics
from messaging.api.common.rendering import answer
from messaging.api.v1.filters import StatisticsFilters, TimeframeFilters, cleaned, scope_of, timeframe_of
from messaging.api.v1.operations import View, operation
from messaging.api.v1.parameters import STATISTICS, TIMEFRAME
from messaging.api.v1.serializers import figures as out

READ = "analytics:read"


class Stats(View):
    scopes = {"GET": READ}

    @operation("get_statistics", answers={200: out.Statistics}, parameters=STATISTICS, tag="analytics")
    def get(self, request: Request) -> HttpResponse:
        """Count what became of the messages that were accepted in a stretch of time."""
        values = cleaned(request._request.GET, StatisticsFilters)
        timeframe = timeframe_of(values)
        found = statistics.statistics_of(scope_of(self.caller, values), timeframe)
        return answer(out.statistics(timeframe, found))


class Speed(View):
    scopes = {"GET": READ}

    @operation("get_performance", answers={200: out.Performance}, parameters=TIMEFRAME, tag="analytics")
    def get(self, request: Request) -> HttpResponse:
        """Tell how fast and how well the messages of a stretch of time went out."""
        values = cleaned(request._request.GET, TimeframeFilters)
        timeframe = timeframe_of(values)
        found = performance.performance_of(scope_of(self.caller, values), timeframe)
        return answer(out.performance(timeframe, found))


class Condition(View):
    authentication_classes = ()

    @operation("get_health", answers={200: out.Health}, tag="analytics")
    def get(self, request: Request) -> HttpResponse:
        """Tell how the platform was when it was last looked at. Open to everybody: it says how, never why."""
        return answer(out.health(health.health()))
