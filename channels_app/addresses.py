"""Where a channel reaches a recipient: one spelling for each address, and refusal of what cannot be one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from channels_app.errors import InvalidAddress
from channels_app.types import Channel

ID_LIMIT: Final = 255
"""Characters in the id of an avatar, a reader or a push subscription."""
URL_LIMIT: Final = 2_048
"""Characters in the URL of a webhook, a push endpoint or a media file."""

# An address outside these expressions is not necessarily wrong: email-validator has the last word. The possessive
# quantifiers keep the match linear, and `\Z` keeps out the newline that `$` would let through.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
_LABEL: Final = r"(?=[^.]{1,63}(?:\.|\Z))[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+"
_DOMAIN: Final = rf"(?:{_LABEL}\.)++(?![0-9]++\Z){_LABEL}\Z"
_PLAIN_EMAIL: Final = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*+@(?=.{{1,253}}\Z){_DOMAIN}")
_PLAIN_DOMAIN: Final = re.compile(rf"(?=.{{1,253}}\Z)(?:localhost\Z|{_DOMAIN})")
_EMAIL_LIMIT: Final = 254
_LOCAL_LIMIT: Final = 64

# C0 and C1 controls, line and paragraph separators, and halves of surrogate pairs, which no encoding can carry.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_NATIONAL_ZERO: Final = re.compile(r"\(\s*0\s*\)")
_PHONE_PUNCTUATION: Final = str.maketrans("", "", " -().\u00a0")
_TELEGRAM_ID: Final = re.compile(r"-?[1-9][0-9]{0,18}\Z")
_TELEGRAM_NAME: Final = re.compile(r"@[A-Za-z][A-Za-z0-9_]{3,31}\Z")
_TELEGRAM_BOUND: Final = 2**63


def normalise(channel: Channel, address: str) -> str:
    """Give the one spelling under which `channel` knows `address`.

    Raises:
        InvalidAddress: the channel cannot reach such an address.
    """
    return _NORMALISERS[channel](address)


def name_destinations(names: Iterable[str]) -> None:
    """Let webhooks go to these names too: destinations that an operator has set."""
    _destinations.clear()
    _destinations.update(names)


_destinations: Final[set[str]] = set()


def normalise_many(channel: Channel, addresses: Iterable[str]) -> list[str | InvalidAddress]:
    """Normalise each address; an error takes the place of an address that the channel cannot reach."""
    normaliser = _NORMALISERS[channel]
    found: list[str | InvalidAddress] = []
    for address in addresses:
        try:
            found.append(normaliser(address))
        except InvalidAddress as error:
            found.append(error)
    return found


def check_url(url: str) -> None:
    """Look at the spelling of a URL that a provider is to fetch something from.

    Raises:
        InvalidAddress: it is not a URL of http or https, too long, or carries a user name or password.
    """
    if _UNSAFE.search(url):
        raise InvalidAddress("the URL holds control characters")
    _url(url, ("http", "https"))


def _email(address: str) -> str:
    if _PLAIN_EMAIL.match(address) and "--" not in address and len(address) <= _EMAIL_LIMIT:
        if address.islower():
            return address
        local, _, domain = address.rpartition("@")
        return f"{local}@{domain.lower()}"
    return _unusual_email(_printable(address))


def _unusual_email(address: str) -> str:
    # Imported late: only unusual addresses need it, and it brings the tables of IDNA along.
    from email_validator import EmailNotValidError, validate_email

    local, _, domain = address.rpartition("@")
    private = _PLAIN_DOMAIN.match(domain) is not None and "--" not in domain
    try:
        # A self-hosted relay may well serve localhost or .internal, which the validator keeps from the public. So a
        # plain domain is judged here, and the validator sees the local part beside a domain that it lets through.
        judged = validate_email(
            f"{local}@dispatch.test" if private else address, check_deliverability=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise InvalidAddress(f"not an e-mail address: {error}") from error
    normalised = f"{judged.local_part}@{domain.lower()}" if private else judged.normalized
    if len(normalised.encode()) > _EMAIL_LIMIT or len(judged.local_part.encode()) > _LOCAL_LIMIT:
        raise InvalidAddress(f"an e-mail address has at most {_EMAIL_LIMIT} bytes, {_LOCAL_LIMIT} before the @")
    return normalised


def _phone(address: str) -> str:
    printable = _printable(address)
    number = printable.translate(_PHONE_PUNCTUATION)
    # A single zero in brackets is dialled within its country alone: with it the number would be another, or none.
    if not _PHONE.match(number) or _NATIONAL_ZERO.search(printable):
        raise InvalidAddress("not a phone number in E.164 form: + and 7 to 15 digits")
    return number


def _telegram(address: str) -> str:
    chat = _printable(address)
    if _TELEGRAM_NAME.match(chat):
        return chat
    if _TELEGRAM_ID.match(chat) and abs(int(chat)) < _TELEGRAM_BOUND:
        return chat
    raise InvalidAddress("not a Telegram chat: a number, or @ and a user name")


def _push(address: str) -> str:
    subscription = _printable(address)
    if "://" in subscription:
        return _url(subscription, ("https",))
    return _identifier(subscription)


def _webhook(address: str) -> str:
    destination = _printable(address)
    return destination if destination in _destinations else _url(destination, ("http", "https"))


def _url(url: str, schemes: tuple[str, ...]) -> str:
    if len(url) > URL_LIMIT:
        raise InvalidAddress(f"a URL has at most {URL_LIMIT} characters")
    if " " in url or "\\" in url:
        raise InvalidAddress("a URL has no spaces or backslashes")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidAddress(f"not a URL: {error}") from error
    if parts.scheme not in schemes or not host or port == 0:
        raise InvalidAddress(f"not a URL of {' or '.join(schemes)} with a host")
    if "@" in parts.netloc:
        raise InvalidAddress("a URL carries no user name or password")
    return url


def _identifier(address: str) -> str:
    identifier = _printable(address)
    if len(identifier) > ID_LIMIT:
        raise InvalidAddress(f"an id has at most {ID_LIMIT} characters")
    return identifier


def _printable(address: str) -> str:
    """Strip the spaces around an address; refuse emptiness, controls and what no encoding can carry."""
    if _UNSAFE.search(address):
        raise InvalidAddress("the address holds control characters")
    stripped = address.strip()
    if not stripped:
        raise InvalidAddress("the address is empty")
    return stripped


_NORMALISERS: Final[dict[Channel, Callable[[str], str]]] = {
    Channel.EMAIL: _email,
    Channel.SMS: _phone,
    Channel.WHATSAPP: _phone,
    Channel.PUSH: _push,
    Channel.TELEGRAM: _telegram,
    Channel.ONSITE: _identifier,
    Channel.WEBHOOK: _webhook,
    Channel.DIRECT: _identifier,
}
