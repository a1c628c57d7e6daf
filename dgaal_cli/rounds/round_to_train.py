"""Which round the next training belongs to, and the query that it closes."""

from typing import Any

from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.rounds.state import RUN_NAME, is_unfinished, read_record, round_state
from dgaal_cli.store.protocol import Store
from dgaal_cli.workspace import Workspace


def round_to_train(workspace: Workspace, store: Store, *, is_fresh: bool) -> int:
    """Return the round of the next training; ``is_fresh`` restarts the last one.

    Raises:
        UsageError: The last round is trained on all current labels.
        CheckpointError: No checkpoint is sound.
    """
    state = round_state(workspace, store)
    folder = workspace.round_path(state.to_train)
    if is_fresh or is_unfinished(folder):
        return state.to_train
    if state.trained is None and state.damage:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', which changes no label")
    if state.step == "query":
        run = read_record(folder / RUN_NAME)
        now = newest_event(store, store.watermark())
        if all(run.get(key, value) == value for key, value in now.items()):
            raise UsageError(
                f"round {state.number} is trained on all {run['labels']} current labels; "
                "choose the next images with 'dgaal query', or train it again with --fresh"
            )
    return state.to_train


def newest_event(store: Store, watermark: int | None) -> dict[str, Any]:
    """Return what a round records about the labels it is trained on: their newest event.

    The number alone does not identify it: after a backup was restored, other events get the same
    numbers.
    """
    event = next(store.events(after=watermark - 1), None) if watermark else None
    return {"watermark": watermark, "newest_op_id": None if event is None else event.op_id}


def close_earlier_query(store: Store, number: int) -> None:
    """Close the open query of a round before ``number``, which is trained now."""
    query = store.open_query()
    if query is not None and query.round < number:
        store.close_query(query.round)
