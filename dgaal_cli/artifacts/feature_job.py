"""An export job of encoder, task model and score in one ONNX file, made without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from dgaal_cli.artifacts.feature_head import FeatureHead
from dgaal_cli.encoders.base import Encoder
from exporters.chatter import ExportError
from exporters.embedded import embed
from exporters.manifest import Manifest
from exporters.parity import Run
from exporters.spec import ExportSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureJob:
    """One model to export; see ``verify_artifact.Job``."""

    spec: ExportSpec
    """Its manifest lacks only parity, versions and date."""
    graph: bytes
    """The ONNX file, without a manifest and not sealed."""
    encoder: Encoder
    head: FeatureHead
    """What the file must compute, with ``encoder``, in this process."""

    @property
    def role(self) -> str:
        """``"sampler"`` or ``"classifier"``; the file's name."""
        return self.spec.manifest.role

    def body(self, format_: str, spec: ExportSpec) -> bytes:
        """Return the file, unsealed.

        Raises:
            ExportError: The format is not ONNX.
        """
        if format_ != "onnx":
            raise ExportError(f"a file with an encoder is written as ONNX, not as {format_}")
        return embed(self.graph, spec.manifest, "onnx")

    def reference(self, manifest: Manifest) -> Run:
        """Return a function that runs the encoder and the head in this process."""
        names = [info.name for info in manifest.outputs]

        def run(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            found = self.head.run(self.encoder.encode(inputs["images"]))
            return {name: found[name] for name in names}

        return run
