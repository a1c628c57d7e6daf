"""Tables of the label store as numbered migrations.

``event`` is the primary record. It is append-only, as are ``label`` and ``label_class``.
``answer``, ``flagged``, ``verdict`` and ``item.done`` are projections of ``event``, written in the
same transaction and recomputed by ``Store.rebuild``. All tables are STRICT. File names are BLOBs
because they need not be text. PostgreSQL accepts the same tables after six words are replaced (see
``test_schema_portable.py``).
"""

import sqlite3

APPLICATION_ID = 0x6467616C  # "dgal": identifies a store among SQLite files

_EVENT = """CREATE TABLE event(
        event_id INTEGER PRIMARY KEY AUTOINCREMENT, op_id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL CHECK (kind IN ('label','cannot_tell','skip','flag','unflag','undo',
            'redo','adjudicate','import','inherit')),
        says TEXT NOT NULL CHECK (says IN ('label','cannot_tell','skip','flag','unflag','undo',
            'redo','adjudicate','inherit')),
        item_id INTEGER NOT NULL REFERENCES item, annotator TEXT NOT NULL,
        {label}, note TEXT NOT NULL,
        refers_to INTEGER REFERENCES event, cancels INTEGER REFERENCES event,
        shown_id TEXT REFERENCES shown, lease_fence INTEGER, item_sha BLOB NOT NULL,
        body_sha BLOB NOT NULL, counted INTEGER NOT NULL CHECK (counted IN (0,1)),
        provenance TEXT NOT NULL
            CHECK (provenance IN ('human','simulated','imported','inherited')),
        round INTEGER, elapsed_ms INTEGER, at_us INTEGER NOT NULL, made_us INTEGER,
        app TEXT NOT NULL, session TEXT NOT NULL,
        CHECK (kind = says OR kind = 'import'),
        CHECK ((says IN ('label','adjudicate','inherit')) = ({name} IS NOT NULL)),
        CHECK ((kind IN ('undo','redo')) = (refers_to IS NOT NULL)),
        CHECK ((kind IN ('undo','redo')) = (cancels IS NOT NULL))) STRICT"""
_EVENT_INDEXES = (
    """CREATE INDEX event_item ON event(item_id, event_id)""",
    """CREATE INDEX event_annotator ON event(annotator, round, event_id)""",
    # An undo cancels an answer or a redo, a redo cancels an undo, each at most once.
    """CREATE UNIQUE INDEX event_cancels ON event(cancels) WHERE cancels IS NOT NULL""",
)
_FLAGGED = """CREATE TABLE flagged(
        item_id INTEGER NOT NULL REFERENCES item, annotator TEXT NOT NULL,
        event_id INTEGER NOT NULL REFERENCES event, PRIMARY KEY(item_id, annotator)) STRICT"""

