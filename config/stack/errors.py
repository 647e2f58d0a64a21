"""The errors of the embedded servers and the supervisor.

StackError      the command cannot go on; its text is the line a person reads
└── Held        somebody else holds the lock of a home or a data directory
"""


class StackError(Exception):
    """The command cannot go on; its text says what happened and what to do, in one line."""


class Held(StackError):
    """Another process holds the lock. `pid` is 0 where the holder wrote none."""

    def __init__(self, text: str, *, pid: int = 0) -> None:
        super().__init__(text)
        self.pid = pid
