"""A killed change of the pool leaves the old or the new pool, with all labels."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asked_stores import add_open_query, new_item
from random_histories import content

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import PoolChange
from dgaal_cli.store.sqlite.store import SqliteStore

FIRSTS = {
    ItemId(1): SampleId("1.png@0a"),
    ItemId(2): SampleId("sub/2.png"),
    ItemId(3): SampleId("4.png"),
    ItemId(4): SampleId("3.png"),
}
CHANGE = PoolChange(
    new=[new_item("1.png", "new content"), new_item("more.png"), new_item("copy.png", "more.png")],
    names=[(name, item_id) for item_id, name in FIRSTS.items()],
    firsts=FIRSTS,
    states={ItemId(1): "missing"},
    unreadable=[(SampleId("cut.png"), "cut short")],
)
Apply = Callable[[SqliteStore, PoolChange], object]


def in_one_transaction(store: SqliteStore, change: PoolChange) -> None:
    store.change_pool(change)


def in_two_transactions(store: SqliteStore, change: PoolChange) -> None:
    store.change_pool(PoolChange(firsts=change.firsts, names=change.names, states=change.states))
    store.change_pool(PoolChange(new=change.new, unreadable=change.unreadable))


def make_store(path: Path) -> Path:
    with store_location(path).create() as store:
        asked = add_open_query(store)
        asked.submit("ann", "label", 1, asked.cat)
        asked.submit("ann", "label", 3, asked.dog)
    return path


def killed_at(path: Path, apply: Apply, step: int) -> bool:
    """Change the pool in a child that dies before a statement or file call; return if it ended."""
    child = os.fork()
    if child == 0:
        steps = 0

        def count(*_: object) -> None:
            nonlocal steps
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            store = open_store(path)
            store.database.connection.set_trace_callback(count)
            sys.addaudithook(lambda event, _: count() if event.startswith("os.") else None)
            apply(store, CHANGE)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0
    return not os.WIFSIGNALED(status)


def rows(path: Path) -> dict[str, list[str]]:
    """Return the tables after a killed writer's journal is rolled back."""
    with open_store(path) as store:
        assert store.check() == []
        assert store.query_progress(0).left > 0
    return {name: found for name, found in content(path).items() if name != "meta"}


def kills(folder: Path, apply: Apply) -> int:
    """Kill a change at every step; return the number of kills that left neither state."""
    made, changed = make_store(folder / "made.db"), folder / "changed.db"
    old = rows(made)
    shutil.copy(made, changed)
    assert killed_at(changed, apply, 0)
    new = rows(changed)
    assert {name for name in old if old[name] != new[name]} == {"item", "path", "unreadable"}
    step = torn = 0
    is_over = False
    while not is_over:
        step += 1
        path = Path(shutil.copy(made, folder / f"{step}.db"))
        is_over = killed_at(path, apply, step)
        torn += rows(path) not in (old, new)
    assert step > 20
    return torn


@pytest.mark.slow
def test_killed_change_of_the_pool_leaves_the_old_or_the_new_one(tmp_path: Path):
    assert kills(tmp_path, in_one_transaction) == 0


@pytest.mark.slow
def test_control_change_in_two_transactions_is_caught(tmp_path: Path):
    assert kills(tmp_path, in_two_transactions) > 0


@pytest.mark.parametrize("name", ["2.png", "sub/2.png"])
def test_moved_image_is_found_by_both_names(tmp_path: Path, name: str):
    path = make_store(tmp_path / "labels.db")
    with open_store(path) as store:
        store.change_pool(CHANGE)
        assert store.item_by_sample(SampleId(name)).item_id == 2
