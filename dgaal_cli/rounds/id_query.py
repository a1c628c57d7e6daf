"""A query by a method that needs only ids: no image is decoded, and no network is loaded."""

from typing import TYPE_CHECKING

import numpy as np

from dgaal_cli import interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.pool_pixels import sound_items
from dgaal_cli.rounds.query_size import images_to_ask
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.training.seeds import seed_of
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.methods.registry import IdScores


def choose_by_ids(
    workspace: Workspace,
    config: Config,
    store: Store,
    id_scores: "IdScores",
    *,
    number: int,
    count: int | None = None,
    emit: Emit,
) -> ChosenEntries:
    """Choose the next images of round ``number``, without storing the query.

    Of the images that it asks, the bytes are compared with those that ``init`` read. Images that
    are missing or changed are marked in the store, and the next ones are asked instead.

    Raises:
        UsageError: More images are requested than available.
        PoolGoneError: The pool is missing, or contains no image; the store is unchanged.
    """
    ids = store.unanswered()

    def asked(left: int) -> int:
        return images_to_ask(
            config, left=left, annotations=lambda: store.counts().annotations, count=count
        )

    size = asked(len(ids))
    scores = id_scores(ids, seed_of(config.seed, number, "query"))
    order = (ids[int(at)] for at in np.argsort(-scores, kind="stable"))
    items = sound_items(workspace, config, store, order, count=size, emit=emit)
    if len(items) < size:  # all that are left
        asked(len(items))
    interruption.check("stopped before a query was stored; nothing was changed")
    entries = (QueryEntry(item_id=item.item_id, rank=r) for r, item in enumerate(items, start=1))
    query = Query(round=number, strategy=config.method, model_sha=None, entries=tuple(entries))
    return ChosenEntries(query=query, left=len(store.unanswered()) - len(items))
