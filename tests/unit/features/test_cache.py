"""The feature cache: rows by image, shards that are whole or absent, and other encoders."""

import hashlib
import os
import shutil
import time
from itertools import chain, islice, repeat

import numpy as np
import pytest

from dgaal_cli import atomic
from dgaal_cli.errors import BusyError, InputDataError, StorageError
from dgaal_cli.features import writer as writer_module
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests, space_folder
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter

SPACE = FeatureSpace(encoder="ab" * 32, crop="center", dtype="float16", dimension=4)
OTHER = FeatureSpace(encoder="cd" * 32, crop="center", dtype="float16", dimension=4)


def digest(number):
    return hashlib.sha256(b"%d" % number).digest()


def row(number):
    return np.array([number, number + 0.5, -number, 1], np.float32)


def fill(folder, numbers, *, space=SPACE, at_once=3, **options):
    """Add images by number, and return the writer after its block."""
    with CacheWriter(folder, space, **options) as writer:
        numbers = iter(numbers)
        while part := list(islice(numbers, at_once)):
            writer.add([digest(n) for n in part], np.stack([row(n) for n in part]))
    return writer


def shard_paths(folder, space=SPACE):
    return sorted(space_folder(folder, space).glob("*.features"))


def assert_holds(folder, numbers, space=SPACE):
    rows = CachedRows(folder, space, [digest(n) for n in numbers])
    np.testing.assert_array_equal(rows[:], [row(n) for n in numbers])


@pytest.fixture
def small_shards(monkeypatch):
    """Make a large shard hold 10 rows, and save after every addition."""
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 10)
    monkeypatch.setattr(writer_module, "FLUSH_S", 0.0)


def test_rows_are_found_by_image_in_any_order(tmp_path, small_shards):
    fill(tmp_path, range(50))
    assert_holds(tmp_path, [49, 0, 7, 7, 31])
    assert len(CachedRows(tmp_path, SPACE, [digest(3)])) == 1


def test_missing_cache_holds_nothing(tmp_path):
    cache = FeatureCache(tmp_path / "absent", SPACE)
    assert len(cache) == 0
    assert cache.find(as_digests([digest(1)])).tolist() == [-1]


def test_images_without_features_are_counted_and_the_command_is_named(tmp_path):
    fill(tmp_path, range(5))
    with pytest.raises(InputDataError, match=r"2 of 3 images have no features.*dgaal features"):
        CachedRows(tmp_path, SPACE, [digest(4), digest(5), digest(6)])


def test_digests_that_begin_alike_are_different_images(tmp_path):
    alike = [b"12345678" + bytes([n]) * 24 for n in range(5)]
    with CacheWriter(tmp_path, SPACE) as writer:
        writer.add(alike, np.stack([row(n) for n in range(5)]))
    cache = FeatureCache(tmp_path, SPACE)
    numbers = cache.find(as_digests([*alike, b"12345678" + b"z" * 24]))
    assert numbers[-1] == -1
    np.testing.assert_array_equal(cache.read(numbers[:-1]), [row(n) for n in range(5)])


def test_small_shards_are_merged(tmp_path, small_shards):
    for number in range(25):
        fill(tmp_path, [number])
    assert len(shard_paths(tmp_path)) == 3
    assert_holds(tmp_path, range(25))


def test_image_is_stored_once(tmp_path, small_shards):
    fill(tmp_path, chain(range(6), range(6), repeat(2, 3)))
    fill(tmp_path, range(8))
    assert len(FeatureCache(tmp_path, SPACE)) == 8


def test_rows_stored_twice_by_a_kill_are_merged(tmp_path, small_shards):
    """A kill after the renaming of the merged shard leaves the small ones."""
    kept = tmp_path / "kept"
    fill(kept, range(4))
    small = shard_paths(kept)
    fill(tmp_path, range(9))
    for path in small:
        shutil.copy(path, space_folder(tmp_path, SPACE))
    assert len(FeatureCache(tmp_path, SPACE)) == 13
    assert_holds(tmp_path, range(9))
    fill(tmp_path, [9])
    assert len(FeatureCache(tmp_path, SPACE)) == 10
    assert_holds(tmp_path, range(10))


def test_rows_are_readable_while_another_process_merges(tmp_path, small_shards):
    fill(tmp_path, range(4))
    rows = CachedRows(tmp_path, SPACE, [digest(n) for n in range(4)])
    fill(tmp_path, range(4, 9))
    assert len(shard_paths(tmp_path)) == 1
    np.testing.assert_array_equal(rows[1:3], [row(1), row(2)])


def test_spaces_do_not_mix(tmp_path):
    fill(tmp_path, range(3))
    fill(tmp_path, range(2), space=OTHER)
    assert len(FeatureCache(tmp_path, OTHER)) == 2
    for changed in ({"crop": "squash"}, {"dtype": "float32"}, {"dimension": 5}):
        space = FeatureSpace(**({f: getattr(SPACE, f) for f in SPACE.__struct_fields__} | changed))
        assert len(FeatureCache(tmp_path, space)) == 0


