"""What a round's training began with: kept beside it, so that going on needs no word of it again.

Needs no torch: the command line reads it before it builds the configuration.
"""

import contextlib
import json
import secrets
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dgaal_cli import atomic
from dgaal_cli.errors import InterruptedRunError, WorkspaceError
from dgaal_cli.escaping import show
from dgaal_cli.rounds.state import START_NAME, is_unfinished, read_record, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a training until its round is trained, however often it is interrupted."""

    watermark: int
    """Labels given after this event belong to the next round."""
    assignments: tuple[str, ...] = ()
    """``key.path=value`` of the command line, over ``dgaal.toml`` and the environment."""
    threads: int = 0
    """CPU threads that it began with; 0 where that is not known."""
    budget_s: float | None = None
    """Seconds of wall-clock time for the round; None sets no limit."""
    classes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names of the classes by their uids, in order; empty where that is not known."""
    training: str = field(default_factory=lambda: secrets.token_hex(8))
    """Name of this training, which its final checkpoint bears: see ``rounds.is_unfinished``."""


def save_terms(folder: Path, terms: Terms) -> None:
    """Write them into the round's folder."""
    document = {
        "watermark": terms.watermark,
        "assignments": list(terms.assignments),
        "threads": terms.threads,
        "budget_s": terms.budget_s,
        "classes": dict(terms.classes),
        "training": terms.training,
    }
    atomic.write_text(folder / START_NAME, json.dumps(document) + "\n")


def forget_terms(folder: Path) -> None:
    """Delete the record; where the disk refuses, the final checkpoint says that it is over."""
    with contextlib.suppress(OSError):
        (folder / START_NAME).unlink(missing_ok=True)


@contextmanager
def beginning(folder: Path, terms: Terms) -> Generator[None]:
    """Keep what a training begins with, so that a kill before its first save loses none of it.

    A training that ends by an error before anything is saved leaves nothing to go on with: what
    was said to it may be the reason. Where a saved state waits to be gone on with, its own record
    stays until it is known that nothing said now contradicts it.

    Args:
        folder: The round's.
        terms: What holds if nothing is saved yet.
    """
    if candidates(folder / PROGRESS_NAME):
        yield
        return
    before = begun_terms(folder)
    save_terms(folder, terms)
    try:
        yield
    except InterruptedRunError:
        raise
    except Exception:  # whatever it was, nothing was saved, and it is raised again
        if is_unfinished(folder) and not candidates(folder / PROGRESS_NAME):
            forget_terms(folder) if before is None else save_terms(folder, before)
        raise


def begun_terms(folder: Path) -> Terms | None:
    """Read the terms of a round whose training was interrupted; None where none was.

    Raises:
        WorkspaceError: The record is damaged.
    """
    if not is_unfinished(folder):
        return None
    path = folder / START_NAME
    record = read_record(path)
    try:
        budget = record.get("budget_s")
        return Terms(
            watermark=int(record["watermark"]),
            assignments=_texts(record.get("assignments", [])),
            threads=int(record.get("threads", 0)),
            budget_s=None if budget is None else float(budget),
            classes=dict(zip(*map(_texts, _columns(record.get("classes", {}))), strict=True)),
            training=str(record.get("training") or secrets.token_hex(8)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(
            f"{path} is damaged; train the round again with 'dgaal train --fresh'"
        ) from error


def newest_terms(workspace: Workspace) -> Terms | None:
    """Read the terms of the training that ``dgaal train`` goes on with; None if it begins one.

    Raises:
        WorkspaceError: The record, or the label store, is damaged.
    """
    if not any(workspace.rounds_path.glob(f"*/{START_NAME}")):
        return None
    with open_store(workspace.store_path, read_only=True) as store:
        number = round_state(workspace, store).to_train
    return begun_terms(workspace.round_path(number))


def laid_over(terms: Terms | None, given: Sequence[str]) -> list[str]:
    """Return the assignments that a training began with, then those given now, each once."""
    return list(dict.fromkeys([*(terms.assignments if terms else ()), *given][::-1]))[::-1]


def named_classes(classes: Sequence[ClassRecord]) -> dict[str, str]:
    """Return the names by uid, in order."""
    return {record.uid: record.name for record in classes}


def class_changes(folder: Path, classes: Sequence[ClassRecord]) -> list[str]:
    """Say how the class list changed since the saved state of an interrupted training.

    New names of classes are no change. A saved state cannot go on with other classes: networks have
    an output for each, and no query could be asked of a round that lacks one.

    Raises:
        WorkspaceError: The record of its beginning is damaged.
    """
    begun = begun_terms(folder)
    if begun is None or not begun.classes or not candidates(folder / PROGRESS_NAME):
        return []
    before, now = begun.classes, named_classes(classes)
    said = [f"class {show(name)} was added since" for uid, name in now.items() if uid not in before]
    said += [f"class {show(name)} was removed since" for u, name in before.items() if u not in now]
    if not said and list(before) != list(now):
        said.append("the order of the classes changed since")
    return said


def _columns(table: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    return list(table.keys()), list(table.values())


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)
