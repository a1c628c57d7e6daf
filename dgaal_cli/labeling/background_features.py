"""Compute the features of the pool while a person labels: ``python -m`` this module, FOLDER.

It runs in a separate process without torch, with the lowest priority and on all cores but one. The
result is a cache that the next query uses; after a kill at any moment the next session continues.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dgaal_cli.config.schema import Config
from dgaal_cli.parent import CHILD, end_with_parent
from dgaal_cli.workspace import Workspace, open_workspace

NICENESS = 19
_EXIT_S = 2.0
"""Seconds after SIGTERM in which the process saves what it has computed."""


@contextmanager
def features_in_background(workspace: Workspace, config: Config) -> Generator[None]:
    """Compute the features that the cache does not have yet, until the block ends."""
    if config.encoder.source == "pixels" or not config.label.features:
        yield
        return
    process = None
    with contextlib.suppress(OSError):  # without memory for it, a query computes them
        process = subprocess.Popen(  # noqa: S603 - own command
            [sys.executable, "-m", __name__, str(workspace.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
            env={**os.environ, **CHILD},
        )
    try:
        yield
    finally:
        if process is not None:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with process:
        try:
            process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()


def compute_missing(workspace: Workspace) -> None:
    """Compute the features of the pool unless the cache has them all.

    Raises:
        DgaalError: See ``compute_features``.
    """
    from dgaal_cli import interruption
    from dgaal_cli.features.compute import compute_features
    from dgaal_cli.methods.configuration import configuration
    from dgaal_cli.rounds.pool_rows import count_missing
    from dgaal_cli.store.open import open_store

    config = configuration(workspace)
    with open_store(workspace, read_only=True) as store:
        items = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
    with interruption.listening():
        if count_missing(workspace, config, items):
            compute_features(workspace, config)


def _give_way() -> None:
    """Take the lowest priority, and leave a core to the terminal."""
    os.nice(NICENESS)
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[1:] or cpus)


def main(arguments: list[str]) -> int:
    """Compute the features of the workspace in the folder given; return the exit code."""
    from dgaal_cli.errors import DgaalError

    end_with_parent()
    _give_way()
    try:
        compute_missing(open_workspace(Path(arguments[0])))
    except DgaalError as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
