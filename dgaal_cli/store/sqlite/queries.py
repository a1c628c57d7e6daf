"""Queries: the ordered images of each round, and the next image of each annotator."""

import dataclasses
import json
import math
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.store.records import Lease, Query, QueryEntry, QueryProgress, Task, Upcoming
from dgaal_cli.store.sqlite import items, projection
from dgaal_cli.store.sqlite.connection import Connection, LeaseTime

_ENTRY = (
    "q.item_id, q.rank, q.score, q.percentile, q.nearest, q.predicted, q.probabilities, q.reason"
)


def _live(lease: str) -> str:
    """Return the condition under which a row of table ``lease`` holds its image.

    A lease of another boot does not, nor one that ends later than any of this boot can: its clock
    was another one.
    """
    return f"{lease}.boot = :boot AND {lease}.expires > :now AND {lease}.expires <= :latest"


# Images that this annotator has not skipped, by rank; then skipped images, oldest skip first.
_CANDIDATES = f"""
    SELECT {items.COLUMNS}, {_ENTRY} FROM query_entry q JOIN item i USING(item_id)
    LEFT JOIN label l ON l.label_id = i.inherited
    LEFT JOIN answer a ON a.item_id = q.item_id AND a.annotator = :me
    WHERE q.round = :round AND (i.state = 'ok' OR (i.is_synthetic AND i.state = 'quarantined'))
    AND i.done + (SELECT count(*) FROM lease o WHERE o.item_id = q.item_id
                  AND o.annotator <> :me AND {_live("o")}) < i.need
    AND (a.says IS NULL OR a.says = 'skip') AND (:item IS NULL OR q.item_id = :item)
    ORDER BY CASE WHEN a.says = 'skip' AND a.round = :round THEN a.event_id ELSE 0 END, q.rank
    LIMIT :count
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Annotator, session and time of a call."""

    annotator: str
    session: str
    now: float
    """Unix seconds."""


def identify(connection: Connection, annotator: str, session: str) -> Operator:
    """Return the operator of a call that starts now."""
    if not annotator.strip():
        raise UsageError("an answer needs the name of its annotator; give --annotator NAME")
    return Operator(annotator=annotator, session=session, now=connection.clock())


def save(connection: Connection, query: Query, *, overlap: int = 1) -> None:
    """Open a query."""
    other = open_round(connection)
    if other is not None:
        raise UsageError(
            f"the query of round {other} is still open; label it with 'dgaal label' first"
        )
    last = connection.execute("SELECT max(round) FROM query").fetchone()[0]
    if last is not None and query.round <= last:
        raise UsageError(f"round {query.round} cannot be asked after round {last}")
    _check_entries(query)
    connection.execute(
        "INSERT INTO query(round, strategy, model_sha, opened_us) VALUES (?, ?, ?, ?)",
        (query.round, query.strategy, query.model_sha, connection.now_us()),
    )
    _insert_entries(connection, query, overlap, doing="names")


def extend(connection: sqlite3.Connection, entries: Sequence[QueryEntry]) -> int:
    """Append entries to the open query, with the same overlap; return their number."""
    number = open_round(connection)
    if number is None:
        raise UsageError("no query is open; choose one with 'dgaal query'")
    rows = connection.execute(
        "SELECT q.item_id, q.rank, i.need FROM query_entry q JOIN item i USING(item_id) "
        "WHERE q.round = ?",
        (number,),
    ).fetchall()
    known = {item_id for item_id, _, _ in rows}
    known |= {item_id for (item_id,) in connection.execute("SELECT item_id FROM verdict")}
    rank = max((rank for _, rank, _ in rows), default=0)
    new = [entry for entry in entries if entry.item_id not in known]
    if not new:
        return 0
    added = [dataclasses.replace(entry, rank=rank + i) for i, entry in enumerate(new, start=1)]
    query = Query(round=number, strategy="", model_sha=None, entries=tuple(added))
    _check_entries(query)
    overlap = max((need for _, _, need in rows), default=1)
    _insert_entries(connection, query, overlap, doing="cannot add")
    return len(added)


def open_round(connection: sqlite3.Connection) -> int | None:
    """Return the round of the open query, or None."""
    row = connection.execute("SELECT round FROM query WHERE closed_us IS NULL").fetchone()
    return None if row is None else int(row[0])


