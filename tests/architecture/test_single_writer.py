"""One room writes the status of a message."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_layers import PACKAGES, sources

WRITER = "messaging/dispatch/transitions/"

_SQL = re.compile(
    r"\b(?:UPDATE\s+(?:ONLY\s+)?|INSERT\s+INTO\s+|COPY\s+|MERGE\s+INTO\s+)\"?messaging_message\"?(?:_\d{4}_\d{2})?\b(?!event)",
    re.IGNORECASE,
)
"""Every statement that writes rows of messages, whatever its columns: the others may only read them."""
_WRITES = {"update", "create", "bulk_create", "bulk_update", "update_or_create", "get_or_create", "save"}
_NOT_MESSAGES = {"Campaign", "Consent", "ReceiptRecord"}
"""Models whose own status or state is not that of a message."""
_OWN_STATUS = {"self.status", "campaign.status"}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string of a module; the parts of an f-string are read as one."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def writers(source: str) -> Iterator[int]:
    """The lines of a module that write a message's status, by SQL or through the ORM."""
    tree = ast.parse(source)
    for line, text in texts(tree):
        if _SQL.search(text):
            yield line
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITES:
            yield from _by_orm(node, node.func)
        stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if stored and ast.unparse(node).endswith(".status") and ast.unparse(node) not in _OWN_STATUS:
            yield node.lineno


def _by_orm(node: ast.Call, func: ast.Attribute) -> Iterator[int]:
    owner = ast.unparse(func.value)
    if any(name in owner for name in _NOT_MESSAGES) or owner == "campaign":
        return
    named = {keyword.arg for keyword in node.keywords}
    listed = {
        item.value
        for argument in (*node.args, *(keyword.value for keyword in node.keywords))
        if isinstance(argument, ast.List | ast.Tuple | ast.Set)
        for item in argument.elts
        if isinstance(item, ast.Constant)
    }
    of_messages = re.search(r"\bMessage\b", owner) is not None and func.attr != "save"
    if "status" in named or "status" in listed or (of_messages and func.attr in {"create", "bulk_create"}):
        yield node.lineno


def test_only_transitions_writes_the_status_of_a_message(project: Path):
    found = [
        f"{path.relative_to(project)}:{line}"
        for path in sources(project, *PACKAGES)
        if "migrations" not in path.parts and not str(path.relative_to(project)).startswith(WRITER)
        for line in writers(path.read_text("utf-8"))
    ]

    assert found == []


def test_transitions_does_write_it(project: Path):
    assert sum(len(list(writers(path.read_text("utf-8")))) for path in (project / WRITER).glob("*.py")) >= 4


@pytest.mark.parametrize(
    "source",
    [
        'cursor.execute("UPDATE messaging_message SET status = %s")',
        'cursor.execute("update only messaging_message m set x = 1")',
        'sql = f"UPDATE messaging_message m SET {columns}"',
        'sql = "INSERT INTO messaging_message (id) VALUES (1)"',
        'cursor.copy("COPY messaging_message (id) FROM STDIN")',
        "Message.objects.filter(pk=1).update(status='SENT')",
        "rows.update(status=Status.SENT)",
        "Message.objects.bulk_update(rows, ['status'])",
        "Message.objects.bulk_update(rows, fields=['status'])",
        "Message.objects.create(id=1)",
        "message.status = Status.SENT",
        "row.save(update_fields=['status'])",
    ],
)
def test_a_second_writer_would_be_found(source: str):
    assert list(writers(source)) == [1]


@pytest.mark.parametrize(
    "source",
    [
        'cursor.execute("SELECT status FROM messaging_message FOR UPDATE")',
        'cursor.execute("UPDATE messaging_receiptrecord SET state = 1")',
        'cursor.execute("INSERT INTO messaging_messageevent (status) VALUES (1)")',
        "Message.objects.filter(status='SENT')",
        "ReceiptRecord.objects.update(state='applied')",
        "status = Status.SENT",
    ],
)
def test_a_reader_is_no_writer(source: str):
    assert list(writers(source)) == []
