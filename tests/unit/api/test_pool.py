"""``pool_status`` and ``pool_update``: a pool that grows, moves and changes keeps its labels."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from class_labels import as_label
from PIL import Image

from dgaal_cli import interruption
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.label import label
from dgaal_cli.api.pool import PoolReport, PoolUpdate, pool_status, pool_update
from dgaal_cli.api.status import status
from dgaal_cli.api.train import train
from dgaal_cli.config.schema import Config
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.data.sources.base import FileBytes
from dgaal_cli.errors import BusyError, InterruptedRunError
from dgaal_cli.events import AnyEvent, RoundStarted, StepDone
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel, PoolChange, Query, QueryEntry

ACCEPT = {"accept": lambda _: True}


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")


class Pool:
    """A workspace whose folder pool has a.png to d.png, and bad.png that is no image."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "pool"
        for seed, name in enumerate("abcd"):
            paint(self.folder / f"{name}.png", seed)
        (self.folder / "bad.png").write_bytes(b"no image")
        request = InitRequest(
            root=root / "w", pool="pool", base=root, classes=("cat", "dog"), method="random"
        )
        self.workspace = init(request).workspace

    def path(self, name: str) -> Path:
        return self.folder / name

    def store(self) -> Store:
        return open_store(self.workspace)

    def status(self) -> PoolReport:
        return pool_status(self.workspace, configuration(self.workspace))

    def growth(self) -> str:
        return status(self.workspace, configuration(self.workspace)).growth

    def update(self, **options) -> PoolUpdate:
        return pool_update(self.workspace, configuration(self.workspace), **options)

    def label(self, name: str, label: str) -> None:
        with self.store() as store:
            uid = store.class_by_name(label).uid
            given = ImportedLabel(
                sample_id=SampleId(name), label=as_label(uid), annotator="ann", kind="label"
            )
            store.import_labels([given])

    def labels(self) -> dict[str, str]:
        with self.store() as store:
            names = store.class_names()
            return {r.sample_id: names[r.label.classes[0]] for r in store.labels()}

    def images(self) -> dict[str, str]:
        with self.store() as store:
            return {item.sample_id: item.state for item in store.items()}


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


def test_unchanged_pool_needs_no_update(pool: Pool):
    assert pool.status().plan.is_empty
    assert pool.status().plan.unchanged == 4
    assert not pool.update().is_applied


def test_new_images_are_added_and_copies_are_not_asked_twice(pool: Pool):
    paint(pool.path("sub/new.png"), 9)
    shutil.copy(pool.path("a.png"), pool.path("sub/copy.png"))
    plan = pool.status().plan
    assert [item.sample_id for item in plan.new] == ["sub/new.png"]
    assert plan.copies == (("sub/copy.png", 1),)
    assert pool.update().added == 1
    assert pool.images() == dict.fromkeys(["a.png", "b.png", "c.png", "d.png", "sub/new.png"], "ok")
    assert pool.status().plan.is_empty


def test_labels_follow_images_that_exchange_their_names(pool: Pool):
    pool.label("a.png", "cat")
    pool.label("b.png", "dog")
    pool.path("a.png").rename(pool.path("t"))
    pool.path("b.png").rename(pool.path("a.png"))
    pool.path("t").rename(pool.path("b.png"))
    assert len(pool.status().plan.renamed) == 2
    pool.update()
    assert pool.labels() == {"a.png": "dog", "b.png": "cat"}
    assert pool.status().plan.is_empty


def test_sorting_into_folders_keeps_labels_and_the_open_query(pool: Pool):
    pool.label("c.png", "cat")
    with pool.store() as store:
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in (1, 2))
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    for name in "abcd":
        pool.path(f"kind/{name}.png").parent.mkdir(exist_ok=True)
        pool.path(f"{name}.png").rename(pool.path(f"kind/{name}.png"))
    pool.update()
    assert pool.labels() == {"kind/c.png": "cat"}
    with pool.store() as store:
        assert store.query_progress(0).left == 2
        assert store.next_task("ann", "s").item.sample_id == "kind/a.png"
        assert store.item_by_sample(SampleId("c.png")).sample_id == "kind/c.png"


