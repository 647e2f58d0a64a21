"""Every answer has a request id, which the log has too."""

from __future__ import annotations

import re

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from messaging.api.common.middleware import RequestId


@pytest.mark.parametrize("given", ["a", "0192f0c1-1111-7000-8000-000000000000", "trace:1/2=3+4@x._-"])
def test_a_sane_id_is_echoed(given: str) -> None:
    assert Client().get("/livez", headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "x" * 129, "é", '"', "<script>"])
def test_any_other_is_replaced(given: str) -> None:
    made = Client().get("/livez", headers={"X-Request-ID": given})["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)


def test_the_log_carries_it_as_long_as_the_request_lasts() -> None:
    seen = {}

    def view(request: HttpRequest) -> HttpResponse:
        seen.update(structlog.contextvars.get_contextvars())
        return HttpResponse()

    RequestId(view)(RequestFactory().get("/", headers={"X-Request-ID": "r1"}))
    assert seen == {"request_id": "r1"}
    assert structlog.contextvars.get_contextvars() == {}
