"""Stores of each kind in ``store.open.KINDS``; the suite opens stores only through this file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from asked_stores import AskedStore, FakeClock, add_open_query, new_item

from dgaal_cli.store.open import KINDS, store_location
from dgaal_cli.store.protocol import Store, StoreLocation
from dgaal_cli.store.records import NewItem


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a store that does not exist yet."""
    return f"{request.param}:{tmp_path / 'labels.db'}"


@pytest.fixture
def location(url: str) -> StoreLocation:
    return store_location(url)


@pytest.fixture
def make_store(url: str, clock: FakeClock) -> Iterator[Callable[[], Store]]:
    """Create and open the empty store at ``url``; it is closed after the test."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(store_location(url).create(clock=clock))


@pytest.fixture
def store(make_store: Callable[[], Store]) -> Store:
    return make_store()


@pytest.fixture
def asked(store: Store) -> AskedStore:
    return add_open_query(store)


@pytest.fixture
def make_item() -> Callable[..., NewItem]:
    return new_item
