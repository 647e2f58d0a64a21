"""What settings make of the environment, each case in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
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
REFUSED = "django.core.exceptions.ImproperlyConfigured: "
LOCAL_KEY = "local-only-key-of-a-process-that-was-not-started-by-dispatch-up"


_READER = """
import json, os, sys, traceback
import config.settings

for line in sys.stdin:
    environment, names = json.loads(line)
    if os.fork():
        os.wait()
        continue
    os.environ.clear()
    os.environ.update(environment)
    del sys.modules["config.settings"]
    try:
        import config.settings as made
        told = {"values": [getattr(made, name) for name in names]}
    except Exception as error:
        told = {"error": traceback.format_exception_only(error)[-1].strip()}
    print(json.dumps(told), flush=True)
    os._exit(0)
"""

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def ask(project: Path) -> Iterator[Ask]:
    """Asks a new process what it makes of an environment; all come from one that has imported the rest."""
    command = [sys.executable, "-c", _READER]
    with subprocess.Popen(
        command, env={}, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:

        def put(environment: dict[str, str], *names: str) -> dict[str, Any]:
            assert reader.stdin
            assert reader.stdout
            print(json.dumps([environment, names]), file=reader.stdin, flush=True)
            told: dict[str, Any] = json.loads(reader.stdout.readline())
            return told

        yield put
        assert reader.stdin
        reader.stdin.close()


def values(ask: Ask, environment: dict[str, str], *names: str) -> Any:
    told = ask(environment, *names)
    assert "error" not in told, told
    return told["values"]


def refusal(ask: Ask, environment: dict[str, str]) -> str:
    told = ask(environment)
    assert "values" not in told
    return str(told["error"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("SECRET_KEY", value) for value in ("", " ", LOCAL_KEY)),
        *(("DISPATCH_KEYS", value) for value in ("", ",", "k1:AAAA", KEY.removeprefix("k1"))),
        *(("ALLOWED_HOSTS", value) for value in ("", ",", "*", "dispatch.example,*")),
    ],
)
def test_production_refuses_a_secret_or_host_that_is_missing_or_known_to_all(ask: Ask, name: str, value: str) -> None:
    assert refusal(ask, {**PRODUCTION, name: value}).startswith(f"{REFUSED}{name}: ")


def test_production_has_no_sandbox_and_local_mode_has_one_on_every_channel(ask: Ask) -> None:
    (channels,) = values(ask, PRODUCTION, "CHANNELS")
    assert {name for name, found in channels.items() if found} == {"onsite", "direct"}
    assert refusal(ask, {**PRODUCTION, "SANDBOX": "1"}).startswith(f"{REFUSED}SANDBOX: ")
    (channels,) = values(ask, {}, "CHANNELS")
    assert len(channels) == 8
    assert all(providers == [{"adapter": "sandbox"}] for providers in channels.values())


def test_servers_for_mail_keep_their_order_and_take_the_place_of_the_sandbox(ask: Ask) -> None:
    (channels,) = values(ask, {"EMAIL_URL": "smtp://one:25, smtp://two:25"}, "CHANNELS")
    assert [provider["url"] for provider in channels.pop("email")] == ["smtp://one:25", "smtp://two:25"]
    assert all(providers == [{"adapter": "sandbox"}] for providers in channels.values())


def test_servers_for_mail_share_the_time_and_keep_their_weights_to_themselves(ask: Ask) -> None:
    url = "smtp://one?weight=3&starttls=1, smtp://two?weight=1,smtp://three"
    (channels,) = values(ask, {"EMAIL_URL": url, "PROVIDER_DEADLINE_SECONDS": "30"}, "CHANNELS")
    assert [(each["url"], each.get("weight"), each["timeout"]) for each in channels["email"]] == [
        ("smtp://one?starttls=1", 3, 10.0),
        ("smtp://two", 1, 10.0),
        ("smtp://three", None, 10.0),
    ]


def test_e_mail_services_stand_among_the_servers_with_all_that_is_said_of_them(ask: Ask) -> None:
    told = {
        "EMAIL_URL": "anymail://postmark?weight=2,smtp://one",
        "ANYMAIL_POSTMARK_SERVER_TOKEN": "{token",
        "ANYMAIL_WEBHOOK_SECRET": "user:password",
        "ANYMAIL_BREVO_API_KEY": "",
    }
    assert refusal(ask, told).startswith(f"{REFUSED}ANYMAIL_POSTMARK_SERVER_TOKEN: ")
    told["ANYMAIL_POSTMARK_SERVER_TOKEN"] = "1234"
    told["ANYMAIL_POSTMARK_USE_BULK_API"] = "false"
    told["ANYMAIL_AMAZON_SES_CLIENT_PARAMS"] = '{"region_name": "eu-west-1"}'
    (channels,) = values(ask, told, "CHANNELS")
    service, server = channels["email"]
    assert (service["adapter"], service["url"], service["weight"], service["timeout"]) == (
        "anymail",
        "anymail://postmark",
        2,
        15.0,
    )
    assert service["settings"] == {
        "AMAZON_SES_CLIENT_PARAMS": {"region_name": "eu-west-1"},
        "POSTMARK_SERVER_TOKEN": "1234",
        "POSTMARK_USE_BULK_API": False,
        "WEBHOOK_SECRET": "user:password",
    }
    assert server["url"] == "smtp://one"


TWILIO = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "secret", "TWILIO_SMS_FROM": "+15005550006"}


def test_twilio_reports_to_us_only_where_somebody_said_how_we_are_reached(ask: Ask) -> None:
    (channels,) = values(ask, {**TWILIO, "DISPATCH_BASE_URL": "http://127.0.0.1:8000"}, "CHANNELS")
    assert channels["sms"][0]["callback_url"] == ""
    assert channels["whatsapp"] == [{"adapter": "sandbox"}]
    (channels,) = values(ask, {**TWILIO, "PUBLIC_BASE_URL": "https://dispatch.example/"}, "CHANNELS")
    assert channels["sms"][0]["callback_url"] == "https://dispatch.example/api/v1/callbacks/twilio"


def test_without_the_sandbox_what_is_read_here_is_kept_here_and_the_rest_has_no_provider(ask: Ask) -> None:
    (channels,) = values(ask, {"SANDBOX": "0"}, "CHANNELS")
    assert {name for name, found in channels.items() if found} == {"onsite", "direct"}
    assert channels["direct"] == [{"adapter": "inapp"}]


def test_rates_are_read_by_the_names_of_providers(ask: Ask) -> None:
    (rates,) = values(ask, {"PROVIDER_RATES": "smtp=100, twilio=0.5"}, "PROVIDER_RATES")
    assert rates == {"smtp": 100.0, "twilio": 0.5}


def test_a_bot_and_signing_secrets_take_the_place_of_the_sandbox(ask: Ask) -> None:
    environment = {
        "TELEGRAM_BOT_TOKEN": "123456:ABC-DEF1234ghIkl",
        "TELEGRAM_WEBHOOK_SECRET": "told-to-telegram",
        "WEBHOOK_SECRETS": "whsec_one, whsec_two",
        "EGRESS_ALLOW": "10.0.0.0/8, hooks.internal",
        "PROVIDER_DEADLINE_SECONDS": "7",
    }
    (channels,) = values(ask, {**PRODUCTION, **environment}, "CHANNELS")
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
            "ca_file": "",
            "timeout": 7.0,
        }
    ]


def test_destinations_have_names_of_their_own(ask: Ask) -> None:
    urls = {"ops": "slack://a/b/c?to=x,y=z", "on-call": "mailto://user:pass@example.com"}
    environment = {"APPRISE_URLS": " , ".join(f"{name}={url}" for name, url in urls.items())}
    (channels,) = values(ask, {**PRODUCTION, **environment}, "CHANNELS")
    assert channels["webhook"] == [{"adapter": "apprise", "destinations": urls, "timeout": 30.0}]
    (channels,) = values(ask, {**environment, "SANDBOX": "1"}, "CHANNELS")
    assert [each["adapter"] for each in channels["webhook"]] == ["apprise", "sandbox"]
    (channels,) = values(ask, {**PRODUCTION, **environment, "WEBHOOK_SECRETS": "whsec_one"}, "CHANNELS")
    assert [each["adapter"] for each in channels["webhook"]] == ["webhook", "apprise"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("TELEGRAM_BOT_NAME", value) for value in ("bot", "1acme_bot", "acme bot", "acme-bot", "a" * 33)),
        *(("PROVIDER_RATES", value) for value in ("smtp", "smtp=0", "smtp=-1", "smtp=nan", "=5", "smtp=fast")),
        *(("EMAIL_URL", f"smtp://one?weight={value}") for value in ("0", "1.5", "-1", "1001", "")),
        ("ANYMAIL_AMAZON_SES_CLIENT_PARAMS", "{region_name: eu-west-1}"),
        ("EGRESS_ALLOW", "http://inside/"),
        *(("APPRISE_URLS", value) for value in ("ops", "ops=", "=json://a", "Ops=json://a", "a=json://a,a=json://b")),
        ("DISPATCH_ENV", "prod"),
        ("DATABASE_URL", "sqlite:///db"),
        ("MAX_ATTEMPTS", "0"),
        ("MAX_BODY_MB", "ten"),
        ("FLOWER_PASSWORD", "one,two"),
    ],
)
def test_a_malformed_variable_stops_the_start_with_its_name(ask: Ask, name: str, value: str) -> None:
    assert refusal(ask, {name: value}).startswith(f"{REFUSED}{name}: ")


def test_workers_keep_plans_and_others_do_not(ask: Ask) -> None:
    """Statements are prepared where a process asks its database the same few things for as long as it lives."""
    ((worker,), (command,)) = (values(ask, {"DISPATCH_PROCESS": process}, "DATABASES") for process in ("urgent", ""))
    kept, options = worker["default"]["OPTIONS"]["prepare_threshold"], worker["default"]["OPTIONS"]["options"]
    assert (kept, "plan_cache_mode=force_generic_plan" in options) == (0, True)
    assert "prepare_threshold" not in command["default"]["OPTIONS"]


def test_how_long_valkey_may_take_is_told_in_milliseconds(ask: Ask) -> None:
    assert values(ask, {}, "VALKEY_SECONDS") == [0.25]
    assert values(ask, {"VALKEY_TIMEOUT_MS": "1500"}, "VALKEY_SECONDS") == [1.5]
    refused = refusal(ask, {"VALKEY_TIMEOUT_MS": "0"})
    assert refused == f"{REFUSED}VALKEY_TIMEOUT_MS: must be a whole number of at least 1, not '0'"


def test_how_long_requests_wait_is_a_whole_number_or_none_at_all(ask: Ask) -> None:
    assert values(ask, {}, "SYNC_WAIT_SECONDS") == [2.0]
    assert values(ask, {"SYNC_WAIT_SECONDS": "0"}, "SYNC_WAIT_SECONDS") == [0.0]
    refused = refusal(ask, {"SYNC_WAIT_SECONDS": "-1"})
    assert refused == f"{REFUSED}SYNC_WAIT_SECONDS: must be a whole number of at least 0, not '-1'"
