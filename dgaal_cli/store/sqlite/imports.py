"""Imported labels, and labels that synthetic images inherit from their parents."""

import secrets
import sqlite3
from collections import Counter
from collections.abc import Sequence

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import ItemId
from dgaal_cli.store.instants import from_iso
from dgaal_cli.store.records import ClassRecord, ImportedLabel, ImportReport
from dgaal_cli.store.sqlite import classes, items, label_rows
from dgaal_cli.store.sqlite.answers import NewEvent, append
from dgaal_cli.store.sqlite.connection import Connection
from dgaal_cli.store.sqlite.queries import Operator

INHERITING = "dgaal"
"""Annotator name of inherited labels."""


class DryRunError(Exception):
    """Rolls back the transaction of a dry run."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


def import_labels(
    connection: Connection,
    labels: Sequence[ImportedLabel],
    new_classes: Sequence[ClassRecord],
    *,
    session: str,
    is_dry_run: bool,
) -> ImportReport:
    """Append an event for each new or changed label, in the caller's transaction.

    Raises:
        DryRunError: In a dry run, with the report.
    """
    for record in new_classes:
        classes.add(connection, record.name, record.key, uid=record.uid)
    now = connection.clock()
    count = Counter(_import_one(connection, label, session=session, now=now) for label in labels)
    report = ImportReport(**count)
    if is_dry_run:
        raise DryRunError(report)
    return report


def promote_synthetic(connection: Connection, chosen: Sequence[ItemId], round: int) -> int:
    """Turn inherited labels of synthetic images into labels; see ``LabelWriter``."""
    operator = Operator(annotator=INHERITING, session="", now=connection.clock())
    made = 0
    for item_id in chosen:
        item = items.one(connection, item_id)
        if not item.is_synthetic:
            raise UsageError(f"{item.sample_id} is not a synthetic image")
        judged = connection.execute(
            "SELECT 1 FROM verdict WHERE item_id = ?", (item_id,)
        ).fetchone()
        label = item.inherited
        if label is None or not all(classes.is_active(connection, u) for u in label.classes):
            continue
        if item.state != "ok" or judged is not None:
            continue
        append(
            connection,
            NewEvent(
                op_id=secrets.token_hex(16),
                kind="inherit",
                says="inherit",
                item_id=item_id,
                provenance="inherited",
                round=round,
                label=label,
            ),
            operator=operator,
        )
        made += 1
    return made


def _import_one(
    connection: sqlite3.Connection, label: ImportedLabel, *, session: str, now: float
) -> str:
    item_id = items.id_of_sample(connection, label.sample_id)
    if item_id is None:
        raise UsageError(f"this workspace has no image {label.sample_id}")
    _check(connection, label)
    table = "flagged" if label.kind == "flag" else "answer"
    current = connection.execute(
        f"SELECT e.says, e.label_id FROM {table} t JOIN event e USING(event_id) "  # noqa: S608
        "WHERE t.item_id = ? AND t.annotator = ?",
        (item_id, label.annotator),
    ).fetchone()
    stated = (label.kind, label_rows.identify(connection, label.label))
    if current is not None and tuple(current) == stated:
        return "unchanged"
    append(
        connection,
        NewEvent(
            op_id=secrets.token_hex(16),
            kind="import",
            says=label.kind,
            item_id=item_id,
            provenance=label.provenance,
            round=label.round,
            label=label.label,
            note=label.note,
            elapsed_ms=label.elapsed_ms,
            made_us=None if label.at is None else _instant(label.at),
        ),
        operator=Operator(annotator=label.annotator, session=session, now=now),
    )
    return "added" if current is None else "replaced"


def _check(connection: sqlite3.Connection, label: ImportedLabel) -> None:
    name = show(label.sample_id)
    if not label.annotator.strip():
        raise UsageError(f"the label of {name} needs the name of its annotator")
    if (label.kind in ("label", "adjudicate", "inherit")) != (label.label is not None):
        raise UsageError(
            f"the {label.kind} line of {name} "
            + ("must not have a label" if label.label else "needs a label")
        )
    for uid in label.label.classes if label.label else ():
        if not classes.is_active(connection, uid):
            raise UsageError(f"the label of {name} names an unknown class {uid}")


def _instant(text: str) -> int:
    try:
        return from_iso(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{text} is not a time in ISO 8601") from None
