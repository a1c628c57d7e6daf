"""Keep a neighbor graph beside the features that it was built from, so that it is built once."""

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dgaal_cli import atomic
from dgaal_cli.features.cache import CachedRows, space_folder
from dgaal_cli.task_heads.components import Components
from dgaal_cli.task_heads.graph import NeighborGraph, build_graph

SUFFIX = ".graph"
_VERSION = b"dgaal graph 2"
_DIGEST_BYTES = 32


def cached_graph(rows: CachedRows) -> NeighborGraph:
    """Return the graph of some images of a feature cache; build and keep it if there is none.

    A damaged file is built again.

    Raises:
        StorageError: The graph cannot be written.
    """
    path = space_folder(rows.folder, rows.space) / f"{_key(rows)}{SUFFIX}"
    graph = _read(path)
    if graph is None:
        graph = build_graph(rows)
        atomic.write_bytes(path, _encode(graph))
    return graph


def _key(rows: CachedRows) -> str:
    own = hashlib.sha256(_VERSION + bytes.fromhex(rows.space.digest))
    own.update(rows.digests.tobytes())
    return own.hexdigest()[:24]


def _encode(graph: NeighborGraph) -> bytes:
    data = save(
        {
            "center": graph.components.center,
            "axes": np.ascontiguousarray(graph.components.axes),
            "points": graph.points,
            "neighbors": graph.neighbors,
        }
    )
    return hashlib.sha256(data).digest() + data


def _read(path: Path) -> NeighborGraph | None:
    """Return the graph in a file; None without a file, or if it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    seal, data = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(data).digest() != seal:
        return None
    try:
        arrays = load(data)
        components = Components(arrays["center"], arrays["axes"])
        return NeighborGraph(components, arrays["points"], arrays["neighbors"])
    except (SafetensorError, KeyError):
        return None
