"""What settings make of the environment, each case in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KEY = "k1:" + "A" * 43 + "="
PRODUCTION = {
    "DISPATCH_ENV": "production",
    "SECRET_KEY": "a secret that nobody else knows, of more than fifty characters",
    "DISPATCH_KEYS": KEY,
    "ALLOWED_HOSTS": "dispatch.example",
}
LOCAL_KEY = "local-only-key-of-a-process-that-was-not-started-by-dispatch-up"


def settle(project: Path, environment: dict[str, str], *names: str) -> subprocess.CompletedProcess[str]:
    program = f"import json, config.settings as s; print(json.dumps([getattr(s, name) for name in {names!r}]))"
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=project, capture_output=True, text=True, check=False
    )


def values(project: Path, environment: dict[str, str], *names: str) -> Any:
    done = settle(project, environment, *names)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("SECRET_KEY", value) for value in ("", " ", LOCAL_KEY)),
        *(("DISPATCH_KEYS", value) for value in ("", ",", "k1:AAAA", KEY.removeprefix("k1"))),
        *(("ALLOWED_HOSTS", value) for value in ("", ",", "*", "dispatch.example,*")),
    ],
)
def test_production_refuses_a_secret_or_host_that_is_missing_or_known_to_all(
    project: Path, name: str, value: str
) -> None:
    done = settle(project, {**PRODUCTION, name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"django.core.exceptions.ImproperlyConfigured: {name}: ")


def test_production_has_no_sandbox_and_local_mode_has_one_on_every_channel(project: Path) -> None:
    (channels,) = values(project, PRODUCTION, "CHANNELS")
    assert not any(channels.values())
    (channels,) = values(project, {}, "CHANNELS")
    assert len(channels) == 8
    assert all(providers == [{"adapter": "sandbox"}] for providers in channels.values())


def test_servers_for_mail_keep_their_order_and_take_the_place_of_the_sandbox(project: Path) -> None:
    (channels,) = values(project, {"EMAIL_URL": "smtp://one:25, smtp://two:25"}, "CHANNELS")
    assert [provider["url"] for provider in channels.pop("email")] == ["smtp://one:25", "smtp://two:25"]
    assert all(providers == [{"adapter": "sandbox"}] for providers in channels.values())


def test_a_bot_and_signing_secrets_take_the_place_of_the_sandbox(project: Path) -> None:
    environment = {
        "TELEGRAM_BOT_TOKEN": "123456:ABC-DEF1234ghIkl",
        "TELEGRAM_WEBHOOK_SECRET": "told-to-telegram",
        "WEBHOOK_SECRETS": "whsec_one, whsec_two",
        "EGRESS_ALLOW": "10.0.0.0/8, hooks.internal",
        "PROVIDER_DEADLINE_SECONDS": "7",
    }
    (channels,) = values(project, {**PRODUCTION, **environment}, "CHANNELS")
    assert channels["telegram"] == [
        {
            "adapter": "telegram",
            "token": "123456:ABC-DEF1234ghIkl",
            "base": "https://api.telegram.org",
            "secret": "told-to-telegram",
            "timeout": 7.0,
        }
    ]
    assert channels["webhook"] == [
        {
            "adapter": "webhook",
            "secrets": ["whsec_one", "whsec_two"],
            "allow": ["10.0.0.0/8", "hooks.internal"],
            "timeout": 7.0,
        }
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EGRESS_ALLOW", "http://inside/"),
        ("DISPATCH_ENV", "prod"),
        ("DATABASE_URL", "sqlite:///db"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_BODY_MB", "ten"),
        ("FLOWER_PASSWORD", "one,two"),
    ],
)
def test_a_malformed_variable_stops_the_start_with_its_name(project: Path, name: str, value: str) -> None:
    done = settle(project, {name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"django.core.exceptions.ImproperlyConfigured: {name}: ")
