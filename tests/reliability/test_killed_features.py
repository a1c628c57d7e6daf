"""A kill at every step of filling the feature cache: shards are whole, saved rows stay."""

import contextlib
import hashlib
import io
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from dgaal_cli import atomic
from dgaal_cli.features import writer as writer_module
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests
from dgaal_cli.features.shard import open_shard, write_shard
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter

SPACE = FeatureSpace(encoder="ab" * 32, crop="center", dtype="float16", dimension=4)
IMAGES = 25
"""Enough to merge twice with large shards of ten rows."""
DIGESTS = [hashlib.sha256(b"%d" % number).digest() for number in range(IMAGES)]
ROWS = np.arange(IMAGES * 4, dtype=np.float32).reshape(IMAGES, 4)


class Killer:
    """Kills this process at the n-th change of a file: a write stops in the middle."""

    def __init__(self, at):
        self.left = at

    def step(self, action):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return action()

    def arm(self):
        for name in ("replace", "fsync", "unlink"):
            real = getattr(os, name)
            setattr(os, name, lambda *a, real=real, **k: self.step(lambda: real(*a, **k)))
        real_open, killer = Path.open, self

        class Stream(io.FileIO):
            def write(self, data):
                data = memoryview(data).cast("B")
                super().write(data[: len(data) // 2])
                return killer.step(lambda: io.FileIO.write(self, data[len(data) // 2 :]))

        def open_killably(path, mode="r", *a, **k):
            return Stream(path, "wb") if mode == "wb" else real_open(path, mode, *a, **k)

        Path.open = open_killably


def add_images(folder, tell=lambda _saved: None):
    """Add all images in twos, and tell how many are saved."""
    with CacheWriter(folder, SPACE) as writer:
        for start in range(0, IMAGES, 2):
            stop = min(start + 2, IMAGES)
            writer.add(DIGESTS[start:stop], ROWS[start:stop])
            tell(stop)


def killed_at(folder, step):
    """Fill the cache in a child that dies at a step; return the number of saved images, -1 if it
    was not killed."""
    reader, told = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            Killer(step).arm()
            add_images(folder, lambda saved: os.write(told, bytes([saved])))
        os._exit(0)
    os.close(told)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as stream:
        saved = stream.read()
    if os.WIFSIGNALED(status):
        return saved[-1] if saved else 0
    assert len(FeatureCache(folder, SPACE)) == IMAGES
    return -1


def problem_after(folder, saved):
    """Return what is wrong with a cache of a killed process; empty if nothing is."""
    cache = FeatureCache(folder, SPACE, max_checked=10**6)
    if cache.refused:
        return f"damaged: {cache.refused[0].reason}"
    numbers = cache.find(as_digests(DIGESTS))
    if (numbers[:saved] < 0).any():
        return "saved rows are lost"
    present = np.flatnonzero(numbers >= 0)
    if (cache.read(numbers[present]) != ROWS[present]).any():
        return "wrong rows"
    add_images(folder)
    files = sorted(path.name for path in cache.folder.iterdir())
    if len(FeatureCache(folder, SPACE)) != IMAGES or len(files) != 1 + 3:
        return f"the next run leaves {files}"
    is_right = (CachedRows(folder, SPACE, DIGESTS)[:] == ROWS).all()
    return "" if is_right else "wrong rows after the next run"


def problems(folder, steps):
    """Return the problems after kills at ``steps``, and the number of steps of a whole run, if one
    of them lies beyond."""
    found = []
    for step in steps:
        cache = folder / str(step)
        saved = killed_at(cache, step)
        if saved < 0:
            return found, step
        if problem := problem_after(cache, saved):
            found.append(problem)
        shutil.rmtree(cache)
    return found, None


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(writer_module, "SHARD_ROWS", 10)
    monkeypatch.setattr(writer_module, "FLUSH_S", 0.0)


def test_some_steps_leave_whole_shards_and_the_next_run_completes_them(tmp_path):
    found, _ = problems(tmp_path, range(0, 100, 14))
    assert found == []


@pytest.mark.slow
def test_every_step_leaves_whole_shards_and_the_next_run_completes_them(tmp_path):
    found, steps = problems(tmp_path, range(1000))
    assert found == []
    assert steps
    sys.stdout.write(f"killed at each of {steps} calls\n")


def test_control_writing_in_place_is_caught(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def in_place(path):
        with path.open("wb") as stream:
            yield stream

    monkeypatch.setattr(atomic, "replacing", in_place)
    found, _ = problems(tmp_path, range(0, 20, 3))
    assert any("damaged" in problem for problem in found)


@pytest.mark.slow
def test_control_removing_before_merging_is_caught(tmp_path, monkeypatch):
    def remove_then_write(folder, space, digests, blocks):
        merged = set(map(bytes, digests))
        for path in folder.glob("*.features"):
            if merged >= set(map(bytes, open_shard(path).digests)):
                path.unlink()
        return write_shard(folder, space, digests, blocks)

    monkeypatch.setattr(writer_module, "write_shard", remove_then_write)
    found, _ = problems(tmp_path, range(20, 60, 2))
    assert "saved rows are lost" in found
