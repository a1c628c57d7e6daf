"""A round's folder during training: preparation, and the event log."""

import contextlib
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from dgaal_cli import events
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import AnyEvent, Emit, RoundStarted
from dgaal_cli.rounds.resume_state import class_changes, delete_resume_state, read_resume_state
from dgaal_cli.rounds.state import EVENTS_NAME
from dgaal_cli.store.protocol import Store
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, remove
from dgaal_cli.workspace import Workspace

EVENT_FILES_NAME = "tensorboard"


def prepare(
    workspace: Workspace, store: Store, number: int, *, is_fresh: bool, must_resume: bool
) -> None:
    """Prepare the folder of a round for a new or resumed training.

    Interrupted trainings of older rounds are deleted; ``is_fresh`` discards that of this one, too.

    Raises:
        UsageError: There is no interrupted training to resume.
        CheckpointError: The classes changed since the training started.
        WorkspaceError: The resume state cannot be read.
    """
    folder = workspace.round_path(number)
    saved = None if is_fresh else read_resume_state(folder)
    if must_resume and saved is None:
        raise UsageError(
            f"no training of round {number} was interrupted; "
            "'dgaal train' without --resume starts it"
        )
    changes = [] if is_fresh else class_changes(folder, store.classes())
    if changes:
        raise CheckpointError(
            f"round {number} stopped midway and cannot be resumed: {'; '.join(changes)}; undo "
            "that with 'dgaal labels classes', or restart the round with --fresh"
        )
    for each in workspace.rounds_path.glob("*"):
        if each.name.isdigit() and int(each.name) < number:
            _discard(each)
    folder.mkdir(parents=True, exist_ok=True)
    if saved is None:
        _discard(folder)
        (folder / EVENTS_NAME).unlink(missing_ok=True)
        shutil.rmtree(folder / EVENT_FILES_NAME, ignore_errors=True)


@contextmanager
def record_events(folder: Path, emit: Emit, *, has_event_files: bool) -> Generator[Emit]:
    """Write each event to the round's folder before the listener receives it."""
    path = folder / EVENTS_NAME
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(path.open("ab"))
        board = events.ignore

        def write(event: AnyEvent) -> None:
            nonlocal board
            record.write(events.encode(event) + b"\n")
            record.flush()
            if has_event_files and isinstance(event, RoundStarted):
                from dgaal_cli.reports.round_plots import counted_steps
                from dgaal_cli.rounds.event_files import event_files  # an optional package

                files = event_files(folder / EVENT_FILES_NAME, earlier=counted_steps(path))
                board = stack.enter_context(files)
            board(event)
            emit(event)

        yield write


def _discard(folder: Path) -> None:
    """Delete an interrupted training, the saved state first."""
    remove(folder / PROGRESS_NAME)
    delete_resume_state(folder)
