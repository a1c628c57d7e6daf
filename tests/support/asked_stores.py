"""Stores with a few images and an open query, with a clock that only tests advance."""

import hashlib
from dataclasses import dataclass

from class_labels import as_label, name_of

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.instants import Clock
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, AnswerKind, NewItem, Query, QueryEntry, Receipt


@dataclass
class FakeClock(Clock):
    """Unix seconds, and seconds since a boot; ``wait`` advances both."""

    now: float = 1_700_000_000.0
    boot: str = "first"
    uptime: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def since_boot(self) -> tuple[str, float]:
        return self.boot, self.uptime

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.uptime += seconds


def new_item(name: str, content: str | None = None) -> NewItem:
    """Return an image with the given content; the default content is the name."""
    digest = hashlib.sha256((content or name).encode("utf-8", "surrogateescape")).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=9, width=8, height=6)


@dataclass
class AskedStore:
    """A store with classes cat and dog, items 1..5 and an open query of items 3, 1, 2."""

    store: Store
    cat: ClassUid
    dog: ClassUid
    number: int = 0

    def answer(self, kind: AnswerKind, item: int, class_uid: ClassUid | None = None) -> Answer:
        """Return an answer with a new ``op_id``."""
        self.number += 1
        return Answer(
            op_id=f"op{self.number}",
            kind=kind,
            item_id=ItemId(item),
            label=as_label(class_uid),
        )

    def submit(
        self, annotator: str, kind: AnswerKind, item: int, class_uid: ClassUid | None = None
    ) -> Receipt:
        """Submit an answer of an annotator."""
        return self.store.submit(
            self.answer(kind, item, class_uid), annotator=annotator, session=f"{annotator}-1"
        )

    def names(self) -> dict[int, str | None]:
        """Return the class name of each labeled item."""
        return {label.item_id: name_of(self.store, label) for label in self.store.labels()}


def add_open_query(store: Store) -> AskedStore:
    """Add classes, items and an open query to an empty store."""
    cat, dog = store.add_class("cat", "1"), store.add_class("dog", "2")
    store.add_items(new_item(f"{number}.png") for number in range(1, 6))
    entries = tuple(
        QueryEntry(item_id=ItemId(item), rank=rank) for rank, item in enumerate((3, 1, 2), start=1)
    )
    store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    return AskedStore(store, cat.uid, dog.uid)