def test_rule_on_names_groups_old_and_new_images_and_keeps_known_groups(pool: Pool):
    config = configuration(pool.workspace, "pool.group_by=^(.)")
    paint(pool.path("new.png"), 9)
    report = pool_update(pool.workspace, config).report
    assert len(report.plan.groups) == 4
    with pool.store() as store:
        assert store.groups() == {1: "a", 2: "b", 3: "c", 4: "d", 5: "n"}
    pool.path("a.png").rename(pool.path("z.png"))
    pool_update(pool.workspace, config)
    with pool.store() as store:
        assert store.groups()[ItemId(1)] == "a"
    assert pool_status(pool.workspace, config).plan.is_empty


def test_group_column_that_is_corrected_counts_and_an_emptied_one_changes_nothing(tmp_path: Path):
    for seed, name in enumerate("abc"):
        paint(tmp_path / f"{name}.png", seed)
    manifest = tmp_path / "pool.csv"
    manifest.write_text("file_name,group\na.png,p1\nb.png,p1\n")
    request = InitRequest(root=tmp_path / "w", pool="pool.csv", base=tmp_path, method="random")
    made = init(request)
    assert (made.groups, made.grouped) == (1, 2)
    manifest.write_text("file_name,group\na.png,\nb.png,p2\nc.png,p2\n")
    config = configuration(made.workspace)
    pool_update(made.workspace, config)
    with open_store(made.workspace) as store:
        assert store.groups() == {1: "p1", 2: "p2", 3: "p2"}
    found = status(made.workspace, config)
    assert (found.groups, found.grouped) == (2, 3)


def test_name_that_a_new_image_takes_no_longer_means_the_moved_one(pool: Pool):
    pool.label("a.png", "cat")
    pool.path("a.png").rename(pool.path("z.png"))
    paint(pool.path("a.png"), 20)
    plan = pool.update().report.plan
    assert [item.sample_id for item in plan.new] == ["a.png"]
    assert not plan.changed
    assert pool.labels() == {"z.png": "cat"}
    with pool.store() as store:
        assert store.item_by_sample(SampleId("a.png")).item_id == 5


def test_changed_file_is_left_out_until_it_is_accepted(pool: Pool):
    pool.label("a.png", "cat")
    paint(pool.path("a.png"), 30)
    report = pool.update().report
    assert report.answered == {"a.png"}
    assert pool.images()["a.png"] == "changed"
    assert pool.labels() == {"a.png": "cat"}
    assert pool.update(**ACCEPT).added == 1
    aside = report.plan.changed[0].aside
    assert pool.images()[aside] == "missing"
    assert pool.images()["a.png"] == "ok"
    assert pool.labels() == {aside: "cat"}
    with pool.store() as store:
        assert 5 in store.unanswered()
    assert pool.status().plan.is_empty


def test_old_content_that_comes_back_has_its_labels_again(pool: Pool):
    pool.label("a.png", "cat")
    shutil.copy(pool.path("a.png"), pool.path("../kept"))
    paint(pool.path("a.png"), 30)
    pool.update(**ACCEPT)
    shutil.copy(pool.path("../kept"), pool.path("old.png"))
    assert len(pool.update().report.plan.renamed) == 1
    assert pool.labels() == {"old.png": "cat"}


def test_repaired_file_is_used_and_a_damaged_one_is_left_out(pool: Pool):
    paint(pool.path("bad.png"), 40)
    pool.path("d.png").write_bytes(b"cut")
    plan = pool.update().report.plan
    assert plan.repaired == ("bad.png",)
    assert [name for name, _ in plan.unreadable] == ["d.png"]
    assert pool.images()["bad.png"] == "ok"
    assert pool.images()["d.png"] == "quarantined"
    with pool.store() as store:
        assert [name for name, _ in store.quarantined()] == ["d.png"]
    assert pool.status().plan.is_empty


def test_missing_image_is_left_out_and_used_again_when_it_is_back(pool: Pool):
    pool.path("b.png").rename(pool.path("../b.png"))
    assert [name for name, _ in pool.update().report.plan.missing] == ["b.png"]
    assert pool.images()["b.png"] == "missing"
    pool.path("../b.png").rename(pool.path("b.png"))
    assert pool.update().report.plan.restored == (("b.png", 2),)
    assert pool.images()["b.png"] == "ok"


