"""The API's WSGI application, served by granian."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("DISPATCH_PROCESS", "api")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
