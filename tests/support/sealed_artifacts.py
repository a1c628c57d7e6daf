"""Exported and sealed files of the small networks, created once per process."""

from functools import cache

from formula_nets import CASES_BY_ROLE

from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import load_engine_bytes
from exporters import seal
from exporters.embedded import embed
from exporters.manifest import Manifest
from exporters.registry import load_exporter


@cache
def sealed(role: str, format_: str) -> bytes:
    """Return the bytes of a valid artifact."""
    case = CASES_BY_ROLE[role]()
    return seal.seal(load_exporter(format_)(case.module, case.spec), format_)


def engine_of(body: bytes, manifest: Manifest) -> Engine:
    """Return an engine that runs an unsealed ONNX body."""
    data = seal.seal(embed(body, manifest, "onnx"), "onnx")
    return load_engine_bytes(data, format="onnx", device="cpu")
