"""What every operation of the OASIS messaging API has in common, and how each is described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer

from messaging.api.common.operations import IDEMPOTENCY_KEY, WORKSPACE, F, describe
from messaging.api.common.rendering import JSON
from messaging.api.common.views import ApiView
from messaging.api.oasis.envelope import Failure, failure
from messaging.errors import DispatchError, Unauthenticated

__all__ = ["IDEMPOTENCY_KEY", "MANAGEMENT", "PREFER", "READ", "WRITE", "AvatarView", "View", "operation"]

READ, WRITE = "messages:read", "messages:write"
MANAGEMENT = "management"

PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description="`respond-async`: answer at once, before the outcome is known."
)
_REFUSALS: Final = {
    400: "A value or the recipient is refused; `errors` says which.",
    401: "Nobody was recognised, and the server is set to be strict; else this comes as 200.",
    403: "The caller may not do this.",
    404: "There is no such thing in the workspace.",
    405: "The path does not answer this method.",
    406: "The caller takes no JSON.",
    409: "It cannot be done in the present state.",
    413: "The body is too large.",
    415: "The body is of a kind that is not read here.",
    422: "The Idempotency-Key was used for another request.",
    429: "Too many requests, or more messages than the day has left; try again after `Retry-After`.",
    500: "A fault on our side, an encryption error, or a channel without a provider.",
    502: "The message was not sent; `exception` says why.",
    503: "It cannot be done now; try again after `Retry-After`.",
}


class View(ApiView):
    """A path of the API; `names` says what the domain's fields are called in its requests."""

    names: ClassVar[Mapping[str, str]] = {}

    def refuse(self, error: DispatchError) -> HttpResponse:
        return failure(self.request, error, result=self.refused(error), names=self.names, allowance=self.allowance)

    def refused(self, error: DispatchError) -> bool | None:
        """What stands as `result` of a refusal."""
        return None


class AvatarView(View):
    """A path between avatars: `result` is false where nobody was recognised, and where something was to be done."""

    commands: ClassVar[bool] = False

    def refused(self, error: DispatchError) -> bool | None:
        return False if self.commands or isinstance(error, Unauthenticated) else None


def operation(
    name: str,
    *,
    answers: Mapping[int, Any],
    tag: str,
    takes: Any = None,
    taken_as: tuple[str, ...] = (JSON,),
    parameters: tuple[OpenApiParameter, ...] = (),
) -> Callable[[F], F]:
    """Describe an operation for the schema: its name, what it takes, what it answers when all is well."""
    return describe(
        name,
        tag=tag,
        answers={status: _or_failure(name, shape) if status == 200 else shape for status, shape in answers.items()},
        refusal=Failure,
        refusals=_REFUSALS,
        takes=takes,
        taken_as=taken_as,
        parameters=(WORKSPACE, *parameters),
    )


def _or_failure(name: str, shape: Any) -> PolymorphicProxySerializer:
    """Even a 200 may be a refusal: that of a caller whom nobody recognised."""
    shapes: Any = [shape, Failure]
    return PolymorphicProxySerializer(
        component_name=f"{name}_answer", serializers=shapes, resource_type_field_name=None
    )