_V1 = (
    """CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT""",
    """CREATE TABLE class(
        class_uid TEXT PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL,
        position INTEGER NOT NULL, retired_us INTEGER) STRICT""",
    """CREATE TABLE class_event(
        class_event_id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('add','rename','key','reorder','retire')),
        class_uid TEXT NOT NULL REFERENCES class, name TEXT NOT NULL, key TEXT NOT NULL,
        position INTEGER NOT NULL, at_us INTEGER NOT NULL) STRICT""",
    """CREATE TABLE item(
        item_id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, sample BLOB NOT NULL UNIQUE,
        bytes INTEGER NOT NULL, w INTEGER NOT NULL, h INTEGER NOT NULL,
        is_synthetic INTEGER NOT NULL DEFAULT 0 CHECK (is_synthetic IN (0,1)),
        parent INTEGER REFERENCES item, round INTEGER, inherited TEXT REFERENCES class,
        need INTEGER NOT NULL DEFAULT 1 CHECK (need >= 1),
        done INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
        fence INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'ok'
            CHECK (state IN ('ok','quarantined','missing','changed'))) STRICT""",
    """CREATE TABLE path(
        path BLOB PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES item) STRICT""",
    """CREATE INDEX path_item ON path(item_id)""",
    """CREATE TABLE unreadable(path BLOB PRIMARY KEY, reason TEXT NOT NULL) STRICT""",
    """CREATE TABLE query(
        round INTEGER PRIMARY KEY, strategy TEXT NOT NULL, model_sha BLOB,
        opened_us INTEGER NOT NULL, closed_us INTEGER, closed_event INTEGER) STRICT""",
    """CREATE UNIQUE INDEX query_one_open ON query(ifnull(closed_us, 0)) WHERE closed_us IS NULL""",
    """CREATE TABLE query_entry(
        round INTEGER NOT NULL REFERENCES query, item_id INTEGER NOT NULL REFERENCES item,
        rank INTEGER NOT NULL, score REAL, percentile REAL, nearest INTEGER REFERENCES item,
        predicted TEXT REFERENCES class, probabilities TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY(round, item_id), UNIQUE(round, rank)) STRICT""",
    """CREATE TABLE shown(
        shown_id TEXT PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES item,
        annotator TEXT NOT NULL, at_us INTEGER NOT NULL, round INTEGER, model_sha BLOB,
        predicted TEXT, probability REAL,
        ui TEXT NOT NULL CHECK (ui IN ('hidden','top1','probs','prefilled')),
        used_learner INTEGER NOT NULL CHECK (used_learner IN (0,1))) STRICT""",
    """CREATE TABLE lease(
        token TEXT PRIMARY KEY, item_id INTEGER NOT NULL REFERENCES item,
        annotator TEXT NOT NULL, session TEXT NOT NULL, fence INTEGER NOT NULL,
        expires REAL NOT NULL, UNIQUE(item_id, annotator)) STRICT""",
    _EVENT.format(label="class_uid TEXT REFERENCES class", name="class_uid"),
    *_EVENT_INDEXES,
    """CREATE TABLE answer(
        item_id INTEGER NOT NULL REFERENCES item, annotator TEXT NOT NULL,
        event_id INTEGER NOT NULL REFERENCES event, says TEXT NOT NULL, class_uid TEXT,
        round INTEGER, PRIMARY KEY(item_id, annotator)) STRICT""",
    _FLAGGED,
    """CREATE TABLE verdict(
        item_id INTEGER PRIMARY KEY REFERENCES item,
        event_id INTEGER NOT NULL REFERENCES event, class_uid TEXT) STRICT""",
    """CREATE INDEX verdict_class ON verdict(class_uid)""",
    """CREATE TABLE artifact(
        sha256 BLOB PRIMARY KEY, role TEXT NOT NULL, format TEXT NOT NULL, round INTEGER,
        at_us INTEGER NOT NULL) STRICT""",
    *(
        f"""CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}
        BEGIN SELECT RAISE(ABORT,'append-only'); END"""
        for table in ("event", "class_event")
        for change in ("UPDATE", "DELETE")
    ),
)

