"""Every setting; the environment is read here and nowhere else. docs/configuration.md describes each variable."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from channels_app.egress import Egress
from channels_app.errors import ProviderMissing
from config.channels import Given, channels, destinations, rates
from config.environment import Environment
from config.logging import configure, logging_config
from config.patience import PatientConnection
from config.stack.processes import WEB_THREADS
from config.stack.shares import channel_threads

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent
PROCESS = env.text("DISPATCH_PROCESS", "")
"""The name of this process in `config.stack.processes`; empty for commands and tests."""
HOME = Path(env.text("DISPATCH_HOME", str(BASE_DIR / "var")))
PRODUCTION = env.choice("DISPATCH_ENV", ("local", "production"), "local") == "production"
DEBUG = False

# Secrets and hosts: made by `./dispatch up` in local mode, required in production.

_LOCAL_KEY = "local-only-key-of-a-process-that-was-not-started-by-dispatch-up"
SECRET_KEY = env.secret("SECRET_KEY", _LOCAL_KEY, required=PRODUCTION)
SECRET_KEY_IS_DEFAULT = SECRET_KEY == _LOCAL_KEY
if PRODUCTION and SECRET_KEY_IS_DEFAULT:
    raise ImproperlyConfigured("SECRET_KEY: the one that everybody knows is refused in production")


def _keys(parts: list[str]) -> dict[str, bytes]:
    """Read keys, each `id:base64 of 32 bytes`; the first one encrypts."""
    keys: dict[str, bytes] = {}
    for part in parts:
        name, _, encoded = part.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not name or len(key) != 32:
            raise ImproperlyConfigured("DISPATCH_KEYS: each key is written id:base64 of 32 bytes")
        keys[name] = key
    return keys


DISPATCH_KEYS = _keys(env.words("DISPATCH_KEYS", [], required=PRODUCTION))
PUBLIC_BASE_URL_IS_SET = bool(env.text("PUBLIC_BASE_URL", ""))
"""Whether somebody said where we are reached: providers are given no other URL to report to."""
PUBLIC_BASE_URL = env.text("PUBLIC_BASE_URL", env.text("DISPATCH_BASE_URL", "http://127.0.0.1:8000")).rstrip("/")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], required=PRODUCTION)
if PRODUCTION and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS: name the hosts; * is refused in production")
CSRF_TRUSTED_ORIGINS = [PUBLIC_BASE_URL]
TRUST_PROXY = PRODUCTION and env.flag("TRUST_PROXY", False)
"""Whether there is a proxy in front whose word on a request counts."""
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUST_PROXY else None
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_BASE_URL.startswith("https://")

# Applications

INSTALLED_APPS = [
    "config.apps.CompositionConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "messaging",
    "analytics",
]
MIDDLEWARE = [
    "messaging.api.common.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(HOME / "static")))
LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
AUTH_USER_MODEL = "messaging.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/admin/login/"

# Postgres is the truth. Only the API keeps a pool; elsewhere each thread keeps its own connection.

API_THREADS = WEB_THREADS
"""Threads of an API process that answer requests, and its connections to the database at the most."""


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL: only postgresql:// is supported")
    options: dict[str, Any] = {
        "application_name": f"dispatch-{PROCESS or 'command'}",
        "connect_timeout": 5,
        # A peer that vanished without a word is noticed within ten seconds, not after the kernel's two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    guards = ["-c idle_in_transaction_session_timeout=10s"]
    if PROCESS == "api":
        guards += ["-c statement_timeout=10s", "-c lock_timeout=5s"]
        options["pool"] = {
            "connection_class": PatientConnection,
            "min_size": 2,
            "max_size": API_THREADS,
            "timeout": 3,
            "max_lifetime": 1800,
        }
    elif PROCESS:
        # Workers join a handful of known rows to large tables: only the index is ever the right way.
        guards += ["-c statement_timeout=60s", "-c enable_hashjoin=off", "-c enable_mergejoin=off"]
    if PROCESS:
        # Statements that ask for it are planned once for each connection, and never for their values.
        guards += ["-c plan_cache_mode=force_generic_plan"]
        options["prepare_threshold"] = 0
    options["options"] = " ".join(guards)
    return {
        "ENGINE": "config.postgres",
        "NAME": unquote(parts.path.lstrip("/")) or "dispatch",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0 if PROCESS == "api" else 600,
        # Connections of the pool are looked at by the backend.
        "CONN_HEALTH_CHECKS": PROCESS != "api",
        "OPTIONS": options,
    }


DATABASE_URL = env.text("DATABASE_URL", "postgresql://dispatch@127.0.0.1:5432/dispatch")
DATABASES = {"default": _database(DATABASE_URL)}

# Valkey or Redis; the broker may be another server.

REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
BROKER_URL = env.text("BROKER_URL", REDIS_URL)
VALKEY_SECONDS = env.integer("VALKEY_TIMEOUT_MS", 250) / 1000
"""How long Valkey may take to answer: whoever asks goes on without it then, and nothing is asked twice."""
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {
            "socket_timeout": VALKEY_SECONDS,
            "socket_connect_timeout": VALKEY_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    }
}

# The API

MAX_BODY_BYTES = env.integer("MAX_BODY_MB", 32) * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "messaging.api.common.bodied.BodiedSchema",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.integer("ACCESS_TOKEN_MINUTES", 60)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.integer("REFRESH_TOKEN_DAYS", 7)),
    "ALGORITHM": "HS256",
    # A changed password ends the tokens that the old one gave.
    "CHECK_REVOKE_TOKEN": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Dispatch",
    "DESCRIPTION": "Send messages on eight channels and follow each of them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["messaging.api.common.schema.without_slashes"],
    "POSTPROCESSING_HOOKS": [],
    "COMPONENT_SPLIT_PATCH": False,
    "PATH_CONVERTER_OVERRIDES": {
        "key": {"type": "string", "format": "uuid"},
        "slug64": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"},
        **{
            prefix: {"type": "string", "examples": [f"{prefix}_0190163d8694739b8fe5c1a2b3c4d5e6"]}
            for prefix in ("msg", "ct", "tpl", "cmp", "ws", "evt", "ps", "wh")
        },
    },
}

# Delivery

CHANNEL_THREADS = channel_threads(PROCESS)
"""Threads of this process that one channel may hold at a time."""
LEASE_SECONDS = 6.0
RENEW_SECONDS = 2.0
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", 3)
BACKOFF_SECONDS = float(env.integer("BACKOFF_SECONDS", 5))
BACKOFF_LIMIT_SECONDS = float(env.integer("BACKOFF_LIMIT_SECONDS", 900))
UNKNOWN_SECONDS = float(env.integer("UNKNOWN_SECONDS", 3600))
SANDBOX_BACKOFF_SECONDS = 1.0
SANDBOX_UNKNOWN_SECONDS = 10.0
PROVIDER_DEADLINE_SECONDS = float(env.integer("PROVIDER_DEADLINE_SECONDS", 30))
SYNC_WAIT_SECONDS = float(env.integer("SYNC_WAIT_SECONDS", 2, least=0))
"""How long a request that tells of an outcome waits for it, at the longest."""
IDEMPOTENCY_HOURS = env.integer("IDEMPOTENCY_HOURS", 24)
RECEIPT_DAYS = env.integer("RECEIPT_DAYS", 30, least=2)
"""How long reports of providers are kept: longer than one waits for its message, or a link to the bot works."""
ASK_SECONDS = 5.0
"""How long after an unknown outcome the provider is first asked, where it can be asked."""
OASIS_HTTP_ERRORS = env.choice("OASIS_HTTP_ERRORS", ("200", "strict"), "200")
OASIS_CREATED_STATUS = int(env.choice("OASIS_CREATED_STATUS", ("201", "200"), "201"))
OASIS_UNHEALTHY_STATUS = int(env.choice("OASIS_UNHEALTHY_STATUS", ("200", "503"), "200"))

# Channels: providers in order of preference. In local mode a channel without one uses the sandbox.

DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Dispatch <dispatch@localhost.localdomain>")
SANDBOX = env.flag("SANDBOX", not PRODUCTION)
if PRODUCTION and SANDBOX:
    raise ImproperlyConfigured("SANDBOX: there is none in production; test keys use it everywhere")
EGRESS_ALLOW = env.words("EGRESS_ALLOW", [])
try:
    Egress.from_words(EGRESS_ALLOW)
except ProviderMissing as error:
    raise ImproperlyConfigured(str(error)) from None
EGRESS_CA_FILE = env.text("EGRESS_CA_FILE", "")
WEBHOOK_SECRETS = env.words("WEBHOOK_SECRETS", [])
APPRISE_URLS = destinations(env.text("APPRISE_URLS", ""))
"""Names that webhooks may be sent to, beside URLs of anybody's → the URLs that Apprise knows them by."""
WEBHOOK_DEADLINE_SECONDS = float(env.integer("WEBHOOK_DEADLINE_SECONDS", 15))
"""How long an endpoint that is told of events may take to answer."""
TELEGRAM_BOT_TOKEN = env.text("TELEGRAM_BOT_TOKEN", "")
TELEGRAM_BOT_NAME = env.text("TELEGRAM_BOT_NAME", "").removeprefix("@")
"""What the bot is called on Telegram; links to it need the name."""
if TELEGRAM_BOT_NAME and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{4,31}", TELEGRAM_BOT_NAME):
    raise ImproperlyConfigured("TELEGRAM_BOT_NAME: a bot's name has 5 to 32 letters, digits and _")
