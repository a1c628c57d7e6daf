"""What a round's training started with, so that it resumes without repeating its options.

Needs no torch: the command line reads it before it builds the configuration.
"""

import contextlib
import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from dgaal_cli import atomic
from dgaal_cli.errors import InterruptedRunError, WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.rounds.state import START_NAME, is_unfinished, read_record, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeState:
    """Options of a training that stay the same until its round is trained."""

    watermark: int
    """Labels after this event belong to the next round."""
    newest_item: int = 0
    """Number of the newest pool image: images that were added later belong to the next round; 0 if
    unknown."""
    assignments: tuple[str, ...] = ()
    """``key.path=value`` of the command line; overrides ``dgaal.toml`` and the environment."""
    threads: int = 0
    """CPU threads at the start; 0 if unknown."""
    budget_s: float | None = None
    """Seconds of wall-clock time for the round; None sets no limit."""
    classes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the classes by uid, in order; empty if unknown."""
    training: str = field(default_factory=lambda: secrets.token_hex(8))
    """Id of this training, which its final checkpoint repeats: see ``state.is_unfinished``."""


def save_resume_state(folder: Path, state: ResumeState) -> None:
    """Write the resume state to the round's folder."""
    atomic.write_text(folder / START_NAME, json.dumps(asdict(state)) + "\n")


def delete_resume_state(folder: Path) -> None:
    """Delete the resume state; if the disk refuses, the final checkpoint marks the end."""
    with contextlib.suppress(OSError):
        (folder / START_NAME).unlink(missing_ok=True)


@contextmanager
def keep_resume_state(folder: Path, state: ResumeState) -> Generator[None]:
    """Save the resume state for the block, so that a kill before the first save does not lose it.

    After an error before the first save, the earlier resume state is restored: the new options may
    be the reason of the error. If a saved training exists, its own resume state is kept.
    """
    if candidates(folder / PROGRESS_NAME):
        yield
        return
    before = read_resume_state(folder)
    save_resume_state(folder, state)
    try:
        yield
    except InterruptedRunError:
        raise
    except Exception:  # any error, which is raised again
        if is_unfinished(folder) and not candidates(folder / PROGRESS_NAME):
            delete_resume_state(folder) if before is None else save_resume_state(folder, before)
        raise


def read_resume_state(folder: Path) -> ResumeState | None:
    """Read the resume state of an interrupted round; None if it was not interrupted.

    Raises:
        WorkspaceError: The file is damaged.
    """
    if not is_unfinished(folder):
        return None
    path = folder / START_NAME
    record = read_record(path)
    try:
        training = record.get("training") or secrets.token_hex(8)
        return msgspec.convert({**record, "training": training}, ResumeState)
    except (AttributeError, msgspec.ValidationError) as error:
        raise WorkspaceError(
            f"{path} is damaged; train the round again with 'dgaal train --fresh'"
        ) from error


def newest_resume_state(workspace: Workspace) -> ResumeState | None:
    """Read the resume state of the training that ``dgaal train`` resumes; None if it starts one.

    Raises:
        WorkspaceError: The file or the label store is damaged.
    """
    if not any(workspace.rounds_path.glob(f"*/{START_NAME}")):
        return None
    with open_store(workspace, read_only=True) as store:
        number = round_state(workspace, store).to_train
    return read_resume_state(workspace.round_path(number))


def merge_overrides(state: ResumeState | None, given: Sequence[str]) -> list[str]:
    """Return the saved assignments, then the given ones, each once."""
    return list(dict.fromkeys([*(state.assignments if state else ()), *given][::-1]))[::-1]


def class_changes(folder: Path, classes: Sequence[ClassRecord]) -> list[str]:
    """Describe how the class list changed since an interrupted training was saved.

    A new name of a class is not a change. A training cannot be resumed with other classes: networks
    have one output per class, and a round without one of them cannot make a query.

    Raises:
        WorkspaceError: The resume state is damaged.
    """
    saved = read_resume_state(folder)
    if saved is None or not saved.classes or not candidates(folder / PROGRESS_NAME):
        return []
    before, now = saved.classes, {record.uid: record.name for record in classes}
    changes = [
        f"class {show(name)} was added since" for uid, name in now.items() if uid not in before
    ]
    changes += [
        f"class {show(name)} was removed since" for u, name in before.items() if u not in now
    ]
    if not changes and list(before) != list(now):
        changes.append("the order of the classes changed since")
    return changes