def test_name_of_a_missing_image_that_shows_another_known_one(pool: Pool):
    """As when one file of a numbered series is deleted and the rest is numbered again."""
    pool.label("a.png", "cat")
    pool.label("b.png", "dog")
    pool.path("b.png").rename(pool.path("a.png"))
    plan = pool.update().report.plan
    assert len(plan.missing) == len(plan.renamed) == 1
    aside = plan.asides[ItemId(1)]
    assert pool.labels() == {aside: "cat", "a.png": "dog"}
    assert pool.status().plan.is_empty


def test_dry_run_changes_no_byte_of_the_store(pool: Pool):
    paint(pool.path("new.png"), 9)
    before = pool.workspace.store_path.read_bytes()
    assert len(pool.update(is_dry_run=True, **ACCEPT).report.plan.new) == 1
    pool.status()
    assert pool.workspace.store_path.read_bytes() == before


def test_only_files_with_other_times_are_read(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    real, read = time.time_ns, []
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10**10)  # files of now count as old
    monkeypatch.setattr(
        FileBytes, "__call__", lambda self: read.append(self.path) or Path(self.path).read_bytes()
    )
    pool.status()
    assert len(read) == 4  # init saw them too recently
    read.clear()
    os.utime(pool.path("c.png"), ns=(0, 0))
    assert pool.status().plan.is_empty
    assert [Path(path).name for path in read] == ["c.png"]


def test_damaged_cache_of_known_files_is_not_used(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 10**10)
    pool.status()
    path, status = pool.workspace.cache_path / "pool-files", pool.path("a.png").stat()
    assert KnownFiles.load(path.parent).digest(SampleId("a.png"), status) is not None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert KnownFiles.load(path.parent).digest(SampleId("a.png"), status) is None
    assert pool.status().plan.is_empty


def test_file_that_changes_while_it_is_read_is_left_for_the_next_time(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
):
    def read_and_change(self: FileBytes) -> bytes:
        data = Path(self.path).read_bytes()
        Path(self.path).write_bytes(data + b"more")
        return data

    pool.path("a.png").touch()
    with monkeypatch.context() as patch:
        patch.setattr(FileBytes, "__call__", read_and_change)
        plan = pool.update().report.plan
    assert set(plan.unstable) == {"a.png", "b.png", "c.png", "d.png"} - {
        name for name, _ in plan.missing
    }
    assert set(pool.images().values()) == {"ok"}


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda f: [p.unlink() for p in f.iterdir()]])
def test_pool_that_is_gone_as_a_whole_sets_nothing_aside(
    pool: Pool, harm: Callable[[Path], object]
):
    harm(pool.folder)
    with pytest.raises(PoolGoneError, match="no image was set aside"):
        pool.update()
    assert set(pool.images().values()) == {"ok"}


def test_images_of_an_empty_part_of_the_pool_stay(tmp_path: Path):
    pool = Pool(tmp_path)
    for name in ("disk/x.png", "disk/y.png"):
        paint(pool.path(name), len(name) + ord(name[5]))
    pool.update()
    for path in pool.path("disk").iterdir():
        path.unlink()
    result = pool.update()
    assert result.report.away == ("disk/x.png", "disk/y.png")
    assert not result.is_applied
    assert set(pool.images().values()) == {"ok"}


def test_second_update_at_a_time_is_busy(pool: Pool):
    def update_again(_: PoolReport) -> bool:
        with pytest.raises(BusyError, match="updating the pool"):
            pool.update()
        return False

    pool.update(accept=update_again)


@pytest.mark.parametrize("name", ["new.png", "a/b/new.png"])
def test_status_names_new_files_until_they_are_added(pool: Pool, name: str):
    assert pool.growth() == ""
    paint(pool.path(name), 9)
    assert f"for example {name}; 'dgaal pool update' adds them" in pool.growth()
    pool.update()
    assert pool.growth() == ""


def test_status_is_silent_about_files_that_are_no_images(pool: Pool):
    pool.path("notes.txt").write_text("x")
    pool.path(".hidden.png").write_text("x")
    pool.path("a.png").unlink()
    assert pool.growth() == ""


