"""Statistics, performance and health."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from analytics import health, performance, statistics
from analytics.counting import Scope
from analytics.health import Condition
from analytics.windows import Timeframe
from messaging.api.common.rendering import answer
from messaging.api.oasis.envelope import Done, done
from messaging.api.oasis.operations import MANAGEMENT, View, operation
from messaging.api.oasis.queries import Query
from messaging.api.oasis.serializers import figures as out
from messaging.api.oasis.vocabulary import OFFERED, TYPES
from messaging.tenancy.access import mode_seen

READ: Final = "analytics:read"

_TIMEFRAMES: Final = {each.value: each for each in Timeframe}
_TIMEFRAME: Final = OpenApiParameter(
    "timeframe",
    {"type": "string", "enum": list(_TIMEFRAMES), "default": "day"},
    description="Clock hours (UTC), the one that runs included; a month is 30 days.",
)

_STATISTICS: Final = (_TIMEFRAME, OpenApiParameter("type", str, enum=list(TYPES)))


class FiguresView(View):
    """A path that tells figures of a stretch of time."""

    scopes = {"GET": READ}

    def asked(self, request: Request) -> tuple[Scope, Timeframe]:
        """Which messages are counted, and of what time."""
        query = Query(request._request.GET)
        timeframe = query.word("timeframe", _TIMEFRAMES, Timeframe.DAY)
        channels = query.word("type", TYPES, OFFERED)
        query.check()
        return Scope(workspace_id=self.caller.workspace_id, channels=channels, test=mode_seen(self.caller)), timeframe


class Stats(FiguresView):
    @operation("get_statistics", answers={200: Done[out.Statistics]}, parameters=_STATISTICS, tag=MANAGEMENT)
    def get(self, request: Request) -> HttpResponse:
        """Count what became of the messages of a stretch of time."""
        scope, timeframe = self.asked(request)
        found = statistics.statistics_of(scope, timeframe)
        return answer(done(out.statistics(timeframe, found, performance.performance_of(scope, timeframe))))


class Performance(FiguresView):
    @operation("get_performance", answers={200: Done[out.Performance]}, parameters=_STATISTICS, tag=MANAGEMENT)
    def get(self, request: Request) -> HttpResponse:
        """Tell how fast and how well the messages of a stretch of time went out."""
        return answer(done(out.performance(performance.performance_of(*self.asked(request)))))


class Health(View):
    scopes = {"GET": None}

    @operation("get_health", answers={200: Done[out.Health], 503: Done[out.Health]}, tag=MANAGEMENT)
    def get(self, request: Request) -> HttpResponse:
        """Tell how the platform was when it was last looked at."""
        found = health.health(TYPES.values())
        status = settings.OASIS_UNHEALTHY_STATUS if found.condition is Condition.UNHEALTHY else 200
        return answer(done(out.health(found)), status=status)
