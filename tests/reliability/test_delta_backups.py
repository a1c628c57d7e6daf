"""A restored backup equals the store when the backup was made, whatever happened before and since.

Most backups are deltas: a full copy and each delta after it are needed.
"""

import random
import sqlite3
import sys
from pathlib import Path

import pytest
from asked_stores import FakeClock
from random_histories import History, content

from dgaal_cli.errors import DgaalError
from dgaal_cli.store.open import store_location
from dgaal_cli.store.sqlite import deltas

OLD_STORES = sorted((Path(__file__).parent / "stores").glob("version-*.sql"))


def live_through(folder: Path, seed: int, steps: int) -> int:
    """Change, back up, restore and upgrade a store at random; compare all restored backups.

    Returns:
        How many of the compared backups are deltas.
    """
    generator, clock = random.Random(seed), FakeClock()
    location = store_location(folder / "labels.db")
    old = generator.choice((None, *OLD_STORES))
    if old is None:
        location.create(clock=clock).close()
    else:
        connection = sqlite3.connect(location.path)
        connection.executescript(old.read_text())
        connection.close()
    store = location.open(clock=clock)
    contents: dict[Path, dict[str, list[str]]] = {}
    for _ in range(steps):
        History(store, clock, generator).step()
        chance = generator.random()
        if chance < 0.25:
            made = store.back_up(is_full=generator.random() < 0.05)
            contents[made] = content(location.path)
        elif chance < 0.28 and contents:
            store.close()
            copy = generator.choice((None, *location.backups()))
            chosen = location.restore(copy).backup
            if chosen in contents:
                assert content(location.path) == contents[chosen]
            store = location.open(clock=clock)
    assert store.check() == []
    store.close()
    kept = [path for path in location.backups() if path in contents]
    for path in generator.sample(kept, min(6, len(kept))):
        location.restore(path)
        assert content(location.path) == contents[path]
        with location.open(clock=clock) as restored:
            assert restored.check() == []
    return sum(path.suffix == deltas.SUFFIX for path in kept)


def live_often(folder: Path, seed: int, histories: int, steps: int) -> int:
    """Live through several histories; return the number of compared deltas."""
    count = 0
    for number in range(histories):
        (folder / str(number)).mkdir()
        count += live_through(folder / str(number), seed + number, steps)
    return count


@pytest.mark.parametrize(
    ("histories", "steps"),
    [
        (1, 30),
        pytest.param(8, 100, marks=pytest.mark.slow),
        pytest.param(300, 300, marks=pytest.mark.deep),
    ],
)
def test_restored_backup_equals_the_store_at_its_time(
    tmp_path: Path, seed: int, histories: int, steps: int
):
    count = live_often(tmp_path, seed, histories, steps)
    sys.stdout.write(f"{histories} histories, {count} deltas\n")
    assert count > 0


@pytest.mark.slow
@pytest.mark.parametrize("table", [*deltas.GROWING, *deltas.WHOLE, "states"])
def test_control_delta_that_forgets_a_table_is_caught(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch, table: str
):
    if table == "states":  # the changed columns of images
        monkeypatch.setattr(deltas, "_set_states", lambda *_: set())
    else:
        for kind in ("GROWING", "WHOLE"):
            rest = tuple(name for name in getattr(deltas, kind) if name != table)
            monkeypatch.setattr(deltas, kind, rest)
    with pytest.raises((AssertionError, DgaalError, sqlite3.Error)):
        live_often(tmp_path, seed, 10, 100)


@pytest.mark.slow
def test_control_delta_that_continues_any_store_is_caught(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
):
    """After a restore, the newest delta may have rows that the store does not have."""
    monkeypatch.setattr(deltas, "continues", lambda *_: True)
    with pytest.raises((AssertionError, DgaalError, sqlite3.Error)):
        live_often(tmp_path, seed, 10, 100)


@pytest.mark.slow
def test_control_delta_after_other_names_is_caught(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
):
    """A delta has no names of images that the copy before has already."""
    monkeypatch.setattr(deltas, "_generation", lambda _: "")
    with pytest.raises((AssertionError, DgaalError, sqlite3.Error)):
        live_often(tmp_path, seed, 10, 100)
