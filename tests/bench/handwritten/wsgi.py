"""The WSGI application."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.handwritten.settings")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
