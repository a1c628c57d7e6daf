"""A query by the networks of the last trained round."""

from functools import partial

from dgaal_cli import interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit
from dgaal_cli.rounds.audit_prediction import predict_items
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.engine import choose_query
from dgaal_cli.rounds.load_round import load_round
from dgaal_cli.rounds.query_entries import query_entries
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Query
from dgaal_cli.workspace import Workspace


def choose_by_networks(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    count: int | None,
    synthetic: int,
    emit: Emit,
) -> ChosenEntries:
    """Choose the next images; promote and store synthetic ones, but not the query.

    Raises:
        UsageError: See ``engine.choose_query`` and ``load_round``.
    """
    trained = load_round(workspace, config, store, emit=emit)
    bench, method, data = trained.bench, trained.method, trained.bench.data
    chosen = choose_query(bench, method, count=count, synthetic=synthetic, emit=emit)
    interruption.check("stopped before a query was stored; nothing was changed")
    ranking = chosen.ranking
    promoted = store.promote_synthetic(
        [data.synthetic.item_ids[i] for i in ranking.promoted], trained.number
    )
    query = Query(
        round=trained.number,
        strategy=ranking.strategy,
        model_sha=trained.model_digest,
        entries=tuple(query_entries(bench, method, chosen)),
    )
    left = len(data.unlabeled_rows) - len(ranking.picks)
    return ChosenEntries(
        query=query, left=left, promoted=promoted, predict=partial(predict_items, bench, method)
    )
