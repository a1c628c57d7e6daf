"""Seeds of the reliability tests: printed, and repeated by ``RELIABILITY_SEED=N pytest ...``."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FIXED_SEED = 20261121
DRIVERS = Path(__file__).parent / "drivers"


@pytest.fixture
def seed() -> int:
    """Return the seed of this run; ``RELIABILITY_SEED=random`` draws one."""
    requested = os.environ.get("RELIABILITY_SEED", str(FIXED_SEED))
    number = secrets.randbelow(2**31) if requested == "random" else int(requested)
    sys.stdout.write(f"RELIABILITY_SEED={number}\n")
    return number


@pytest.fixture
def drive(seed: int) -> Callable[..., Any]:
    """Return a function that runs a driver in a separate process and returns its report.

    A driver forks and kills processes.
    """

    def run(name: str, *arguments: object, timeout: float = 1200.0) -> Any:
        done = subprocess.run(
            [sys.executable, str(DRIVERS / f"{name}.py"), str(seed), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=quiet_environment(),
        )
        assert done.returncode == 0, done.stderr[-4000:]
        report = json.loads(done.stdout.splitlines()[-1])
        sys.stdout.write(f"{name} {' '.join(map(str, arguments[1:]))}: {report}\n")
        return report

    return run


def quiet_environment() -> dict[str, str]:
    """Return an environment with one thread per process and tests/support on the path."""
    support = str(Path(__file__).parents[1] / "support")
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    path = os.pathsep.join(filter(None, (support, os.environ.get("PYTHONPATH"))))
    return {**os.environ, **threads, "PYTHONPATH": path}
