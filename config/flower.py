"""Flower behind its password: it asks for it on every path, also where Flower by itself answers anybody."""

from __future__ import annotations

import binascii
import hmac
import sys
from base64 import b64decode
from typing import Any

from flower import command
from flower.app import Flower
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from config.celery import app


class Refusal(RequestHandler):
    """Asks for user and password, whatever was asked for."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is done that could be forged."""

    def prepare(self) -> None:
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.finish("Access denied")


class Closed(Flower):  # type: ignore[misc]
    """Flower, whose metrics, health and files are for those who know the password too. Without one it is for nobody."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        if _knows(request.headers.get("Authorization", ""), self.options.basic_auth):
            return super().find_handler(request, **kwargs)
        return self.get_handler_delegate(request, Refusal)


def _knows(told: str, passwords: list[str] | None) -> bool:
    scheme, _, encoded = told.partition(" ")
    try:
        said = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    known = [password for password in passwords or () if hmac.compare_digest(password.encode(), said)]
    return scheme.lower() == "basic" and bool(known)


if __name__ == "__main__":
    command.Flower = Closed
    app.start(["flower", *sys.argv[1:]])
