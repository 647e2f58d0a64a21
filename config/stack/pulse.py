"""A worker's sign of life: the file that the task `workers.pulse` touches. As a script, a container's health check.

python -m config.stack.pulse email      exit code 0 while the worker's file is fresh
"""

import os
import sys
import time
from pathlib import Path

STALE_SECONDS = 60.0


def pulse_file(run: Path, name: str) -> Path:
    """Return the file that the worker `name` touches."""
    return run / f"pulse-{name}"


def is_fresh(path: Path) -> bool:
    """Tell whether the file was touched lately."""
    try:
        return time.time() - path.stat().st_mtime < STALE_SECONDS
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    home = Path(os.environ.get("DISPATCH_HOME", "var"))
    sys.exit(0 if is_fresh(pulse_file(home / "run", sys.argv[1])) else 1)
