"""./dispatch before it has an environment: what is missing is one line with what to do, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .conftest import Script


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("dispatch: ")
    return lines[0]


def test_an_old_python_is_told_which_one_is_needed(script: Script) -> None:
    line = refusal(script("up", modules={"sitecustomize": "import sys; sys.version_info = (3, 9, 2, 'final', 0)"}))
    assert "needs Python 3.11 or newer, and this is 3.9" in line


def test_an_old_python_goes_on_in_a_newer_one_on_the_path(script: Script, tmp_path: Path) -> None:
    newer = tmp_path / "python3.12"
    newer.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "newer: $2"\n')
    newer.chmod(0o755)
    done = script("up", modules={"sitecustomize": "import sys; sys.version_info = (3, 9, 2, 'final', 0)"})
    assert (done.returncode, done.stdout) == (0, "newer: up\n")


def test_a_missing_venv_module_names_the_package_of_debian(script: Script) -> None:
    line = refusal(script("up", modules={"ensurepip": "raise ImportError('ensurepip')"}))
    assert "no module ensurepip" in line
    assert "apt install python3." in line


def test_a_cut_off_installation_is_made_anew_and_without_network_fails_in_one_line(
    script: Script, tmp_path: Path
) -> None:
    half = tmp_path / "clone/.venv/half.txt"
    half.parent.mkdir()
    (half.parent / ".unfinished").touch()
    half.touch()
    done = script("up", PIP_INDEX_URL="http://127.0.0.1:9/simple/", PIP_CONFIG_FILE="/dev/null")
    assert "pip cannot reach its package index" in refusal(done)
    assert "making the virtual environment" in done.stdout
    assert not half.exists()
    assert (half.parent / ".unfinished").exists()


NO_NETWORK = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple/", "PIP_CONFIG_FILE": "/dev/null"}


def test_half_an_environment_is_not_taken_for_that_of_the_system(script: Script, tmp_path: Path) -> None:
    """Without pyvenv.cfg its interpreter is the system's, where pip would install."""
    python = tmp_path / "clone/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    done = script("up", **NO_NETWORK)
    assert "making the virtual environment" in done.stdout
    assert (tmp_path / "clone/.venv/pyvenv.cfg").exists()


def test_an_environment_that_cannot_be_removed_whole_stays_marked(script: Script, tmp_path: Path) -> None:
    venv = tmp_path / "clone/.venv"
    (venv / "lib").mkdir(parents=True)
    (venv / ".unfinished").touch()
    killed_on_the_way = (
        "import os, shutil\n"
        "def rmtree(path, *_, **__):\n"
        "    [os.remove(entry.path) for entry in os.scandir(path) if entry.is_file()]\n"
        "    os._exit(9)\n"
        "shutil.rmtree = rmtree\n"
    )
    assert script("up", modules={"sitecustomize": killed_on_the_way}).returncode == 9
    assert (venv / ".unfinished").exists()


def test_an_installation_outlives_the_start_that_began_it_and_holds_off_the_next(
    script: Script, tmp_path: Path
) -> None:
    """Whoever is killed while pip works leaves pip behind: the next start waits for it instead of working beside it."""
    venv = tmp_path / "clone/.venv"
    venv.mkdir(parents=True)
    (venv / ".unfinished").touch()
    left_behind = (
        "import os, subprocess\n"
        "class Popen(subprocess.Popen):\n"
        "    def __init__(self, command, **how):\n"
        '        works = \'for i in $(seq 2000); do test -e "$0" && break; sleep 0.05; done; touch "$0.ended"\'\n'
        "        super().__init__(['sh', '-c', works, os.environ['MARK']], **how)\n"
        "        os._exit(9)\n"
        "subprocess.Popen = Popen\n"
    )
    mark = tmp_path / "may-end"
    script("up", modules={"sitecustomize": left_behind}, MARK=str(mark), PATH=os.environ["PATH"])
    (tmp_path / "shadows/sitecustomize.py").unlink()

    def let_it_end(line: str) -> None:
        if "waiting for another start" in line:
            mark.touch()

    done = script("up", **NO_NETWORK, hear=let_it_end)
    assert "waiting for another start" in done.stdout
    assert mark.with_suffix(".ended").exists()


def test_commands_that_only_look_install_nothing(script: Script, tmp_path: Path) -> None:
    for command in ("status", "logs", "down"):
        assert "nothing was started here yet" in refusal(script(command))
    assert not (tmp_path / "clone/.venv").exists()


def test_the_script_stays_short_and_within_the_standard_library(project: Path) -> None:
    text = (project / "dispatch").read_text()
    assert len(text.splitlines()) < 150
