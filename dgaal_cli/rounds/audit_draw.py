"""Add images to a query that are drawn at random, to measure the task model on the pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dgaal_cli.audit.design import Draw, draw
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds.audit_entries import AuditedImage, audit_reason, audited_images
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.pool_pixels import sound_items
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import QueryEntry
from dgaal_cli.training.seeds import seed_of
from dgaal_cli.workspace import Workspace

FROM_LABELS = 100
"""Labels from which on ``audit.share`` applies: with fewer, each label is worth more for training
than for measuring, and the model changes too much for a measurement to last."""
_UNKNOWN = 0.5
"""Confidence of an image without a prediction."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """What the task model predicts for some images."""

    item_ids: Sequence[ItemId]
    """n images that it has a prediction for."""
    classes: Sequence[ClassUid]
    """Their most probable classes."""
    confidences: npt.NDArray[np.floating]
    """(n,): probabilities of these classes, 0..1."""


Predict = Callable[[Sequence[ItemId]], Predicted]
"""Predicts images; those that the model cannot predict are left out."""


def with_audit(
    workspace: Workspace,
    config: Config,
    store: Store,
    chosen: ChosenEntries,
    *,
    count: int | None,
    emit: Emit,
) -> ChosenEntries:
    """Mix audited images into a query, at random places.

    They are drawn from the images without an answer that the query does not ask, and asked in
    addition. The order of the query's own images stays.

    Args:
        workspace: Workspace of the pool.
        config: Configuration; ``audit.share`` and ``query.budget`` are used.
        store: Its store.
        chosen: The query.
        count: Images to audit; None: as many as ``audit.share`` states.
        emit: Listener for images that changed.

    Raises:
        UsageError: More images are requested than the pool or the budget has.
    """
    before = {each.item_id: each for each in audited_images(store)}
    own = [_blind(entry, before.get(entry.item_id)) for entry in chosen.query.entries]
    chosen = replace(chosen, query=replace(chosen.query, entries=tuple(own)))
    if count is None:
        count = _by_share(config, store, len(own))
    taken = {entry.item_id for entry in own} | before.keys()
    free = [item_id for item_id in store.unanswered() if item_id not in taken]
    count = _affordable(config, store, count, free=len(free), asked=len(own))
    if not count:
        return chosen
    seed = seed_of(config.seed, chosen.query.round, "audit")
    draws = draw(_confidences(chosen.predict, free), count, seed=seed)
    ids = [free[each.position] for each in draws]
    sound = {i.item_id for i in sound_items(workspace, config, store, ids, count=count, emit=emit)}
    added = _entries(free, draws, newest=max(item.item_id for item in store.items()))
    entries = _mixed(own, [entry for entry in added if entry.item_id in sound], seed)
    query = replace(chosen.query, entries=tuple(entries))
    return replace(chosen, query=query, left=chosen.left - len(entries) + len(own))


def _blind(entry: QueryEntry, audited: AuditedImage | None) -> QueryEntry:
    """Return the entry without a guess, if an earlier audit drew the image and nobody answered."""
    if audited is None:
        return entry
    reason = audit_reason(audited.stratum, total=audited.total, newest=audited.newest)
    return QueryEntry(item_id=entry.item_id, rank=entry.rank, reason=reason)


def _by_share(config: Config, store: Store, size: int) -> int:
    share = config.audit.share
    if not share or store.counts().labeled < FROM_LABELS:
        return 0
    return max(1, round(share * size))


def _affordable(config: Config, store: Store, count: int, *, free: int, asked: int) -> int:
    """Return how many images can be audited; ``count`` is what the options state."""
    budget = config.query.budget
    if count and budget:
        left = (budget - store.counts().annotations) // config.query.overlap - asked
        return max(0, min(count, left, free))
    if count > free:
        raise UsageError(f"requested an audit of {count} images, {free} are left; lower --audit")
    return count


def _confidences(predict: Predict | None, items: Sequence[ItemId]) -> npt.NDArray[np.float64]:
    found = np.full(len(items), _UNKNOWN)
    if predict is not None:
        predicted, row_of = predict(items), {item: row for row, item in enumerate(items)}
        found[[row_of[item] for item in predicted.item_ids]] = predicted.confidences
    return np.clip(found, 0.0, 1.0)


def _entries(free: Sequence[ItemId], draws: Sequence[Draw], *, newest: ItemId) -> list[QueryEntry]:
    return [
        QueryEntry(
            item_id=free[each.position],
            rank=0,
            reason=audit_reason(each.stratum, total=len(free), newest=newest),
        )
        for each in draws
    ]


def _mixed(own: Sequence[QueryEntry], added: Sequence[QueryEntry], seed: int) -> list[QueryEntry]:
    """Return both in random order, each with its own order kept."""
    is_added = np.zeros(len(own) + len(added), np.bool_)
    is_added[np.random.default_rng(seed).permutation(len(is_added))[: len(added)]] = True
    sources = iter(added), iter(own)
    order = [next(sources[0] if each else sources[1]) for each in is_added.tolist()]
    return [replace(entry, rank=rank) for rank, entry in enumerate(order, start=1)]
