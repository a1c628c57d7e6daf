"""Choose the next images to label and store the query, with the reasons an operator can use."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dgaal_cli import atomic, events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.escaping import cell
from dgaal_cli.events import Emit, QueryChosen, Warned
from dgaal_cli.ids import ItemId, Row
from dgaal_cli.methods.base import Ranking
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.rounds.boundary_synthesis import (
    Guesses,
    keep_drawn,
    synthesize_at_boundary,
    top_guesses,
)
from dgaal_cli.rounds.load_round import Trained, open_trained
from dgaal_cli.rounds.state import round_state
from dgaal_cli.rounds.unlabelable_synthetics import newest_junk
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, Query, QueryEntry
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.seeding import seed_of
from dgaal_cli.training.task import Prediction
from dgaal_cli.workspace import Workspace

CSV_NAME = "query.csv"
COLUMNS = ("rank", "id", "score", "percentile", "nearest", "predicted", "confidence", "reason")
UNBOUNDED = 1_000_000_000
"""A generator never runs out of images."""
NOTHING_LEFT = "every image of the pool is answered; there is nothing left to ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """A stored query."""

    round: int
    strategy: str
    entries: tuple[QueryEntry, ...]
    items: tuple[ItemRecord, ...]
    """The asked items, in the order of ``entries``."""
    promoted: int
    """Synthesized images that joined the labels with their inherited label, at no annotation."""
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
    """Choose images by the last trained round.

    Args:
        workspace: Where.
        config: How.
        count: Pool images to ask; None takes ``query.size``, less near the end of pool or budget.
        synthetic: Images to synthesize near the boundary and ask beside them.
        emit: Listener.

    Raises:
        UsageError: A query is open, nothing is trained, more is asked than there is, or images
            are to be synthesized though the last ones were mostly junk.
        BusyError: Another process trains here.
    """
    with (
        workspace.lock("train", doing="choosing a query"),
        interruption.listening(),
        open_store(workspace.store_path) as store,
    ):
        _check_turn(workspace, store)
        _check_junk(config, store, synthetic, emit)
        trained = open_trained(workspace, config, store, emit=emit)
        data = trained.gathered.data
        left = len(data.unlabeled_rows)
        asked = _affordable(config, store, count, synthetic, left=left)
        seed = seed_of(config.seed, trained.number, "query")
        ranking = trained.method.rank(data, asked, seed)
        interruption.check("stopped before a query was stored; nothing was changed")
        promoted = store.promote_synthetic(
            [data.synthetic.item_ids[i] for i in ranking.promoted], trained.number
        )
        entries = _entries(trained, ranking)
        if ranking.synthesized is not None:
            entries += keep_drawn(workspace, store, trained, ranking, first_rank=len(entries) + 1)
        if not entries and not synthetic:
            raise UsageError(NOTHING_LEFT)
        if synthetic:
            entries += synthesize_at_boundary(
                workspace, store, trained, count=synthetic, seed=seed, first_rank=len(entries) + 1
            )
        chosen = Query(
            round=trained.number,
            strategy=ranking.strategy,
            model_sha=trained.model_digest,
            entries=tuple(entries),
        )
        before = store.open_query()
        if before is not None and before.round < chosen.round:  # its training was killed at the end
            store.close_query(before.round)
        store.save_query(chosen, overlap=config.query.overlap)
        items = tuple(store.item(entry.item_id) for entry in entries)
        _write_csv(workspace, store, chosen, items)
    if not data.can_learn and METHODS[config.method].needs_labels:
        emit(
            Warned(
                message=f"no labels of two classes yet, so {config.method} has nothing to learn "
                f"from; this query: {ranking.strategy}"
            )
        )
    if promoted:
        emit(Warned(message=f"{promoted} synthesized images joined the labels as their parents"))
    emit(
        QueryChosen(
            round=chosen.round,
            size=len(entries),
            synthetic=len(entries) - len(ranking.picks),
            strategy=chosen.strategy,
        )
    )
    return QueryResult(
        round=chosen.round,
        strategy=chosen.strategy,
        entries=chosen.entries,
        items=items,
        promoted=promoted,
        left=left - len(ranking.picks),
    )


def _check_turn(workspace: Workspace, store: Store) -> None:
    state = round_state(workspace, store)
    if state.step == "label" and state.open_query is not None:
        raise UsageError(
            f"round {state.number} still asks {state.open_query.left} of "
            f"{state.open_query.size} images; label them with 'dgaal label', or close the query "
            "with 'dgaal train'"
        )
    if state.damage and state.trained is None:
        raise CheckpointError(f"{state.damage}; run 'dgaal train --fresh', no label is lost")
    if state.step == "train" and state.damage:
        raise UsageError(f"{state.damage}; run 'dgaal train' first")
    if state.step == "train":
        raise UsageError(
            "nothing is trained yet; run 'dgaal train' first"
            if state.trained is None
            else f"round {state.trained} has asked its query already; run 'dgaal train' first"
        )


def _check_junk(config: Config, store: Store, synthetic: int, emit: Emit) -> None:
    """Let a generator pause for one query when too many of its drawings could not be told."""
    found, most = newest_junk(store), config.label.max_junk
    if not found.is_over(most):
        return
    told = f"{found.junk} of the {found.judged} images drawn last could not be told"
    if synthetic:
        raise UsageError(
            f"{told}: synthesis pauses for one query; ask this one without --synthetic, or raise "
            f"label.max_junk, which is {most:g}"
        )
    if METHODS[config.method].draws_queries:
        emit(Warned(message=f"{told}; '{config.method}' asks nothing else: consider another"))


def _affordable(
    config: Config, store: Store, count: int | None, synthetic: int, *, left: int
) -> int:
    """How many images may be asked; an explicit wish that cannot be met is an error."""
    if METHODS[config.method].draws_queries:
        if synthetic:
            raise UsageError(
                f"'{config.method}' draws the images that it asks by itself; say how many with -n "
                "instead of --synthetic"
            )
        left = UNBOUNDED
    if left == 0 and not synthetic:
        raise UsageError(NOTHING_LEFT)
    wanted = config.query.size if count is None else count
    budget = config.query.budget
    # Every image costs as many labels as people are asked about it.
    unspent = (budget - store.counts().annotations) // config.query.overlap
    affordable = unspent - synthetic if budget else left
    if affordable < (0 if synthetic and not left else 1):
        raise UsageError(
            f"the budget of {budget} labels is spent; raise query.budget in dgaal.toml to go on"
        )
    if count is not None and count > left:
        raise UsageError(f"asked for {count} images, {left} are unlabeled; lower -n")
    if count is not None and count > affordable:
        raise UsageError(
            f"asked for {count} images, the budget leaves {affordable}; lower -n or raise "
            "query.budget"
        )
    return min(wanted, left, affordable)


def _entries(trained: Trained, ranking: Ranking) -> list[QueryEntry]:
    data = trained.gathered.data
    position = {int(row): i for i, row in enumerate(ranking.rows)}
    ordered = np.sort(ranking.scores)
    picks = [position[row] for row in ranking.picks]
    said = _asked_of_t(trained, ranking.picks)
    nearest = {} if said is None else _nearest_labeled(trained, ranking.picks, said.features)
    entries: list[QueryEntry] = []
    for rank, (row, at) in enumerate(zip(ranking.picks, picks, strict=True), start=1):
        score = None if ranking.is_random else float(ranking.scores[at])
        share = None if score is None else float(np.searchsorted(ordered, score)) / len(ordered)
        guesses: Guesses = ()
        if said is not None and not ranking.is_random:
            guesses = top_guesses(trained, said.probabilities[rank - 1])
        entries.append(
            QueryEntry(
                item_id=data.item_ids[row],
                rank=rank,
                score=score,
                percentile=None if share is None else 100.0 * share,
                nearest=nearest.get(row),
                predicted=guesses[0][0] if guesses else None,
                probabilities=guesses,
                reason=ranking.reasons.get(row, ""),
            )
        )
    return entries


def _asked_of_t(trained: Trained, picks: Sequence[Row]) -> Prediction | None:
    """What T says of the picks, and of nothing else: methods that need no T take no pass of it."""
    data = trained.gathered.data
    if not picks or not data.can_learn:
        return None
    return predict(trained.method.classifier, data.pixels[np.asarray(picks)], data.device)


def _nearest_labeled(trained: Trained, picks: Sequence[Row], ours: np.ndarray) -> dict[Row, ItemId]:
    """Nearest labeled image of each pick in T's features: what the operator may compare with."""
    data = trained.gathered.data
    labeled = np.flatnonzero(data.is_labeled)
    if not len(labeled):  # only drawings have labels
        return {}
    theirs = predict(trained.method.classifier, data.pixels[labeled], data.device).features
    gaps = (ours**2).sum(1)[:, None] + (theirs**2).sum(1)[None] - 2.0 * ours @ theirs.T
    return {
        row: data.item_ids[int(labeled[at])] for row, at in zip(picks, gaps.argmin(1), strict=True)
    }


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
