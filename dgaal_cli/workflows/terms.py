"""What a round's training began with: kept beside it, so that going on needs no word of it again.

Needs no torch: the command line reads it before it builds the configuration.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgaal_cli import atomic
from dgaal_cli.errors import WorkspaceError
from dgaal_cli.harmless import show
from dgaal_cli.rounds import read_record
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates
from dgaal_cli.workspace import Workspace

TERMS_NAME = "start.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a training until its round is trained, however often it is interrupted."""

    watermark: int
    """Labels given after this event belong to the next round."""
    assignments: tuple[str, ...] = ()
    """``key.path=value`` of the command line, over ``dgaal.toml`` and the environment."""
    threads: int = 0
    """CPU threads that it began with; 0 where that is not known."""


def save_terms(folder: Path, terms: Terms) -> None:
    """Write them into the round's folder."""
    document = {
        "watermark": terms.watermark,
        "assignments": list(terms.assignments),
        "threads": terms.threads,
    }
    atomic.write_text(folder / TERMS_NAME, json.dumps(document) + "\n")


def begun_terms(folder: Path) -> Terms | None:
    """Read the terms of a round whose training was interrupted; None where none was.

    Raises:
        WorkspaceError: The record is damaged.
    """
    path = folder / TERMS_NAME
    if not candidates(folder / PROGRESS_NAME) or not path.is_file():
        return None
    record = read_record(path)
    try:
        return Terms(
            watermark=int(record["watermark"]),
            assignments=_texts(record.get("assignments", [])),
            threads=int(record.get("threads", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WorkspaceError(
            f"{show(str(path))} is damaged; train the round again with 'dgaal train --fresh'"
        ) from error


def newest_terms(workspace: Workspace) -> Terms | None:
    """Read the terms of the workspace's interrupted training; None where there is none.

    Raises:
        WorkspaceError: The record is damaged.
    """
    if not workspace.rounds_path.is_dir():
        return None
    numbers = [int(f.name) for f in workspace.rounds_path.iterdir() if f.name.isdigit()]
    return begun_terms(workspace.round_path(max(numbers))) if numbers else None


def laid_over(terms: Terms | None, given: Sequence[str]) -> list[str]:
    """Return the assignments that a training began with, then those given now, each once."""
    return list(dict.fromkeys([*(terms.assignments if terms else ()), *given][::-1]))[::-1]


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError
    return tuple(values)
