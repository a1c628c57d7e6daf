"""Export formats by name, as strings: listing them imports nothing."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from exporters.spec import ExportSpec

    Exporter = Callable[[torch.nn.Module, ExportSpec], bytes]

FORMATS = {
    "onnx": "exporters.to_onnx:export",
    "torchscript": "exporters.to_torchscript:export",
}

SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


def load_exporter(format: str) -> "Exporter":  # noqa: A002
    """Import the function that exports (module, spec) to an unsealed file with its manifest.

    Raises:
        KeyError: The format is unknown.
    """
    module, name = FORMATS[format].split(":")
    return getattr(import_module(module), name)
