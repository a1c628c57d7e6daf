"""A store on disk with a clock that only moves when told."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from class_labels import as_label, name_of

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.open import create_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, NewItem, Query, QueryEntry


@dataclass
class FakeClock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def new_item(name: str, content: str | None = None) -> NewItem:
    digest = hashlib.sha256((content or name).encode("utf-8", "surrogateescape")).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=9, width=8, height=6)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.db"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[Store]:
    with create_store(path, workspace_id="w", clock=clock) as opened:
        yield opened


@pytest.fixture
def make_item() -> Callable[..., NewItem]:
    return new_item


@dataclass
class Asked:
    """A store with classes cat and dog, items 1..5 and an open query of items 3, 1, 2."""

    store: Store
    cat: ClassUid
    dog: ClassUid
    number: int = 0

    def answer(self, kind: str, item: int, class_uid: ClassUid | None = None) -> Answer:
        self.number += 1
        return Answer(
            op_id=f"op{self.number}",
            kind=kind,  # type: ignore[arg-type]
            item_id=ItemId(item),
            label=as_label(class_uid),
        )

    def say(self, who: str, kind: str, item: int, class_uid: ClassUid | None = None):
        return self.store.submit(
            self.answer(kind, item, class_uid), annotator=who, session=f"{who}-1"
        )

    def names(self) -> dict[int, str]:
        return {label.item_id: name_of(self.store, label) for label in self.store.labels()}


@pytest.fixture
def asked(store: Store) -> Asked:
    cat, dog = store.add_class("cat", "1"), store.add_class("dog", "2")
    store.add_items(new_item(f"{number}.png") for number in range(1, 6))
    entries = tuple(
        QueryEntry(item_id=ItemId(item), rank=rank) for rank, item in enumerate((3, 1, 2), start=1)
    )
    store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    return Asked(store, cat.uid, dog.uid)
