"""The environment of the children: what the user set, and what a home fills in."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from config.stack.broker import with_database
from config.stack.home import Home, read_json, write_json
from config.stack.keyring import Keyring
from config.stack.processes import FLOWER_PORT, FLOWER_USER, PORT
from config.stack.servers import DATABASE, LOOPBACK, free_port, is_free

BROKER_DATABASE = 1


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The loopback ports of one home."""

    api: int
    flower: int
    postgres: int
    valkey: int

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.api}"

    @property
    def flower_url(self) -> str:
        return f"http://{LOOPBACK}:{self.flower}"


def known_ports(home: Home) -> Ports:
    """Return the ports of the last start, or of none: what a command uses that starts nothing."""
    kept = _kept(home)
    return Ports(
        api=kept.get("api", PORT),
        flower=kept.get("flower", FLOWER_PORT),
        postgres=kept.get("postgres", 0),
        valkey=kept.get("valkey", 0),
    )


def choose_ports(home: Home, *, api: int, flower: int | None) -> Ports:
    """Choose ports that are free, the servers' of the last start where they still are, and record them."""
    kept = _kept(home)
    taken = {api}
    chosen: dict[str, int] = {"api": api}
    if flower is not None:
        chosen["flower"] = flower
        taken.add(flower)
    for name in ("postgres", "valkey"):
        last = kept.get(name, 0)
        usable = last and last not in taken and is_free(last)
        chosen[name] = last if usable else free_port(taken=frozenset(taken))
        taken.add(chosen[name])
    if flower is None:
        chosen["flower"] = free_port(near=FLOWER_PORT, taken=frozenset(taken))
    write_json(home.ports, chosen)
    return Ports(**chosen)


def variables(home: Home, ring: Keyring, ports: Ports, *, user: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of every child. Whatever the user set stays; secrets are filled in for local mode only."""
    env = {name: value for name, value in user.items() if value or name not in _FILLED}
    local = env.setdefault("DISPATCH_ENV", "local") == "local"
    env.setdefault("DATABASE_URL", f"postgresql://{DATABASE}:{ring.postgres}@{LOOPBACK}:{ports.postgres}/{DATABASE}")
    env.setdefault("REDIS_URL", f"redis://:{ring.valkey}@{LOOPBACK}:{ports.valkey}/0")
    env.setdefault("BROKER_URL", with_database(env["REDIS_URL"], BROKER_DATABASE))
    if local:
        env.setdefault("SECRET_KEY", ring.secret_key)
        env.setdefault("DISPATCH_KEYS", ring.dispatch_keys)
        # Not PUBLIC_BASE_URL: whoever sets that says that providers reach it.
        env["DISPATCH_BASE_URL"] = ports.base_url
    if "ALLOWED_HOSTS" in env and LOOPBACK not in env["ALLOWED_HOSTS"].split(","):
        # The supervisor asks /readyz by the loopback address, whatever the public names are.
        env["ALLOWED_HOSTS"] += f",{LOOPBACK}"
    env.setdefault("FLOWER_PASSWORD", ring.flower)
    env["DISPATCH_HOME"] = str(home.root)
    env["DJANGO_SETTINGS_MODULE"] = "config.settings"
    env["PYTHONUNBUFFERED"] = "1"
    return env


def for_process(env: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the environment of one process of the stack."""
    own = {**env, "DISPATCH_PROCESS": name}
    if name == "flower":
        own["FLOWER_BASIC_AUTH"] = f"{FLOWER_USER}:{env['FLOWER_PASSWORD']}"
    return own


_FILLED = frozenset(
    {
        *("DATABASE_URL", "REDIS_URL", "BROKER_URL", "DISPATCH_ENV", "SECRET_KEY", "DISPATCH_KEYS"),
        *("PUBLIC_BASE_URL", "FLOWER_PASSWORD", "ALLOWED_HOSTS"),
    }
)
"""Variables that count as unset when they are empty."""


def _kept(home: Home) -> dict[str, int]:
    return {name: value for name, value in read_json(home.ports).items() if isinstance(value, int)}
