"""The active-learning loop as a state machine: train, query, label, next round.

The state is never stored. It follows from the complete checkpoints on disk and the store's last
query, so after a kill at any moment the next command finds the right state.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Query, QueryProgress
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates, is_sound, read_state
from dgaal_cli.workspace import Workspace

CHECKPOINT_NAME = "checkpoint"
RUN_NAME = "run.json"
METRICS_NAME = "metrics.json"
EVENTS_NAME = "events.jsonl"
START_NAME = "start.json"
"""File in a round's folder: what an unfinished training started with."""

Step = Literal["train", "query", "label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """State of a workspace."""

    number: int
    """Round of the next step."""
    step: Step
    """Next step."""
    trained: int | None
    """Newest round with a complete and unchanged checkpoint."""
    open_query: QueryProgress | None
    """Progress of the open query; None if a later round is trained already."""
    is_midway: bool
    """Whether a training of ``number`` was interrupted and can be resumed."""
    damage: str
    """Message about newer damaged checkpoints; empty without any."""

    @property
    def to_train(self) -> int:
        """Round of the next training."""
        return self.number + 1 if self.step == "label" else self.number


def round_state(workspace: Workspace, store: Store) -> RoundState:
    """Read the state of a workspace."""
    trained = last_trained(workspace)
    query = store.last_query()
    # The training of the next round closes a query, unless it is killed before.
    is_over = query is not None and trained is not None and query.round < trained
    is_open = store.open_query() is not None and not is_over
    progress = store.query_progress(query.round) if query is not None and is_open else None
    if progress is not None and progress.left == 0:
        progress = None
    if progress is not None and query is not None:
        number, step = query.round, "label"
    elif trained is not None and (query is None or query.round < trained):
        number, step = trained, "query"
    else:
        number, step = _next_training(workspace, trained, query), "train"
    return RoundState(
        number=number,
        step=step,
        trained=trained,
        open_query=progress,
        damage=damage_report(workspace, newest=trained),
        is_midway=step == "train" and is_unfinished(workspace.round_path(number)),
    )


def _next_training(workspace: Workspace, trained: int | None, query: Query | None) -> int:
    """Return the round to train: after that of the last query, which may have had no training."""
    newest = max(trained_rounds(workspace), default=None)
    if newest is not None and newest != trained:  # its checkpoint is damaged
        return newest if trained is None else trained + 1
    return 0 if query is None else query.round + 1


def last_trained(workspace: Workspace, *, before: int | None = None) -> int | None:
    """Return the newest round, ``before`` another, with a complete and unchanged checkpoint."""
    for number in reversed(trained_rounds(workspace)):
        is_early = before is None or number < before
        if is_early and is_sound(workspace.round_path(number) / CHECKPOINT_NAME):
            return number
    return None


def is_unfinished(folder: Path) -> bool:
    """Return whether a training of this round started and did not end.

    A training ends with the final checkpoint, which holds the training's id. After a kill, files
    of an ended training may remain; they are ignored. While a round is trained again, its folder
    holds the checkpoint of the older training.
    """
    path = folder / START_NAME
    if not path.is_file():
        return False
    try:
        training = read_record(path).get("training")
    except (WorkspaceError, AttributeError):  # not JSON, or not a JSON object
        return True
    if training is None:  # from an older dgaal, without ids of trainings
        return bool(candidates(folder / PROGRESS_NAME))
    return read_state(folder / CHECKPOINT_NAME).get("training") != training


def damage_report(workspace: Workspace, *, newest: int | None) -> str:
    """Describe damaged checkpoints and their replacement; empty without any."""
    damaged = [n for n in trained_rounds(workspace) if newest is None or n > newest]
    if not damaged:
        return ""
    rounds = f"round{'s' if len(damaged) > 1 else ''} {', '.join(map(str, damaged))}"
    instead = "there is no older one" if newest is None else f"round {newest} is used instead"
    return f"the checkpoint of {rounds} is damaged; {instead}"


def trained_rounds(workspace: Workspace) -> list[int]:
    """Return the numbers of all completely trained rounds, ascending."""
    if not workspace.rounds_path.is_dir():
        return []
    return sorted(
        int(folder.name)
        for folder in workspace.rounds_path.iterdir()
        if folder.name.isdigit() and candidates(folder / CHECKPOINT_NAME)
    )


def newest_round(workspace: Workspace) -> int | None:
    """Return the newest round with a folder, trained or not."""
    folders = workspace.rounds_path.iterdir() if workspace.rounds_path.is_dir() else ()
    return max((int(each.name) for each in folders if each.name.isdigit()), default=None)


def read_record(path: Path) -> dict[str, Any]:
    """Read a round's ``run.json`` or ``metrics.json``.

    Raises:
        WorkspaceError: The file is missing or damaged.
        StorageError: The file cannot be read.
    """
    try:
        return cast("dict[str, Any]", json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError) as error:
        raise WorkspaceError(
            f"{path} is missing or damaged; train the round again with 'dgaal train --fresh'"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror or error}; check the disk"
        ) from error


def had_labels(workspace: Workspace, before: int) -> bool:
    """Return whether a round before ``before`` was trained on at least one label."""
    return any(
        read_record(workspace.round_path(number) / METRICS_NAME)["trained_on"] > 0
        for number in trained_rounds(workspace)
        if number < before
    )


def round_metrics(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the metrics of every trained round, ascending."""
    return [
        read_record(workspace.round_path(number) / METRICS_NAME)
        for number in trained_rounds(workspace)
    ]
