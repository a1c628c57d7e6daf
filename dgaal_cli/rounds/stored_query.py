"""Store a query, with a table of it in the round's folder."""

import csv
import io
from collections.abc import Sequence

from dgaal_cli import atomic
from dgaal_cli.config.schema import Config
from dgaal_cli.escaping import cell
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, Query
from dgaal_cli.workspace import Workspace

CSV_NAME = "query.csv"
COLUMNS = ("rank", "id", "score", "percentile", "nearest", "predicted", "confidence", "reason")


def store_query(
    workspace: Workspace, config: Config, store: Store, query: Query
) -> tuple[ItemRecord, ...]:
    """Open a query; return its items in the order of asking.

    Raises:
        StorageError: The store, or after it the table, cannot be written.
    """
    before = store.open_query()
    # A training that was killed after its last step has left the previous query open, and so has a
    # query that is followed by another without a training.
    if before is not None and before.round < query.round:
        store.close_query(before.round)
    store.save_query(query, overlap=config.query.overlap)
    items = tuple(store.item(entry.item_id) for entry in query.entries)
    workspace.round_path(query.round).mkdir(parents=True, exist_ok=True)
    _write_csv(workspace, store, query, items)
    return items


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
