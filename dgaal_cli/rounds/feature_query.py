"""A query by features: no training is needed, and no network is loaded but the encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dgaal_cli import interruption
from dgaal_cli.config.schema import Config, Head
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.herding import Picks
from dgaal_cli.features.kernel import FeatureRows, Ids
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.feature_rules import FeatureRule, PoolAnswers
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.guesses import Guesses, top_guesses
from dgaal_cli.rounds.image_groups import group_numbers
from dgaal_cli.rounds.pool_labels import training_columns
from dgaal_cli.rounds.pool_model import PoolModel, fit_pool_model
from dgaal_cli.rounds.pool_pixels import check_presence, sound_items
from dgaal_cli.rounds.pool_rows import ADVICE, pool_rows, rows_to_compare
from dgaal_cli.rounds.query_size import images_to_ask
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord, Query, QueryEntry
from dgaal_cli.workspace import Workspace

MAX_PREDICTED = 50_000
"""Images in larger pools are chosen without a task model."""


def choose_by_features(  # noqa: PLR0913 - what, how and where to choose
    workspace: Workspace,
    config: Config,
    store: Store,
    rule: FeatureRule,
    *,
    number: int,
    strategy: str,
    count: int | None = None,
    is_urgent: bool = False,
    emit: Emit,
) -> ChosenEntries:
    """Choose the next images by a rule, without storing the query.

    As in ``choose_by_ids``, the bytes of the asked images are compared with those that ``init``
    read. Images without features are asked last.

    Args:
        workspace: Workspace to query.
        config: Configuration.
        store: Its store.
        rule: How to choose from features.
        number: Round of the query.
        strategy: Name of the rule, for the record.
        count: Images to ask; None uses ``query.size``.
        is_urgent: See ``pool_rows``.
        emit: Listener for progress.

    Raises:
        UsageError: More images are requested than available.
        InputDataError: No image can be read.
        PoolGoneError: The pool is missing, or contains no image; the store is unchanged.
    """
    check_presence(workspace, config, store)
    if config.encoder.source == "pixels" and store.last_query() is None:
        emit(Warned(message=ADVICE))
    classes = store.classes()
    while True:
        open_ids = store.unanswered()
        size = images_to_ask(
            config,
            left=len(open_ids),
            annotations=lambda: store.counts().annotations,
            count=count,
        )
        pool = _Pool.read(workspace, config, store, open_ids, is_urgent=is_urgent, emit=emit)
        labels = training_columns(config, store, classes, pool.ids)
        model, answers = None, None
        if len(np.unique(labels[labels >= 0])) >= 2:
            groups = group_numbers(store, pool.ids)
            model = pool.model(labels, classes, config.classifier.head, groups)
            known = None if model is None else model.probabilities
            answers = PoolAnswers(ids=pool.ids, labels=labels, probabilities=known, groups=groups)
        picks = rule.choose(pool.compared, pool.ids, pool.answered, size, answers)
        picked = [ItemId(item) for item in pool.ids[picks.positions].tolist()]
        order = (picked + pool.without_rows)[:size]
        items = sound_items(workspace, config, store, order, count=size, emit=emit)
        if len(items) == len(order):
            break  # else choose again, without the images that changed
    interruption.check("stopped before a query was stored; nothing was changed")
    guesses: list[Guesses] = []
    if model is not None:
        rows = model.probabilities[picks.positions]
        guesses = [top_guesses(classes, row) for row in rows]
    entries = pool.entries(order, picks, guesses, rule.reason)
    query = Query(round=number, strategy=strategy, model_sha=None, entries=tuple(entries))
    return ChosenEntries(
        query=query,
        left=len(open_ids) - len(entries),
        model=model,
        predict=None if model is None else model.predict,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """The images of the pool, answered or not."""

    ids: Ids
    """(N,): items of the images with features."""
    rows: CachedRows
    """(N, D)."""
    compared: FeatureRows
    """(N, D): what rules compare."""
    answered: Ids
    """Positions in ``ids``; they count as covered, also by "can't tell"."""
    without_rows: list[ItemId]
    """Unanswered images without features."""
    is_urgent: bool

    @classmethod
    def read(
        cls,
        workspace: Workspace,
        config: Config,
        store: Store,
        open_ids: Sequence[ItemId],
        *,
        is_urgent: bool,
        emit: Emit,
    ) -> Self:
        items = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
        positions, rows = pool_rows(workspace, config, items, is_urgent=is_urgent, emit=emit)
        ids = np.array([item.item_id for item in items], np.int64)[positions]
        known = set(ids.tolist())
        return cls(
            ids=ids,
            rows=rows,
            compared=rows_to_compare(rows, config),
            answered=np.flatnonzero(~np.isin(ids, open_ids)),
            without_rows=[item_id for item_id in open_ids if item_id not in known],
            is_urgent=is_urgent,
        )

    def model(
        self, labels: Ids, classes: Sequence[ClassRecord], head: Head, groups: Ids
    ) -> PoolModel | None:
        """Fit a task model to labels of two classes; None if that takes too long."""
        if self.is_urgent or len(self.ids) > MAX_PREDICTED:
            return None
        return fit_pool_model(self.rows, self.ids, labels, classes, head, groups)

    def entries(
        self, order: Sequence[ItemId], picks: Picks, guesses: Sequence[Guesses], reason: str
    ) -> list[QueryEntry]:
        """Return the entries of a query; percentiles are relative to the unanswered images."""
        is_open = np.ones(len(self.ids), np.bool_)
        is_open[self.answered] = False
        ordered = np.sort(picks.scores[is_open])
        scores: list[float] = picks.scores[picks.positions].tolist()
        return [
            QueryEntry(
                item_id=item_id,
                rank=place + 1,
                score=scores[place],
                percentile=100 * float(np.searchsorted(ordered, scores[place])) / len(ordered),
                predicted=guesses[place][0][0] if guesses else None,
                probabilities=guesses[place] if guesses else (),
                reason=reason,
            )
            if place < len(scores)
            else QueryEntry(item_id=item_id, rank=place + 1, reason="it has no features")
            for place, item_id in enumerate(order)
        ]
