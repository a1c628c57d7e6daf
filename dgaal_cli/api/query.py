"""Choose the next images to label, and store the query with a reason for each image."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from dgaal_cli import atomic, events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.escaping import cell
from dgaal_cli.events import Emit, QueryChosen, Warned
from dgaal_cli.methods.registry import FIRST_METHOD, load_feature_rule, load_id_scores
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.id_query import choose_by_ids
from dgaal_cli.rounds.state import RoundState, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, Query, QueryEntry
from dgaal_cli.workspace import Workspace

CSV_NAME = "query.csv"
COLUMNS = ("rank", "id", "score", "percentile", "nearest", "predicted", "confidence", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """A stored query."""

    round: int
    strategy: str
    entries: tuple[QueryEntry, ...]
    items: tuple[ItemRecord, ...]
    """The asked items, in the order of ``entries``."""
    promoted: int
    """Synthetic images added to the labels with their inherited label, without annotation."""
    left: int
    """Unlabeled images that were not asked."""


def query(
    workspace: Workspace,
    config: Config,
    *,
    count: int | None = None,
    synthetic: int = 0,
    emit: Emit = events.ignore,
) -> QueryResult:
    """Choose images with the networks of the last trained round, by features, or at random.

    Without a trained round that can choose, images are chosen by ``registry.FIRST_METHOD``.

    Args:
        workspace: Workspace to query.
        config: Configuration.
        count: Pool images to ask; None uses ``query.size``, fewer near the end of pool or budget.
        synthetic: Images to synthesize near the decision boundary and ask in addition.
        emit: Listener for progress.

    Raises:
        UsageError: A query is open, more images are requested than exist, or synthetic images are
            requested though nothing is trained or most of the last ones were unlabelable.
        BusyError: Another process trains in this workspace.
    """
    with (
        workspace.lock("train", doing="choosing a query"),
        interruption.listening(),
        open_store(workspace) as store,
    ):
        chosen = _choose(workspace, config, store, count=count, synthetic=synthetic, emit=emit)
        stored = chosen.query
        before = store.open_query()
        # A training that was killed after its last step has left the previous query open.
        if before is not None and before.round < stored.round:
            store.close_query(before.round)
        store.save_query(stored, overlap=config.query.overlap)
        items = tuple(store.item(entry.item_id) for entry in stored.entries)
        workspace.round_path(stored.round).mkdir(parents=True, exist_ok=True)
        _write_csv(workspace, store, stored, items)
    if chosen.promoted:
        joined = f"{chosen.promoted} synthesized images joined the labels as their parents"
        emit(Warned(message=joined))
    emit(
        QueryChosen(
            round=stored.round,
            size=len(stored.entries),
            synthetic=sum(item.is_synthetic for item in items),
            strategy=stored.strategy,
        )
    )
    return QueryResult(
        round=stored.round,
        strategy=stored.strategy,
        entries=stored.entries,
        items=items,
        promoted=chosen.promoted,
        left=chosen.left,
    )


def _choose(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    count: int | None,
    synthetic: int,
    emit: Emit,
) -> ChosenEntries:
    state = round_state(workspace, store)
    _check_turn(state)
    lack = _lack_of_training(state)
    if lack and synthetic:
        raise UsageError(f"{lack}; run 'dgaal train' first")
    id_scores = None if synthetic else load_id_scores(config.method)
    if id_scores is not None:
        return choose_by_ids(
            workspace, config, store, id_scores, number=state.number, count=count, emit=emit
        )
    rule, strategy = load_feature_rule(config.method), config.method
    if synthetic or (rule is None and not lack):
        from dgaal_cli.rounds.network_query import choose_by_networks

        return choose_by_networks(
            workspace, config, store, count=count, synthetic=synthetic, emit=emit
        )
    from dgaal_cli.rounds.feature_query import choose_by_features

    if state.is_midway:
        later = "the next training starts anew, with the labels of this query"
        emit(Warned(message=f"the training of round {state.number} was interrupted; {later}"))
    if rule is None:
        strategy = FIRST_METHOD
        rule = load_feature_rule(strategy)
        emit(Warned(message=f"{lack}: images are chosen by '{strategy}', not by '{config.method}'"))
    assert rule is not None
    return choose_by_features(
        workspace,
        config,
        store,
        rule,
        number=state.number,
        strategy=strategy,
        count=count,
        emit=emit,
    )


def _lack_of_training(state: RoundState) -> str:
    """Say why no trained round can choose; empty if one can."""
    if state.step != "train":
        return ""
    if state.trained is None:
        return "nothing is trained yet"
    return f"round {state.trained} has asked its query already"


def _check_turn(state: RoundState) -> None:
    if state.step == "label" and state.open_query is not None:
        raise UsageError(
            f"round {state.number} still asks {state.open_query.left} of "
            f"{state.open_query.size} images; label them with 'dgaal label', or close the query "
            "with 'dgaal train'"
        )
    if state.damage and state.trained is None:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', which changes no label")
    if state.step == "train" and state.damage:
        raise UsageError(f"{state.damage}; run 'dgaal train' first")


def _write_csv(
    workspace: Workspace, store: Store, chosen: Query, items: Sequence[ItemRecord]
) -> None:
    names = {record.uid: record.name for record in store.classes()}
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry, item in zip(chosen.entries, items, strict=True):
        near = store.item(entry.nearest).sample_id if entry.nearest is not None else ""
        writer.writerow(
            [
                entry.rank,
                cell(item.sample_id),
                "" if entry.score is None else f"{entry.score:.6g}",
                "" if entry.percentile is None else f"{entry.percentile:.1f}",
                cell(near),
                cell(names[entry.predicted]) if entry.predicted is not None else "",
                f"{entry.probabilities[0][1]:.4f}" if entry.probabilities else "",
                entry.reason,
            ]
        )
    atomic.write_text(workspace.round_path(chosen.round) / CSV_NAME, buffer.getvalue())
