"""The images of a simulation: pool, test images, first labels, and unusual pools."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from small_simulations import images, small_plan, small_pool, write_pool

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.simulation.plan import Plan
from dgaal_cli.simulation.pool import (
    absent_at_start,
    first_rows,
    held_out_rows,
    load_pool,
    rows_of_seed,
)


@pytest.fixture
def path(tmp_path):
    return write_pool(tmp_path / "pool.npz")


def test_pool_and_test_images_equal_the_sources(path):
    pool = small_pool(path)
    assert pool.truth.tolist() == [i % 3 for i in range(90)]
    assert pool.class_names == ["0", "1", "2"]
    assert (pool.pixels[..., 0] == images(np.arange(90) % 3)).all()
    assert len(pool.test_labels) == 30
    assert pool.pixels.shape[1:] == (8, 8, 1)


def test_test_share_splits_test_images_from_the_pool(path):
    pool = small_pool(path, test="", test_share=0.2)
    assert (len(pool.truth), len(pool.test_labels)) == (72, 18)
    pool_images = {image.tobytes() for image in pool.pixels}
    assert not pool_images & {image.tobytes() for image in pool.test_pixels}


def test_each_seed_holds_out_other_images_on_request(path):
    plan = small_plan(path, test="", test_share=0.2, new_test=True)
    pool = load_pool(plan, cache=None)
    assert (len(pool.truth), len(pool.test_labels), pool.test_count(plan)) == (90, 0, 18)
    held = [held_out_rows(plan, pool, seed).tolist() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]
    for seed, rows in zip((0, 0, 1), held, strict=True):
        kept = rows_of_seed(plan, pool, seed).tolist()
        assert sorted(kept + rows) == list(range(90))


def grouped_manifest(folder, groups, *, split=lambda _: ""):
    """Write a manifest of 60 images in this many groups."""
    lines = ["file_name,label,group,split"]
    for number, pixels in enumerate(images(np.arange(60) % 3)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number % 3},p{number % groups},{split(number)}")
    path = folder / "pool.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("groups", [2, 10])
def test_whole_groups_are_held_out(tmp_path, groups):
    plan = Plan(pool=str(grouped_manifest(tmp_path, groups)), image_size=8, channels=1)
    pool = load_pool(plan, cache=None)
    assert len(set(pool.groups.tolist())) == groups - max(1, groups // 5)
    assert len(pool.test_labels) == 60 // groups * max(1, groups // 5)
    own = msgspec.structs.replace(plan, new_test=True)
    pool = load_pool(own, cache=None)
    for seed in range(3):
        held = set(pool.groups[held_out_rows(own, pool, seed)].tolist())
        kept = set(pool.groups[rows_of_seed(own, pool, seed)].tolist())
        assert held
        assert kept
        assert not held & kept


def test_one_group_cannot_be_held_out(tmp_path):
    with pytest.raises(UsageError, match="one group"):
        load_pool(Plan(pool=str(grouped_manifest(tmp_path, 1)), image_size=8), cache=None)


def test_groups_both_in_pool_and_test_images_are_told(tmp_path):
    path = grouped_manifest(tmp_path, 10, split=lambda n: "test" if n < 12 else "train")
    plan = Plan(pool=f"{path}#train", test=f"{path}#test", image_size=8, channels=1)
    notes = load_pool(plan, cache=None).notes
    assert any("12 test images are of groups that are in the pool too" in note for note in notes)


def test_pool_of_limited_size_is_the_same_for_every_seed(path):
    first, second = (
        small_pool(path, pool_size=40, seeds=(0,)),
        small_pool(path, pool_size=40, seeds=(5,)),
    )
    assert first.ids == second.ids
    assert len(set(first.ids)) == 40


def test_classes_option_selects_and_orders_classes(path):
    pool = small_pool(path, classes=("2", "0"))
    assert pool.class_names == ["2", "0"]
    assert len(pool.truth) == 60
    assert pool.pixels[pool.truth == 0].mean() > pool.pixels[pool.truth == 1].mean()


def test_images_of_different_sizes_are_stretched_to_one(tmp_path):
    for name, level in (("dark", 20), ("bright", 220)):
        for i, size in enumerate([(9, 30), (40, 12), (16, 16), (100, 80)]):
            folder = tmp_path / "pool" / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full(size, level, np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "pool" / "dark" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    plan = Plan(pool=str(tmp_path / "pool"), test_share=0.25)
    pool = load_pool(plan, cache=None)
    assert pool.pixels.shape == (6, 16, 16, 1)
    assert pool.test_pixels.shape == (2, 16, 16, 1)
    assert any("1 unreadable" in note for note in pool.notes)
    assert any("from 16 x 16 to 80 x 100 pixels" in note for note in pool.notes)
    assert load_pool(Plan(pool=plan.pool, image_size=32), cache=None).pixels.shape[1] == 32


def test_pool_without_labels_or_with_one_class_is_refused(tmp_path):
    np.savez(tmp_path / "none.npz", x=np.zeros((4, 8, 8), np.uint8))
    np.savez(tmp_path / "one.npz", x=np.zeros((4, 8, 8), np.uint8), y=np.zeros(4, np.int64))
    with pytest.raises(InputDataError, match="no oracle can answer"):
        load_pool(Plan(pool=str(tmp_path / "none.npz")), cache=None)
    with pytest.raises(InputDataError, match="has only one class"):
        load_pool(Plan(pool=str(tmp_path / "one.npz")), cache=None)
    with pytest.raises(InputDataError, match="has no labels of 7"):
        load_pool(Plan(pool=str(tmp_path / "one.npz"), classes=("7", "8")), cache=None)


def test_class_without_pool_images_is_noted(tmp_path):
    y = np.array([0, 1, 0, 1])
    np.savez(
        tmp_path / "p.npz",
        x_train=images(y),
        y_train=y,
        x_test=images(np.array([0, 1, 2])),
        y_test=np.array([0, 1, 2]),
    )
    pool = small_pool(tmp_path / "p.npz")
    assert pool.class_names == ["0", "1", "2"]
    assert any("shows 2" in note for note in pool.notes)


def test_packed_jpeg_pools_are_read(tmp_path):
    files = []
    for level in (30, 200, 30, 200, 30, 200):
        buffer = io.BytesIO()
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    np.savez(
        tmp_path / "p.npz",
        x_train_jpeg=np.frombuffer(b"".join(files), np.uint8),
        x_train_offsets=np.cumsum([0, *map(len, files)]),
        y_train=np.array([0, 1, 0, 1, 0, 1]),
    )
    plan = Plan(pool=f"{tmp_path / 'p.npz'}#train", image_size=8, channels=3, test_share=0.34)
    pool = load_pool(plan, cache=None)
    assert pool.pixels.shape == (4, 8, 8, 3)
    assert (pool.pixels.mean((1, 2, 3)) > 100).tolist() == (pool.truth == 1).tolist()


def test_first_labels_depend_only_on_the_seed():
    truth = np.arange(200) % 4
    plan = Plan(initial=20)
    first = first_rows(plan, truth, [], 3)
    assert first.tolist() == first_rows(plan, truth, [], 3).tolist()
    assert set(first.tolist()) != set(first_rows(plan, truth, [], 4).tolist())
    assert len(set(first.tolist())) == 20


def test_balanced_start_has_equal_counts_per_class():
    truth = np.array([0] * 100 + [1] * 10 + [2] * 5)
    first = first_rows(Plan(initial=9, start="balanced"), truth, [], 0)
    assert np.bincount(truth[first]).tolist() == [3, 3, 3]
    more = first_rows(Plan(initial=20, start="balanced"), truth, [], 0)
    assert np.bincount(truth[more]).tolist() == [8, 7, 5] or np.bincount(truth[more])[2] == 5


def test_absent_classes_have_no_first_labels(path):
    pool = small_pool(path)
    plan = Plan(absent_classes=("1",), initial=30)
    absent = absent_at_start(plan, pool, 0)
    assert absent == [1]
    assert 1 not in pool.truth[first_rows(plan, pool.truth, absent, 0)]
    assert len(absent_at_start(Plan(absent_classes=("1",), absent_count=1), pool, 0)) == 2
    drawn = {tuple(absent_at_start(Plan(absent_count=1), pool, seed)) for seed in range(20)}
    assert drawn == {(0,), (1,), (2,)}


def test_impossible_start_is_refused(path):
    pool = small_pool(path)
    with pytest.raises(UsageError, match="not a class"):
        absent_at_start(Plan(absent_classes=("cow\x1b",)), pool, 0)
    with pytest.raises(UsageError, match="every class"):
        absent_at_start(Plan(absent_classes=("0", "1", "2")), pool, 0)
    with pytest.raises(UsageError, match="only 60 are available"):
        first_rows(Plan(initial=61), pool.truth, [0], 0)


def test_imbalance_reduces_named_or_random_classes(path):
    pool = small_pool(path)
    kept = rows_of_seed(Plan(imbalance="1=0.1"), pool, 0)
    assert np.bincount(pool.truth[kept]).tolist() == [30, 3, 30]
    drawn = {
        tuple(np.bincount(pool.truth[rows_of_seed(Plan(imbalance="random:2=0.5"), pool, s)]))
        for s in range(12)
    }
    assert drawn == {(30, 15, 15), (15, 30, 15), (15, 15, 30)}


@pytest.mark.parametrize("text", ["1", "1=0", "1=2", "9=0.1", "random:2", "=0.5", "1=x"])
def test_invalid_imbalance_is_refused(text, path):
    with pytest.raises(UsageError, match="imbalance"):
        rows_of_seed(small_plan(Path("p"), imbalance=text), small_pool(path), 0)