def open_query(connection: sqlite3.Connection) -> Query | None:
    """Return the open query, or None."""
    number = open_round(connection)
    return None if number is None else read(connection, number)


def last_query(connection: sqlite3.Connection) -> Query | None:
    """Return the newest query, open or closed, or None."""
    number = connection.execute("SELECT max(round) FROM query").fetchone()[0]
    return None if number is None else read(connection, number)


def read(connection: sqlite3.Connection, number: int) -> Query:
    """Return the query of a round."""
    head = connection.execute(
        "SELECT strategy, model_sha FROM query WHERE round = ?", (number,)
    ).fetchone()
    if head is None:
        raise UsageError(f"round {number} has no query")
    rows = connection.execute(
        f"SELECT {_ENTRY} FROM query_entry q WHERE q.round = ? ORDER BY q.rank",  # noqa: S608
        (number,),
    )
    return Query(
        round=number,
        strategy=head[0],
        model_sha=head[1],
        entries=tuple(_entry(row) for row in rows),
    )


def by_reason(connection: sqlite3.Connection, start: str) -> list[tuple[int, QueryEntry]]:
    """Return all entries whose reason has this start, with their rounds, by round and rank."""
    rows = connection.execute(
        f"SELECT q.round, {_ENTRY} FROM query_entry q "  # noqa: S608 - constants
        "WHERE substr(q.reason, 1, length(?1)) = ?1 ORDER BY q.round, q.rank",
        (start,),
    )
    return [(int(row[0]), _entry(row[1:])) for row in rows]


def close(connection: Connection, number: int) -> int:
    """Close the open query and return the number of its unanswered items."""
    if open_round(connection) != number:
        raise UsageError(f"round {number} has no open query")
    left = progress(connection, number).left
    connection.execute(
        "UPDATE query SET closed_us = ?, closed_event = (SELECT ifnull(max(event_id), 0) "
        "FROM event) WHERE round = ?",
        (connection.now_us(), number),
    )
    connection.execute("DELETE FROM lease")
    return left


def progress(connection: sqlite3.Connection, number: int) -> QueryProgress:
    """Count the answered and open items of a query.

    An unanswered item that a later query asked again counts as unanswered here, so that each answer
    is counted in one round.
    """
    row = connection.execute(
        """
        SELECT count(*), ifnull(sum(done AND label_id IS NOT NULL), 0),
            ifnull(sum(done AND label_id IS NULL), 0),
            ifnull(sum(NOT done AND askable AND skipped), 0), ifnull(sum(NOT done AND askable), 0)
        FROM (SELECT i.done >= i.need AND q.item_id NOT IN
                (SELECT item_id FROM query_entry WHERE round > ?1) AS done,
            v.label_id AS label_id,
            i.state = 'ok' OR (i.is_synthetic AND i.state = 'quarantined') AS askable,
            EXISTS (SELECT 1 FROM answer a WHERE a.item_id = q.item_id AND a.says = 'skip'
                    AND a.round = q.round) AS skipped
            FROM query_entry q JOIN item i USING(item_id) LEFT JOIN verdict v USING(item_id)
            WHERE q.round = ?1)
        """,
        (number,),
    ).fetchone()
    return QueryProgress(
        size=row[0], labeled=row[1], cannot_tell=row[2], skipped=row[3], left=row[4]
    )


def upcoming(connection: Connection, annotator: str, count: int) -> list[Upcoming]:
    """Return the annotator's next images in order, without a lease."""
    return [
        Upcoming(item=items.record(row[: items.WIDTH]), entry=_entry(row[items.WIDTH :]))
        for row in _candidates(
            connection, annotator, count=count, at=connection.lease_time(), item_id=None
        )
    ]


def next_task(
    connection: Connection, annotator: str, session: str, *, item_id: ItemId | None = None
) -> Task | None:
    """Lease the next item of the open query, or a given item, to an annotator."""
    return take(connection, identify(connection, annotator, session), item_id=item_id)


