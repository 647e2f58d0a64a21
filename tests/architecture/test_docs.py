"""The documentation says what the code says, where a program can compare the two."""

from __future__ import annotations

import re
from pathlib import Path

from messaging.state import MOVES, RETRIES

_ARROW = re.compile(r"^\s*(\S+) --> (\S+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_READ = re.compile(r'env\.(?:text|secret|words|integer|flag|choice)\(\s*"([A-Z_]+)"')
_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def test_the_diagram_of_states_is_the_table_of_moves(project: Path) -> None:
    drawn = _ARROW.findall((project / "docs/states.md").read_text("utf-8"))
    moves = [
        (source.value, to.value) for table in (MOVES, RETRIES) for source, targets in table.items() for to in targets
    ]
    assert sorted(drawn) == sorted(moves)


def test_every_variable_that_settings_read_has_its_row_and_no_other_has(project: Path) -> None:
    read = set(_READ.findall((project / "config/settings.py").read_text("utf-8")))
    told = _ROW.findall((project / "docs/configuration.md").read_text("utf-8"))
    assert len(read) > 20
    assert sorted(told) == sorted(read)


def test_every_link_between_pages_leads_somewhere(project: Path) -> None:
    pages = [*project.glob("*.md"), *project.glob("docs/**/*.md")]
    broken = [
        f"{page.relative_to(project)}: {target}"
        for page in pages
        for target in _LINK.findall(page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert len(pages) > 10
    assert broken == []


def test_every_path_of_code_that_a_page_names_exists(project: Path) -> None:
    named = re.compile(r"`((?:messaging|channels_app|config|workers|analytics|tests|docs)/[\w./]+\.(?:py|md))`")
    missing = [
        f"{page.name}: {path}"
        for page in [*project.glob("*.md"), *project.glob("docs/**/*.md")]
        for path in named.findall(page.read_text("utf-8"))
        if not (project / path).exists()
    ]
    assert missing == []


def test_every_room_has_one_row(project: Path) -> None:
    page = (project / "docs/architecture.md").read_text("utf-8")
    told = [
        name for row in re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", row)
    ]
    dispatch = {path.stem for path in (project / "messaging/dispatch").glob("[a-z]*") if "__" not in path.name}
    rooms = {f"messaging.{path.stem}" for path in (project / "messaging").glob("[a-z]*") if _holds_code(path)}
    assert sorted(name for name in told if name in dispatch) == sorted(dispatch)
    assert sorted(name for name in told if name.startswith("messaging.")) == sorted(rooms)


def _holds_code(path: Path) -> bool:
    """Whether a room is furnished, and is no part that Django wants by its name."""
    if path.stem in {"migrations", "apps", "urls", "static", "templates"}:
        return False
    return path.suffix == ".py" or any(each.name != "__init__.py" for each in path.glob("**/*.py"))
