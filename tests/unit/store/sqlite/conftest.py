"""Fixtures: a SQLite store on disk with a fake clock."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asked_stores import AskedStore, FakeClock, add_open_query, new_item

from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import NewItem


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.db"


@pytest.fixture
def store(path: Path, clock: FakeClock) -> Iterator[Store]:
    with store_location(path).create(clock=clock) as opened:
        yield opened


@pytest.fixture
def make_item() -> Callable[..., NewItem]:
    return new_item


@pytest.fixture
def asked(store: Store) -> AskedStore:
    return add_open_query(store)
