"""The API's WSGI application, served by granian."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DISPATCH_PROCESS", "api")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()

# Models can be imported only now.
from django.db import connections  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from config import interpreter  # noqa: E402
from messaging.content import encryption  # noqa: E402

# A wrong key would otherwise show only by messages that cannot be read.
encryption.verify_at_start()
connections.close_all()

# Every view is loaded before the first request asks for one.
_ = get_resolver().url_patterns
interpreter.settle()