PROVIDER_RATES = rates(env.words("PROVIDER_RATES", []))
"""Messages a second that a provider takes at the most, by its name."""
CHANNELS = channels(
    Given(
        deadline=PROVIDER_DEADLINE_SECONDS,
        public_url=PUBLIC_BASE_URL if PUBLIC_BASE_URL_IS_SET else "",
        email=env.words("EMAIL_URL", []),
        anymail=env.named("ANYMAIL_"),
        default_from=DEFAULT_FROM_EMAIL,
        twilio={
            "account": env.text("TWILIO_ACCOUNT_SID", ""),
            "token": env.text("TWILIO_AUTH_TOKEN", ""),
            "sms_from": env.text("TWILIO_SMS_FROM", ""),
            "whatsapp_from": env.text("TWILIO_WHATSAPP_FROM", ""),
            "base": env.text("TWILIO_API_BASE", ""),
        },
        vapid_key=env.text("VAPID_PRIVATE_KEY", ""),
        vapid_subject=env.text("VAPID_SUBJECT", ""),
        telegram={
            "token": TELEGRAM_BOT_TOKEN,
            "base": env.text("TELEGRAM_API_BASE", "https://api.telegram.org"),
            "secret": env.text("TELEGRAM_WEBHOOK_SECRET", ""),
        },
        webhook_secrets=WEBHOOK_SECRETS,
        destinations=APPRISE_URLS,
        allow=EGRESS_ALLOW,
        ca_file=EGRESS_CA_FILE,
        sandbox=SANDBOX,
    )
)

LOGGING_CONFIG = None
LOGGING = logging_config(process=PROCESS, level=env.text("LOG_LEVEL", "INFO"))
SILENCED_SYSTEM_CHECKS: list[str] = []
FLOWER_PASSWORD = env.text("FLOWER_PASSWORD", "")
if "," in FLOWER_PASSWORD:
    raise ImproperlyConfigured("FLOWER_PASSWORD: Flower would read a comma as the end of the password")
configure(LOGGING)
