"""The words of /api/v1: the domain's own, written as the API promises them."""

from __future__ import annotations

from typing import Literal

from messaging.models import FallbackStep, Mode, Role
from messaging.state import Priority

PriorityWord = Literal["urgent", "normal", "bulk"]
UnknownWord = Literal["resend", "fail"]
RoleWord = Literal["viewer", "member", "operator", "admin", "owner"]
ModeWord = Literal["live", "test"]
FallbackState = Literal["waiting", "taken", "spared", "dropped", "refused"]

PRIORITY_IN: dict[PriorityWord, Priority] = {
    "urgent": Priority.URGENT,
    "normal": Priority.NORMAL,
    "bulk": Priority.BULK,
}
PRIORITY_OUT: dict[Priority, PriorityWord] = {priority: word for word, priority in PRIORITY_IN.items()}
ROLE_OUT: dict[Role, RoleWord] = {
    Role.VIEWER: "viewer",
    Role.MEMBER: "member",
    Role.OPERATOR: "operator",
    Role.ADMIN: "admin",
    Role.OWNER: "owner",
}
MODE_OUT: dict[Mode, ModeWord] = {Mode.LIVE: "live", Mode.TEST: "test"}
FALLBACK_OUT: dict[FallbackStep.State, FallbackState] = {
    FallbackStep.State.WAITING: "waiting",
    FallbackStep.State.TAKEN: "taken",
    FallbackStep.State.SPARED: "spared",
    FallbackStep.State.DROPPED: "dropped",
    FallbackStep.State.REFUSED: "refused",
}