def test_features_of_another_encoder_are_refused_and_kept(tmp_path):
    fill(tmp_path, range(3), space=OTHER)
    (foreign,) = shard_paths(tmp_path, OTHER)
    space_folder(tmp_path, SPACE).mkdir()
    shutil.copy(foreign, space_folder(tmp_path, SPACE))
    cache = FeatureCache(tmp_path, SPACE)
    assert len(cache) == 0
    assert [shard.reason for shard in cache.refused] == ["it holds features of another encoder"]
    writer = fill(tmp_path, range(2))
    assert writer.refused[0].is_foreign
    assert_holds(tmp_path, range(2))
    assert len(shard_paths(tmp_path)) == 2


@pytest.mark.parametrize("place", [0, 20, 49, 70, 180, 400])
def test_damage_before_the_rows_is_noticed_at_opening(tmp_path, place):
    fill(tmp_path, range(20))
    spoil(shard_paths(tmp_path)[0], place)
    assert len(FeatureCache(tmp_path, SPACE)) == 0
    writer = fill(tmp_path, range(20))
    assert len(writer.refused) == 1
    assert_holds(tmp_path, range(20))


@pytest.mark.parametrize("length", [0, 10, 300, -1])
def test_cut_file_is_noticed_at_opening(tmp_path, length):
    fill(tmp_path, range(20))
    (path,) = shard_paths(tmp_path)
    os.truncate(path, length if length >= 0 else path.stat().st_size + length)
    assert len(FeatureCache(tmp_path, SPACE)) == 0


def test_damaged_rows_are_noticed_by_a_whole_check(tmp_path, small_shards):
    fill(tmp_path, range(10))
    spoil(shard_paths(tmp_path)[0], -1)
    assert len(FeatureCache(tmp_path, SPACE)) == 10
    assert not fill(tmp_path, []).refused
    writer = fill(tmp_path, range(10), checks_all=True)
    assert [shard.reason for shard in writer.refused] == ["its rows do not match their digest"]
    assert_holds(tmp_path, range(10))


def test_merge_does_not_seal_damaged_rows(tmp_path, small_shards):
    fill(tmp_path, range(4))
    spoil(shard_paths(tmp_path)[0], -1)
    assert fill(tmp_path, range(4, 9)).refused
    cache = FeatureCache(tmp_path, SPACE)
    found = cache.find(as_digests([digest(n) for n in range(9)]))
    assert (found[:4] < 0).all()
    assert_holds(tmp_path, range(4, 9))


def spoil(path, place):
    """Flip the bits of one byte."""
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def test_second_writer_of_a_space_is_refused(tmp_path):
    with CacheWriter(tmp_path, SPACE):
        with pytest.raises(BusyError, match="another process fills the feature cache"):
            fill(tmp_path, [1])
        fill(tmp_path, [1], space=OTHER)
    fill(tmp_path, [1])


def test_rows_of_a_failed_block_are_saved(tmp_path):
    def fail():
        with CacheWriter(tmp_path, SPACE) as writer:
            writer.add([digest(1)], row(1)[None])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert_holds(tmp_path, [1])


def test_full_disk_keeps_what_was_saved(tmp_path, monkeypatch):
    with CacheWriter(tmp_path, SPACE) as writer:
        writer.add([digest(1)], row(1)[None])
        writer.flush()
    full = StorageError("cannot write: No space left on device")
    monkeypatch.setattr(atomic, "replacing", lambda _path: (_ for _ in ()).throw(full))
    with pytest.raises(StorageError, match="No space left"):
        fill(tmp_path, [2])
    monkeypatch.undo()
    assert_holds(tmp_path, [1])
    fill(tmp_path, [2])
    assert_holds(tmp_path, [1, 2])


def test_full_disk_while_merging_is_no_error(tmp_path, small_shards, monkeypatch):
    fill(tmp_path, range(3))
    write_shard = writer_module.write_shard

    def fail_to_merge(folder, space, digests, blocks):
        if len(digests) > 3:
            raise StorageError("No space left on device")
        return write_shard(folder, space, digests, blocks)

    monkeypatch.setattr(writer_module, "write_shard", fail_to_merge)
    fill(tmp_path, range(3, 8))
    assert_holds(tmp_path, range(8))


def test_features_are_saved_every_few_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with CacheWriter(tmp_path, SPACE) as writer:
        writer.add([digest(1)], row(1)[None])
        assert not shard_paths(tmp_path)
        now[0] += writer_module.FLUSH_S
        writer.add([digest(2)], row(2)[None])
        assert_holds(tmp_path, [1, 2])


def test_wide_rows_make_shards_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_BYTES", 40)
    fill(tmp_path, range(11), at_once=1)
    assert max(map(len, FeatureCache(tmp_path, SPACE).shards)) == 5
