"""Read a store without dgaal: a copy of its files, opened with SQLite and a few queries."""

import contextlib
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from month.model import Event, State

_EVENTS = """SELECT e.kind, e.says, CAST(i.sample AS TEXT), e.annotator, c.class_uid, e.refers_to,
    e.counted, ifnull(e.made_us, e.at_us), e.at_us, e.op_id, e.round, CAST(l.payload AS TEXT)
    FROM event e JOIN item i USING(item_id) LEFT JOIN label l USING(label_id)
    LEFT JOIN label_class c USING(label_id) ORDER BY e.event_id"""
_CLASSES = "SELECT class_uid, name, retired_us IS NULL FROM class ORDER BY position, class_uid"
_VERDICTS = (
    """SELECT CAST(i.sample AS TEXT), v.event_id FROM verdict v JOIN item i USING(item_id)"""
)
_ANSWERS = """SELECT CAST(i.sample AS TEXT), a.annotator, a.event_id FROM answer a
    JOIN item i USING(item_id)"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A store as its file says it is; ``problem`` if it cannot be read."""

    problem: str = ""
    state: State = field(default_factory=State)
    verdicts: dict[str, int] | None = None
    """Number of the effective event of each image."""
    answers: dict[tuple[str, str], int] | None = None
    left: int | None = None
    """Images of the open query without enough answers; None without an open query."""


def read(store: Path, scratch: Path) -> Reading:
    """Read a store; a copy of it and of its journal is opened, so that nothing changes."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    if not store.exists():
        return Reading(problem="missing")
    for suffix in ("", "-journal", "-wal"):
        part = store.with_name(store.name + suffix)
        if part.exists():
            shutil.copyfile(part, scratch / part.name)
    copy = scratch / store.name
    try:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            return _read(connection)
    except sqlite3.Error as error:
        return Reading(problem=str(error))


def _read(connection: sqlite3.Connection) -> Reading:
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        return Reading(problem=str(verdict))
    if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
        return Reading(problem="a row refers to a missing row")
    events: list[Event] = []
    for *columns, payload in connection.execute(_EVENTS):
        kind, says, image, person, uid, target, counted, at, stamp, op, number = columns
        if payload != uid:
            return Reading(problem=f"event {len(events) + 1} says {payload}, its class is {uid}")
        event = Event(
            kind=kind,
            says=says,
            image=image,
            person=person,
            uid=uid,
            target=target,
            counted=bool(counted),
            at=at,
            stamp=stamp,
            op=op,
            round=number,
        )
        events.append(event)
    classes = connection.execute(_CLASSES).fetchall()
    last = connection.execute("SELECT ifnull(max(closed_event), 0) FROM query").fetchone()
    asked = connection.execute("SELECT round FROM query WHERE closed_us IS NULL").fetchone()
    left = (
        "SELECT count(*) FROM query_entry q JOIN item i USING(item_id) "
        "WHERE q.round = ? AND i.done < i.need AND i.state = 'ok'"
    )
    return Reading(
        state=State(
            events=tuple(events),
            classes=tuple((uid, name) for uid, name, is_used in classes if is_used),
            retired=frozenset((uid, name) for uid, name, is_used in classes if not is_used),
            round=None if asked is None else asked[0],
            floor=last[0],
        ),
        verdicts=dict(connection.execute(_VERDICTS).fetchall()),
        answers={(image, who): number for image, who, number in connection.execute(_ANSWERS)},
        left=None if asked is None else connection.execute(left, asked).fetchone()[0],
    )