# Version 1 had one class per image: each used class becomes a label of classification.
_V2 = (
    """CREATE TABLE label(
        label_id INTEGER PRIMARY KEY, payload BLOB NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1), UNIQUE(payload, version)) STRICT""",
    """CREATE TABLE label_class(
        label_id INTEGER NOT NULL REFERENCES label, class_uid TEXT NOT NULL REFERENCES class,
        PRIMARY KEY(label_id, class_uid)) STRICT""",
    """CREATE INDEX label_class_uid ON label_class(class_uid)""",
    """INSERT INTO label(label_id, payload, version)
        SELECT row_number() OVER (ORDER BY position, class_uid), CAST(class_uid AS BLOB), 1
        FROM class WHERE class_uid IN (SELECT class_uid FROM event)
        OR class_uid IN (SELECT inherited FROM item)""",
    """INSERT INTO label_class
        SELECT label_id, class_uid FROM label JOIN class ON payload = CAST(class_uid AS BLOB)""",
    """ALTER TABLE item ADD COLUMN inherited_label INTEGER REFERENCES label""",
    """UPDATE item SET inherited_label =
        (SELECT label_id FROM label WHERE payload = CAST(inherited AS BLOB))
        WHERE inherited IS NOT NULL""",
    """ALTER TABLE item DROP COLUMN inherited""",
    """ALTER TABLE item RENAME COLUMN inherited_label TO inherited""",
    """DROP INDEX event_item""",
    """DROP INDEX event_annotator""",
    """DROP INDEX event_cancels""",
    """DROP INDEX verdict_class""",
    """ALTER TABLE event RENAME TO event_1""",
    """ALTER TABLE answer RENAME TO answer_1""",
    """ALTER TABLE flagged RENAME TO flagged_1""",
    """ALTER TABLE verdict RENAME TO verdict_1""",
    _EVENT.format(label="label_id INTEGER REFERENCES label", name="label_id"),
    """CREATE TABLE answer(
        item_id INTEGER NOT NULL REFERENCES item, annotator TEXT NOT NULL,
        event_id INTEGER NOT NULL REFERENCES event, says TEXT NOT NULL,
        label_id INTEGER REFERENCES label, round INTEGER,
        PRIMARY KEY(item_id, annotator)) STRICT""",
    _FLAGGED,
    """CREATE TABLE verdict(
        item_id INTEGER PRIMARY KEY REFERENCES item,
        event_id INTEGER NOT NULL REFERENCES event, label_id INTEGER REFERENCES label) STRICT""",
    """INSERT INTO event
        SELECT event_id, op_id, kind, says, item_id, annotator, label_id, note, refers_to, cancels,
        shown_id, lease_fence, item_sha, body_sha, counted, provenance, round, elapsed_ms, at_us,
        made_us, app, session
        FROM event_1 LEFT JOIN label ON payload = CAST(class_uid AS BLOB) ORDER BY event_id""",
    """INSERT INTO answer SELECT item_id, annotator, event_id, says, label_id, round
        FROM answer_1 LEFT JOIN label ON payload = CAST(class_uid AS BLOB)""",
    """INSERT INTO flagged SELECT item_id, annotator, event_id FROM flagged_1""",
    """INSERT INTO verdict SELECT item_id, event_id, label_id
        FROM verdict_1 LEFT JOIN label ON payload = CAST(class_uid AS BLOB)""",
    """DROP TABLE answer_1""",
    """DROP TABLE flagged_1""",
    """DROP TABLE verdict_1""",
    """DROP TABLE event_1""",
    *_EVENT_INDEXES,
    """CREATE INDEX answer_label ON answer(label_id)""",
    """CREATE INDEX verdict_label ON verdict(label_id)""",
    *(
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
        "BEGIN SELECT RAISE(ABORT,'append-only'); END"
        for table in ("event", "label", "label_class")
        for change in ("UPDATE", "DELETE")
    ),
)

# Leases of earlier versions expire by the wall clock; without a boot id they count as expired.
_V3 = (
    """ALTER TABLE lease ADD COLUMN boot TEXT NOT NULL DEFAULT ''""",
    """CREATE INDEX event_refers ON event(refers_to) WHERE refers_to IS NOT NULL""",
)

# Earlier versions chose among equal numbers of votes by the order of the events, this one by time.
_V4 = ("""CREATE INDEX event_time ON event(annotator, at_us)""",)

# Earlier versions counted the labels of the source like those of a person: the caller recomputes.
_V5 = ()

# A part of a file name may be a group, so names are BLOBs here too.
_V6 = (
    """CREATE TABLE image_group(
        item_id INTEGER NOT NULL UNIQUE REFERENCES item, name BLOB NOT NULL) STRICT""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1, _V2, _V3, _V4, _V5, _V6)
"""Statements from version ``n`` to ``n + 1``; released ones are never edited."""


def latest_version() -> int:
    """Return the schema version that this dgaal writes."""
    return len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, *, version: int) -> None:
    """Run every migration after ``version`` in the caller's write transaction."""
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number:d}")


def objects(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return (type, name, SQL) of every table, index, trigger and view of the file."""
    rows = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {(str(kind), str(name), str(sql)) for kind, name, sql in rows}


def expected_objects() -> set[tuple[str, str, str]]:
    """Return the ``objects`` of a store of the latest version."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        migrate(connection, version=0)
        return objects(connection)
    finally:
        connection.close()
