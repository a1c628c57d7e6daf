"""A round's folder while it is trained: cleared for a new training, and the log that one writes."""

import contextlib
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dgaal_cli import events
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import AnyEvent, Emit, RoundStarted
from dgaal_cli.reports.round_plots import counted_steps
from dgaal_cli.rounds.record import EVENTS_NAME
from dgaal_cli.rounds.resume_state import begun_terms, class_changes, forget_terms
from dgaal_cli.store.protocol import Store
from dgaal_cli.training import checkpoint
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME
from dgaal_cli.workspace import Workspace

EVENT_FILES_NAME = "tensorboard"


def prepare(
    workspace: Workspace, store: Store, number: int, *, is_fresh: bool, must_resume: bool
) -> None:
    """Make the folder of a round ready for its training, to go on or to begin.

    What a training of an older round left behind is deleted: nothing goes on with it.

    Args:
        workspace: Where.
        store: Its classes must be those that a saved state was trained on.
        number: The round.
        is_fresh: Forget an interrupted training.
        must_resume: There must be one.

    Raises:
        UsageError: There is none to go on with.
        CheckpointError: The classes changed since it began.
        WorkspaceError: What it began with cannot be read.
    """
    folder = workspace.round_path(number)
    begun = None if is_fresh else begun_terms(folder)
    if must_resume and begun is None:
        raise UsageError(
            f"no training of round {number} was interrupted; "
            "'dgaal train' without --resume begins it"
        )
    changes = [] if is_fresh else class_changes(folder, store.classes())
    if changes:
        raise CheckpointError(
            f"round {number} stopped midway and cannot go on: {'; '.join(changes)}; take that "
            "back with 'dgaal labels classes', or start the round again with --fresh"
        )
    for each in workspace.rounds_path.glob("*"):
        if each.name.isdigit() and int(each.name) < number:
            _discard(each)
    folder.mkdir(parents=True, exist_ok=True)
    if begun is None:
        _discard(folder)
        (folder / EVENTS_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder / EVENT_FILES_NAME, ignore_errors=True)


@contextmanager
def recording(folder: Path, emit: Emit, *, has_event_files: bool) -> Generator[Emit]:
    """Write every event into the round's folder before the listener hears of it."""
    path = folder / EVENTS_NAME
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(path.open("ab"))
        board = events.ignore

        def tell(event: AnyEvent) -> None:
            nonlocal board
            record.write(events.encode(event) + b"\n")
            record.flush()
            if has_event_files and isinstance(event, RoundStarted):
                from dgaal_cli.rounds.event_files import event_files  # an optional package

                files = event_files(folder / EVENT_FILES_NAME, earlier=counted_steps(path))
                board = stack.enter_context(files)
            board(event)
            emit(event)

        yield tell


def _discard(folder: Path) -> None:
    """Delete what a training needs to go on, the saved state first."""
    checkpoint.remove(folder / PROGRESS_NAME)
    forget_terms(folder)
