"""Describes operations to the schema, a DELETE that takes a body included."""

# drf-spectacular has hints for its callers only, not for its classes.
# mypy: allow-untyped-calls

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema


class BodiedSchema(AutoSchema):
    """The description of an operation. What a DELETE names in its body is told as of any other method that writes."""

    def _get_request_body(self, direction: str = "request") -> Any:
        if self.method != "DELETE":
            return super()._get_request_body(direction)
        self.method = "POST"
        try:
            return super()._get_request_body(direction)
        finally:
            self.method = "DELETE"
