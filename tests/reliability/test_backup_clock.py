"""The newest backup is kept and restored, whatever the clock says and whoever makes it."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from asked_stores import FakeClock, add_open_query
from class_labels import as_label, name_of
from label_workspaces import DGAAL, make_workspace

from dgaal_cli.ids import ItemId
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import Answer
from dgaal_cli.store.sqlite import backups

DAY_S = 86_400.0


def back_up_under_jumping_clock(folder: Path, seed: int, steps: int) -> None:
    """Answer, set the clock, back up and restore in random order; compare with a list."""
    generator, clock = random.Random(seed), FakeClock()
    location = store_location(folder / "labels.db")
    store = location.create(clock=clock)
    asked = add_open_query(store)
    expected: list[tuple[str, int]] = []
    for step in range(steps):
        clock.now += generator.choice((-400, -1, 0, 0, 1, 30)) * DAY_S
        asked.submit("sam", "label", generator.choice((1, 2, 3)), asked.cat)
        if asked.store.watermark() % backups.EVERY == 0:  # an automatic backup was made
            expected = [(str(location.backups()[0]), asked.store.watermark()), *expected]
        made = asked.store.back_up(generator.choice(("manual", "labels", "import")))
        assert made.is_file(), f"step {step}: the backup was deleted at once"
        expected = [(str(made), asked.store.watermark()), *expected][: backups.KEPT]
        newest = location.backups()[: backups.KEPT]
        assert [str(path) for path in newest] == [path for path, _ in expected]
        if generator.random() < 0.3:
            asked.store.close()
            restored = location.restore()
            assert (str(restored.backup), restored.events) == expected[0]
            asked.store = location.open(clock=clock)
    asked.store.close()


@pytest.mark.parametrize("steps", [40, pytest.param(1000, marks=pytest.mark.deep)])
def test_newest_backup_is_kept_and_restored_under_any_clock(tmp_path: Path, seed: int, steps: int):
    back_up_under_jumping_clock(tmp_path, seed, steps)


def test_control_order_by_time_is_caught(tmp_path: Path, seed: int, monkeypatch):
    def by_time(store: Path) -> list[Path]:
        found = backups.folder_of(store).glob("labels-*")
        return sorted(found, key=lambda path: path.name.split("-", 2)[-1], reverse=True)

    monkeypatch.setattr(backups, "existing", by_time)
    with pytest.raises(AssertionError):
        back_up_under_jumping_clock(tmp_path, seed, 40)


def dgaal(root: Path, *arguments: str) -> str:
    command = [*DGAAL, "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_backups_of_earlier_versions_from_a_later_time_are_older(tmp_path: Path):
    """Five backups without numbers were made 400 days ahead; then the clock was set right."""
    root = make_workspace(tmp_path, ["1.png", "2.png"])
    with open_store(root / "labels.db") as store:
        for day in range(1, 6):
            old = store.back_up(is_full=True)
            old.rename(old.with_name(f"labels-2099010{day}T000000-000000Z-manual.db"))
        label = as_label(store.class_by_name("cat").uid)
        answer = Answer(op_id="1", kind="label", item_id=ItemId(1), label=label)
        store.submit(answer, annotator="sam", session="s")
    made = Path(dgaal(root, "labels", "backup"))
    assert made.is_file()
    assert len(list(made.parent.glob("labels-*"))) == backups.KEPT
    assert dgaal(root, "labels", "restore").startswith("restored 1 events")
    with open_store(root / "labels.db") as store:
        assert [name_of(store, label) for label in store.labels()] == ["cat"]


MAKE = """
import sys
from dgaal_cli.ids import ItemId
from dgaal_cli.store.open import open_store
with open_store(sys.argv[1]) as store:
    for _ in range(5):
        store.back_up()
"""


@pytest.mark.slow
def test_backups_of_several_processes_are_ordered_by_their_events(tmp_path: Path):
    path = tmp_path / "labels.db"
    with store_location(path).create() as store:
        asked = add_open_query(store)
        store.back_up(is_full=True)  # the others continue it, so none is old enough to remove
        command = [sys.executable, "-c", MAKE, str(path)]
        makers = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
        while any(maker.poll() is None for maker in makers):
            asked.submit("sam", "label", 3, asked.cat)
        assert [maker.communicate()[1] for maker in makers] == [b""] * 3
    events = [backups.verify(copy) for copy in backups.existing(path)]
    assert len(events) == 16
    assert events == sorted(events, reverse=True)