def take(
    connection: Connection, operator: Operator, *, item_id: ItemId | None = None
) -> Task | None:
    """Lease the next item of the open query, or a given item, to an annotator.

    An annotator has at most one lease: a new lease releases the earlier one. A terminal that was
    killed therefore gets the same image after a restart.
    """
    me, at = operator.annotator, connection.lease_time()
    connection.execute(
        f"DELETE FROM lease WHERE annotator = :me OR NOT ({_live('lease')})",  # noqa: S608
        {"me": me, **asdict(at)},
    )
    rows = _candidates(connection, me, count=1, at=at, item_id=item_id)
    if not rows:
        return None
    item = items.record(rows[0][: items.WIDTH])
    fence = connection.execute(
        "UPDATE item SET fence = fence + 1 WHERE item_id = ? RETURNING fence", (item.item_id,)
    ).fetchall()[0][0]
    lease = Lease(token=secrets.token_hex(16), fence=fence, expires=at.now + connection.lease_s)
    connection.execute(
        "INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?, ?)",
        (lease.token, item.item_id, me, operator.session, lease.fence, lease.expires, at.boot),
    )
    flagged = connection.execute(
        "SELECT 1 FROM flagged WHERE item_id = ? AND annotator = ?", (item.item_id, me)
    ).fetchone()
    return Task(
        lease=lease, item=item, entry=_entry(rows[0][items.WIDTH :]), flagged=flagged is not None
    )


def is_live(connection: Connection, lease: Lease, operator: Operator, *, item_id: ItemId) -> bool:
    """Check whether a lease of this item to the operator has not expired."""
    row = connection.execute(
        "SELECT 1 FROM lease WHERE token = :token AND item_id = :item AND annotator = :me "  # noqa: S608
        f"AND fence = :fence AND {_live('lease')}",
        {
            "token": lease.token,
            "item": item_id,
            "me": operator.annotator,
            "fence": lease.fence,
            **asdict(connection.lease_time()),
        },
    ).fetchone()
    return row is not None


def _candidates(
    connection: sqlite3.Connection,
    annotator: str,
    *,
    count: int,
    at: LeaseTime,
    item_id: ItemId | None,
) -> list[tuple[Any, ...]]:
    number = open_round(connection)
    if number is None:
        return []
    values = {"me": annotator, "round": number, "item": item_id, "count": count}
    return connection.execute(_CANDIDATES, {**values, **asdict(at)}).fetchall()


def _insert_entries(
    connection: sqlite3.Connection, query: Query, overlap: int, *, doing: str
) -> None:
    try:
        connection.executemany(
            "INSERT INTO query_entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (_entry_row(query.round, entry) for entry in query.entries),
        )
    except sqlite3.IntegrityError as error:
        raise UsageError(
            f"the query of round {query.round} {doing} an unknown image or class, or an image twice"
        ) from error
    changed = connection.execute(
        "UPDATE item SET need = ?1 WHERE need <> ?1 "
        "AND item_id IN (SELECT item_id FROM query_entry WHERE round = ?2) RETURNING item_id",
        (overlap, query.round),
    ).fetchall()
    projection.refresh(connection, [ItemId(item_id) for (item_id,) in changed])


def _check_entries(query: Query) -> None:
    if not query.entries:
        raise UsageError(f"the query of round {query.round} is empty")
    for entry in query.entries:
        numbers = [entry.score, entry.percentile, *(p for _, p in entry.probabilities)]
        if any(number is not None and not math.isfinite(number) for number in numbers):
            raise UsageError(f"the query of round {query.round} has a score that is not finite")


def _entry_row(number: int, entry: QueryEntry) -> tuple[Any, ...]:
    return (
        number,
        int(entry.item_id),
        int(entry.rank),
        None if entry.score is None else float(entry.score),
        None if entry.percentile is None else float(entry.percentile),
        None if entry.nearest is None else int(entry.nearest),
        entry.predicted,
        json.dumps([[uid, float(probability)] for uid, probability in entry.probabilities]),
        entry.reason,
    )


def _entry(row: tuple[Any, ...]) -> QueryEntry:
    return QueryEntry(
        item_id=ItemId(row[0]),
        rank=row[1],
        score=row[2],
        percentile=row[3],
        nearest=None if row[4] is None else ItemId(row[4]),
        predicted=None if row[5] is None else ClassUid(row[5]),
        probabilities=tuple((ClassUid(uid), float(p)) for uid, p in json.loads(row[6])),
        reason=row[7],
    )
