"""The neighbor graph of a pool, kept in the feature cache."""

from hashlib import sha256

import numpy as np
import pytest

from dgaal_cli.features.cache import CachedRows, space_folder
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter
from dgaal_cli.task_heads import graph_file
from dgaal_cli.task_heads.graph import build_graph
from dgaal_cli.task_heads.graph_file import cached_graph

SPACE = FeatureSpace(encoder="0" * 64, crop="center", dtype="float16", dimension=12)


@pytest.fixture
def digests(tmp_path):
    rows = np.random.default_rng(0).standard_normal((60, 12)).astype(np.float16)
    digests = [sha256(bytes([number])).digest() for number in range(60)]
    with CacheWriter(tmp_path, SPACE) as writer:
        writer.add(digests, rows)
    return digests


def graph_of(folder, digests):
    return cached_graph(CachedRows(folder, SPACE, digests))


@pytest.fixture
def built(monkeypatch):
    """Return a list that grows with each graph that is built."""
    calls = []

    def counted(rows):
        calls.append(len(rows))
        return build_graph(rows)

    monkeypatch.setattr(graph_file, "build_graph", counted)
    return calls


def test_graph_is_built_once(tmp_path, digests, built):
    first = graph_of(tmp_path, digests)
    second = graph_of(tmp_path, digests)
    assert built == [60]
    assert (first.neighbors == second.neighbors).all()
    rows = np.ones((2, 12))
    assert (first.locate(rows, 3) == second.locate(rows, 3)).all()


def test_other_images_have_another_graph(tmp_path, digests, built):
    graph_of(tmp_path, digests)
    assert len(graph_of(tmp_path, digests[:50])) == 50
    assert built == [60, 50]


@pytest.mark.parametrize("position", [0, 40, -1])
def test_damaged_graph_is_built_again(tmp_path, digests, built, position):
    first = graph_of(tmp_path, digests)
    [path] = space_folder(tmp_path, SPACE).glob(f"*{graph_file.SUFFIX}")
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    again = graph_of(tmp_path, digests)
    assert built == [60, 60]
    assert (first.neighbors == again.neighbors).all()


def test_cut_graph_is_built_again(tmp_path, digests, built):
    graph_of(tmp_path, digests)
    [path] = space_folder(tmp_path, SPACE).glob(f"*{graph_file.SUFFIX}")
    path.write_bytes(path.read_bytes()[:20])
    graph_of(tmp_path, digests)
    assert built == [60, 60]


def test_image_of_the_pool_is_its_own_nearest():
    rows = np.random.default_rng(0).standard_normal((60, 12))
    assert build_graph(rows).locate(rows, 1)[:, 0].tolist() == list(range(60))


def test_equal_images_make_a_graph_of_finite_numbers():
    graph = build_graph(np.ones((30, 12), np.float16))
    assert np.isfinite(graph.points).all()
    assert graph.neighbors.shape == (30, 20)