def test_status_lists_a_bounded_part_of_a_large_folder(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    for number in range(6000):
        pool.path(f"{number}.txt").touch()
    listed: list[str] = []
    monkeypatch.setattr(
        "dgaal_cli.rounds.pool_growth.may_be_image", lambda name: bool(listed.append(name))
    )
    assert "shows whether files are new" in pool.growth()
    assert len(listed) < 5500


def test_labeling_session_starts_with_the_notice_of_new_files(pool: Pool):
    paint(pool.path("new.png"), 9)
    with label(pool.workspace, configuration(pool.workspace), annotator="ann") as session:
        assert "new files lie in the pool" in session.open().note


@pytest.mark.slow
def test_interrupted_training_resumes_after_an_update(pool: Pool):
    started: list[RoundStarted] = []

    def interrupted(event: AnyEvent) -> None:
        if isinstance(event, StepDone) and event.step == 5:
            signal.raise_signal(signal.SIGINT)

    def listen(event: AnyEvent) -> None:
        started.extend([event] if isinstance(event, RoundStarted) else [])

    def config() -> Config:
        steps = ("classifier.steps=20", "classifier.batch=2", "threads=1")
        return configuration(pool.workspace, *steps)

    for name in "abcd":
        pool.label(f"{name}.png", "cat" if name < "c" else "dog")
    with pytest.raises(InterruptedRunError), interruption.listening():
        train(pool.workspace, config(), emit=interrupted)
    pool.path("a.png").rename(pool.path("moved.png"))
    paint(pool.path("new.png"), 9)
    pool.update()
    train(pool.workspace, config(), emit=listen)
    assert started[0].resumed_at
    assert started[0].pool == 4
    train(pool.workspace, config(), emit=listen, is_fresh=True)
    assert started[1].pool == 5


def test_archive_that_grew_is_compared_by_content(tmp_path: Path):
    names = {f"{n}.png": n for n in range(3)}
    for name, seed in names.items():
        paint(tmp_path / "images" / name, seed)
    archive = Path(shutil.make_archive(str(tmp_path / "pool"), "zip", tmp_path / "images"))
    request = InitRequest(root=tmp_path / "w", pool="pool.zip", base=tmp_path, method="random")
    workspace = init(request).workspace
    config = configuration(workspace)
    assert pool_status(workspace, config).plan.is_empty
    (tmp_path / "images/0.png").rename(tmp_path / "images/zero.png")
    paint(tmp_path / "images/new.png", 9)
    growth = status(workspace, config).growth
    assert growth == ""
    archive.unlink()
    shutil.make_archive(str(tmp_path / "pool"), "zip", tmp_path / "images")
    assert "was written since it was read" in status(workspace, config).growth
    for _ in range(2):  # the first look must not hide anything from the second
        plan = pool_status(workspace, config).plan
        assert [item.sample_id for item in plan.new] == ["new.png"]
        assert [(each.old, each.new) for each in plan.renamed] == [("0.png", "zero.png")]
    pool_update(workspace, config)
    assert pool_status(workspace, config).plan.is_empty
    assert pool_status(workspace, config).plan.unchanged == 4


def test_changed_image_of_a_manifest_is_found(tmp_path: Path):
    for name, seed in {"a.png": 1, "b.png": 2}.items():
        paint(tmp_path / name, seed)
    (tmp_path / "pool.csv").write_text("file_name\na.png\nb.png\n")
    request = InitRequest(root=tmp_path / "w", pool="pool.csv", base=tmp_path, method="random")
    workspace = init(request).workspace
    config = configuration(workspace)
    assert pool_status(workspace, config).plan.is_empty
    paint(tmp_path / "b.png", 3)
    (found,) = pool_status(workspace, config).plan.changed
    assert found.new.sample_id == "b.png"


def test_replaced_target_of_a_link_is_a_changed_image(pool: Pool):
    pool.path("../away").write_bytes(pool.path("a.png").read_bytes())
    pool.path("a.png").unlink()
    pool.path("a.png").symlink_to("../away")
    assert pool.status().plan.is_empty
    paint(pool.path("../away"), 50)
    (found,) = pool.status().plan.changed
    assert found.new.sample_id == "a.png"


def test_control_empty_change_is_found_to_be_empty(pool: Pool):
    assert pool.status().plan.change(accepts_changed=True) == PoolChange()
    paint(pool.path("new.png"), 9)
    assert not pool.status().plan.is_empty
