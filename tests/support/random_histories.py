"""Random histories that write every table of a store, and the whole content of a store."""

import contextlib
import random
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from asked_stores import FakeClock, new_item
from class_labels import as_label

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import (
    Answer,
    ImportedLabel,
    NewSynthetic,
    PoolChange,
    Query,
    QueryEntry,
    Shown,
)

if TYPE_CHECKING:
    from dgaal_cli.store.sqlite.store import SqliteStore

PEOPLE = ("ann", "bob", "eve")


def content(path: Path) -> dict[str, list[str]]:
    """Return every row of every table of a store, the schema included."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        names = [
            name.decode()
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        tables = {
            name: sorted(repr(row) for row in connection.execute(f"SELECT * FROM {name}"))
            for name in names
        }
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")
        return {**tables, "schema": [repr(row) for row in schema]}


class History:
    """Changes a store in random ways."""

    def __init__(self, store: Store, clock: FakeClock, generator: random.Random) -> None:
        self.store = store
        self.clock = clock
        self.random = generator
        if not store.classes():
            store.add_class("cat")
            store.add_class("dog")

    def step(self) -> None:
        """Make one random change; a change that the store refuses is none."""
        self.clock.wait(self.random.choice((0.5, 20.0, 400.0)))
        change = self.random.choice((self.answer,) * 6 + (self.undo, self.redo) + self.rarer)
        with contextlib.suppress(UsageError):
            change()

    @property
    def rarer(self) -> tuple[Callable[[], object], ...]:
        """Return the changes other than answers."""
        return (
            self.add_images,
            self.add_synthetic,
            self.ask,
            self.ask,
            self.change_classes,
            self.change_states,
            self.change_pool,
            self.give_labels,
            self.promote,
            self.export,
            self.accept_place,
        )

    def answer(self) -> None:
        """Answer the next image of a person, or flag it, or leave it leased."""
        who = self.random.choice(PEOPLE)
        task = self.store.next_task(who, "s")
        if task is None or self.random.random() < 0.2:
            return
        uid = self.random.choice(self.store.classes()).uid
        kind = self.random.choice(("label", "label", "label", "cannot_tell", "skip", "flag"))
        item_id = task.item.item_id
        shown = Shown(
            shown_id=secrets.token_hex(8),
            item_id=item_id,
            predicted=uid,
            probability=self.random.random(),
            ui="top1",
        )
        answer = Answer(
            op_id=secrets.token_hex(8),
            kind=kind,
            item_id=item_id,
            label=as_label(uid) if kind == "label" else None,
            shown=self.random.choice((None, shown)),
            elapsed_ms=self.random.choice((None, 700)),
            note=self.random.choice(("", "caf\u00e9 \x00 '\n")),
        )
        self.store.submit(answer, annotator=who, session="s", lease=task.lease)

    def undo(self) -> None:
        """Undo."""
        self.store.undo(self.random.choice(PEOPLE), "s")

    def redo(self) -> None:
        """Redo."""
        self.store.redo(self.random.choice(PEOPLE), "s")

    def add_images(self) -> None:
        """Add new, changed, known and equal images, some with names that are not text."""
        number = self.random.randrange(40)
        self.store.add_items(
            replace(
                new_item(f"{number + k}\udce9.png", f"{(number + k) // 2}{k % 3}"),
                group="" if k % 2 else f"{number // 8}\udce9",
            )
            for k in range(4)
        )

    def change_pool(self) -> None:
        """Let two images exchange their names, and a new image take the name of a third."""
        items = [item for item in self.store.items() if not item.is_synthetic]
        if len(items) < 3:
            return
        one, two, three = self.random.sample(items, 3)
        # Never a name of before: another image may have it since, by an exchange.
        aside = SampleId(f"{three.sample_id}@{secrets.token_hex(8)}")
        firsts = {
            one.item_id: two.sample_id,
            two.item_id: one.sample_id,
            three.item_id: aside,
        }
        self.store.change_pool(
            PoolChange(
                new=[new_item(three.sample_id, secrets.token_hex(4))],
                names=[(name, item_id) for item_id, name in firsts.items()],
                firsts=firsts,
                states={three.item_id: "missing"},
                unreadable=[(SampleId("cut.png"), "cut short")],
                readable=[one.sample_id],
                groups={one.item_id: "a", three.item_id: secrets.token_hex(2)},
            )
        )

    def add_synthetic(self) -> None:
        """Add a synthetic image with an inherited label."""
        image = new_item(f"rounds/0/{secrets.token_hex(4)}.png")
        uid = self.random.choice(self.store.classes()).uid
        self.store.add_synthetic(
            [
                NewSynthetic(
                    sample_id=image.sample_id,
                    sha256=image.sha256,
                    size_bytes=1,
                    width=2,
                    height=3,
                    parent=None,
                    round=0,
                    inherited=as_label(uid),
                    is_quarantined=self.random.random() < 0.3,
                )
            ]
        )

    def ask(self) -> None:
        """Close the query, or open one with one to three answers per image."""
        if (number := self.store.open_round()) is not None:
            if self.random.random() < 0.5:
                self.store.close_query(number)
            return
        last = self.store.last_query()
        items = self.store.items()
        chosen = self.random.sample(items, min(6, len(items)))
        uid = self.store.classes()[0].uid
        entries = tuple(
            QueryEntry(
                item_id=item.item_id,
                rank=rank,
                score=self.random.choice((None, self.random.gauss(0, 1), 2.0)),
                predicted=uid,
                probabilities=((uid, 0.25),),
                reason="near",
            )
            for rank, item in enumerate(chosen, start=1)
        )
        query = Query(
            round=0 if last is None else last.round + 1,
            strategy="random",
            model_sha=self.random.choice((None, b"\0\xff")),
            entries=entries,
        )
        self.store.save_query(query, overlap=self.random.choice((1, 1, 2, 3)))

    def change_classes(self) -> None:
        """Add, rename, reorder or remove classes."""
        classes = self.store.classes()
        name = secrets.token_hex(3)
        match self.random.randrange(4):
            case 0:
                self.store.add_class(name)
            case 1:
                self.store.rename_class(classes[0].uid, name)
            case 2:
                self.store.reorder_classes([record.uid for record in reversed(classes)])
            case _:
                if len(classes) > 2:
                    self.store.retire_class(classes[-1].uid)

    def change_states(self) -> None:
        """Set images aside, or bring them back."""
        items = self.store.items()
        if not items:
            return
        item = self.random.choice(items)
        if self.random.random() < 0.5:
            self.store.mark_unreadable([(item.sample_id, "cut short")])
        else:
            state = self.random.choice(("ok", "ok", "missing", "changed"))
            self.store.set_states({ItemId(item.item_id): state})

    def give_labels(self) -> None:
        """Import answers of other people."""
        items = self.store.items()
        chosen = self.random.sample(items, min(3, len(items)))
        uid = self.random.choice(self.store.classes()).uid
        self.store.import_labels(
            [
                ImportedLabel(
                    sample_id=item.sample_id,
                    label=as_label(uid),
                    annotator=self.random.choice((*PEOPLE, "other")),
                )
                for item in chosen
            ]
        )

    def promote(self) -> None:
        """Turn inherited labels into labels."""
        self.store.promote_synthetic(
            [item.item_id for item in self.store.items() if item.is_synthetic], 0
        )

    def export(self) -> None:
        """Record an artifact."""
        self.store.record_artifact(secrets.token_bytes(4), "classifier", "onnx", None)

    def accept_place(self) -> None:
        """Write what the store knows about itself, as the option ``--i-know`` does."""
        with cast("SqliteStore", self.store).database.write() as connection:
            connection.execute(
                "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
                ("test", secrets.token_hex(4)),
            )
