"""One active-learning round as a small state machine: train, query, label, and the next.

The state is never stored. It follows from what lies on disk: whole checkpoints, and the store's
last query. Whatever was killed at whatever moment, the next command finds where things stand.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from dgaal_cli.errors import StorageError, WorkspaceError
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import QueryProgress
from dgaal_cli.training.checkpoint_folder import PROGRESS_NAME, candidates, is_sound, read_state
from dgaal_cli.workspace import Workspace

CHECKPOINT_NAME = "checkpoint"
RUN_NAME = "run.json"
METRICS_NAME = "metrics.json"
START_NAME = "start.json"
"""File, in a round's folder, of what an unfinished training began with."""

Step = Literal["train", "query", "label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundState:
    """Where a workspace stands."""

    number: int
    """The round that the next step belongs to."""
    step: Step
    """What comes next."""
    trained: int | None
    """Newest round with a whole and unchanged checkpoint."""
    open_query: QueryProgress | None
    """Of the query being labeled; None for one that a later round has learned from."""
    is_midway: bool
    """A training of ``number`` was interrupted and can go on."""
    damage: str
    """Which newer checkpoints are damaged, in words; empty where none is."""

    @property
    def to_train(self) -> int:
        """The round that the next training belongs to."""
        return self.number + 1 if self.step == "label" else self.number


def round_state(workspace: Workspace, store: Store) -> RoundState:
    """Read where the workspace stands."""
    trained = last_trained(workspace)
    query = store.last_query()
    # The round after a query's closes it when it is trained, unless a kill comes first.
    is_over = query is not None and trained is not None and query.round < trained
    is_open = store.open_query() is not None and not is_over
    progress = store.query_progress(query.round) if query is not None and is_open else None
    if progress is not None and progress.left == 0:
        progress = None
    if progress is not None and query is not None:
        number, step = query.round, "label"
    elif trained is None:
        number, step = max(trained_rounds(workspace), default=0), "train"
    elif query is not None and query.round >= trained:
        number, step = trained + 1, "train"
    else:
        number, step = trained, "query"
    return RoundState(
        number=number,
        step=step,
        trained=trained,
        open_query=progress,
        damage=damage_report(workspace, newest=trained),
        is_midway=step == "train" and is_unfinished(workspace.round_path(number)),
    )


def last_trained(workspace: Workspace, *, before: int | None = None) -> int | None:
    """Number of the newest round whose checkpoint is whole and unchanged, None if there is none.

    Args:
        workspace: Where.
        before: Only rounds before this one count; None sets no limit.
    """
    for number in reversed(trained_rounds(workspace)):
        is_early = before is None or number < before
        if is_early and is_sound(workspace.round_path(number) / CHECKPOINT_NAME):
            return number
    return None


def is_unfinished(folder: Path) -> bool:
    """Tell whether a training of this round began that did not reach its end.

    Its end is the final checkpoint, which names the training that it is of. A kill after it was
    saved may leave the training's own files behind, and they count as nothing. A round that is
    trained anew has the older training's checkpoint all the while.
    """
    path = folder / START_NAME
    if not path.is_file():
        return False
    try:
        training = read_record(path).get("training")
    except (WorkspaceError, AttributeError):  # no JSON, or no JSON object
        return True
    if training is None:  # of a dgaal whose checkpoints named no training
        return bool(candidates(folder / PROGRESS_NAME))
    return read_state(folder / CHECKPOINT_NAME).get("training") != training


def damage_report(workspace: Workspace, *, newest: int | None) -> str:
    """Say which checkpoints are damaged and what is used instead; empty where none is."""
    damaged = [n for n in trained_rounds(workspace) if newest is None or n > newest]
    if not damaged:
        return ""
    rounds = f"round{'s' if len(damaged) > 1 else ''} {', '.join(map(str, damaged))}"
    instead = "there is no older one" if newest is None else f"round {newest} is used instead"
    return f"the checkpoint of {rounds} is damaged; {instead}"


def trained_rounds(workspace: Workspace) -> list[int]:
    """Numbers of all rounds that were trained to their end, ascending."""
    if not workspace.rounds_path.is_dir():
        return []
    return sorted(
        int(folder.name)
        for folder in workspace.rounds_path.iterdir()
        if folder.name.isdigit() and candidates(folder / CHECKPOINT_NAME)
    )


def read_record(path: Path) -> dict[str, Any]:
    """Read a round's ``run.json`` or ``metrics.json``.

    Raises:
        WorkspaceError: It is missing or damaged.
        StorageError: It cannot be read.
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
    """Tell whether a round before ``before`` learned from at least one label."""
    return any(
        read_record(workspace.round_path(number) / METRICS_NAME)["trained_on"] > 0
        for number in trained_rounds(workspace)
        if number < before
    )


def learning_curve(workspace: Workspace) -> list[dict[str, Any]]:
    """Metrics of every trained round, ascending; what the terminal and reports draw."""
    return [
        read_record(workspace.round_path(number) / METRICS_NAME)
        for number in trained_rounds(workspace)
    ]
