"""The secrets that a home makes at its first start and keeps."""

import base64
import secrets
from dataclasses import asdict, dataclass, fields

from config.stack.home import Home, read_json, write_json


def _password() -> str:
    # Letters and digits only, so that it stands in a URL as it is.
    return secrets.token_hex(24)


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """Every secret of one home."""

    secret_key: str
    dispatch_keys: str
    postgres_superuser: str
    postgres: str
    valkey: str
    flower: str


def keyring(home: Home) -> Keyring:
    """Return the home's secrets. What is missing is made and kept in a file that only its owner can read.

    Raises:
        StackError: the file is damaged.
    """
    kept = read_json(home.secrets)
    fresh = {
        "secret_key": secrets.token_urlsafe(48),
        "dispatch_keys": "k1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "postgres_superuser": _password(),
        "postgres": _password(),
        "valkey": _password(),
        "flower": secrets.token_urlsafe(15),
    }
    names = [field.name for field in fields(Keyring)]
    ring = Keyring(**{name: str(kept.get(name) or fresh[name]) for name in names})
    if any(not kept.get(name) for name in names):
        write_json(home.secrets, asdict(ring))
    return ring
