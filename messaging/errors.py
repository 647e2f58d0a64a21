"""What the domain can answer instead of doing what was asked.

    DispatchError
    ├── Invalid                what was asked for is malformed; `errors` say where
    │   └── IdempotencyMismatch   the key was used before, with another body
    ├── Unauthenticated        nobody, or nobody we know, asks
    ├── Forbidden              the caller may not do this
    ├── NotFound               there is no such thing in the caller's workspace
    ├── Conflict               it cannot be done in the present state
    │   ├── TransitionRefused     the message, or whatever it is, is not in a state that allows this
    │   ├── IdempotencyInFlight   the same request is being worked on
    │   └── AlreadyExists         a name or key is taken
    ├── EncryptionFailed       something cannot be encrypted, or does not open
    │   └── KeyMissing            this process was not given the platform's key that it needs
    ├── TooLarge               more than one request may carry
    ├── QuotaExceeded          the workspace has no messages left for today; nothing was stored
    ├── QueryTimeout           the answer would take too long to find
    └── Unavailable            we cannot take it now; nothing was stored

Codes are stable and lower case; surfaces decide what they look like on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One place in the request that is wrong; `pointer` is a JSON pointer (RFC 6901) into the body."""

    pointer: str
    code: str
    detail: str


class DispatchError(Exception):
    """A refusal with a code for programs and a detail for people."""

    code = "error"

    def __init__(self, detail: str, *, code: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = tuple(errors)


class Invalid(DispatchError):
    """What was asked for is malformed."""

    code = "validation_error"

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Invalid:
        """A refusal for one place in the request."""
        return cls(detail, code=code, errors=[FieldError(pointer, code, detail)])


class IdempotencyMismatch(Invalid):
    """The key was used before, with another body."""

    code = "idempotency_mismatch"


class Unauthenticated(DispatchError):
    """Nobody, or nobody we know, asks."""

    code = "unauthenticated"


class Forbidden(DispatchError):
    """The caller may not do this."""

    code = "forbidden"


class NotFound(DispatchError):
    """There is no such thing in the caller's workspace."""

    code = "not_found"


class Conflict(DispatchError):
    """It cannot be done in the present state."""

    code = "conflict"


class TransitionRefused(Conflict):
    """The message, or whatever it is, is not in a state that allows this."""

    code = "transition_refused"


class IdempotencyInFlight(Conflict):
    """The same request is being worked on."""

    code = "idempotency_in_flight"


class AlreadyExists(Conflict):
    """A name or key is taken."""

    code = "already_exists"


class EncryptionFailed(DispatchError):
    """Something cannot be encrypted, or does not open."""

    code = "encryption_failed"


class KeyMissing(EncryptionFailed):
    """This process was not given the platform's key that it needs; one that has it can go on."""


class TooLarge(DispatchError):
    """More than one request may carry."""

    code = "too_large"


class QuotaExceeded(DispatchError):
    """The workspace has no messages left for today; nothing was stored."""

    code = "quota_exceeded"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class QueryTimeout(DispatchError):
    """The answer would take too long to find."""

    code = "query_timeout"


class Unavailable(DispatchError):
    """We cannot take it now; nothing was stored."""

    code = "unavailable"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: int = 2) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after
