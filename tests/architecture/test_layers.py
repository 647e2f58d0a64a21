"""Imports keep to the layers that pyproject.toml draws, and what a linter of imports cannot hold is held here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("config", "messaging", "channels_app", "analytics", "workers")


def sources(project: Path, *packages: str) -> Iterator[Path]:
    for package in packages:
        yield from (project / package).rglob("*.py")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([command, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_imports_keep_to_the_layers(project: Path):
    done = lint_imports(project)

    assert done.returncode == 0, done.stdout
    assert " 0 broken." in done.stdout


def test_an_import_against_the_layers_is_noticed(project: Path, tmp_path: Path):
    """A copy of the house in which the lowest module reaches for the highest one."""
    for path in [*sources(project, *PACKAGES), project / "pyproject.toml"]:
        copy = tmp_path / path.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text("utf-8"), "utf-8")
    with (tmp_path / "messaging/state.py").open("a", encoding="utf-8") as file:
        file.write("\nimport messaging.dispatch.delivery\n")
    (tmp_path / "messaging/homeless.py").touch()

    done = lint_imports(tmp_path)

    assert done.returncode == 1
    assert "messaging.state -> messaging.dispatch.delivery" in done.stdout
    assert "homeless" in done.stdout


def test_the_environment_is_read_in_config_alone(project: Path):
    reading = {"environ", "getenv", "environb", "putenv"}
    found = [
        f"{path.relative_to(project)}:{node.lineno}"
        for path in sources(project, *(set(PACKAGES) - {"config"}))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in reading and ast.unparse(node.value) == "os")
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & reading)
    ]

    assert found == []


def test_settings_alone_of_config_read_the_environment_they_describe(project: Path):
    """Other modules of config start processes and hand an environment on; none of them reads a variable for itself."""
    found = [
        f"{path.relative_to(project)}:{node.lineno}"
        for path in sources(project, "config")
        if path.name not in {"settings.py", "environment.py"} and "stack" not in path.parts and path.name != "cli.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr == "getenv" or (node.func.attr == "get" and ast.unparse(node.func.value) == "os.environ"))
    ]

    assert found == []
