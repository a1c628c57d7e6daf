"""An export job for a task model on features: encoder and linear head in one ONNX file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.encoders.image_tensor import LUMINANCE, ImageTensor
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from exporters.chatter import ExportError
from exporters.embedded import embed
from exporters.feature_graph import EncoderInput, LinearHead, Score, with_head
from exporters.manifest import Manifest
from exporters.parity import Run
from exporters.spec import ExportSpec

Outputs = Callable[[npt.NDArray[np.float32]], dict[str, npt.NDArray[Any]]]
"""Maps standardized features (n, D) to the named outputs of the task model in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureJob:
    """One model to export; see ``verify_artifact.Job``."""

    spec: ExportSpec
    """Its manifest lacks only parity, versions and date."""
    encoder: PretrainedEncoder
    encoder_file: bytes
    """Its ONNX file."""
    head: LinearHead
    score: Score | None
    """What is ranked by; None for a classifier."""
    outputs: Outputs

    @property
    def role(self) -> str:
        """``"sampler"`` or ``"classifier"``; the file's name."""
        return self.spec.manifest.role

    def body(self, format_: str, spec: ExportSpec) -> bytes:
        """Return the exported file, unsealed.

        Raises:
            ExportError: The format is not ONNX, or the encoder's file takes no head.
        """
        if format_ != "onnx":
            raise ExportError(f"a file with an encoder is written as ONNX, not as {format_}")
        encoder = self.encoder
        side = encoder.input_size
        black = np.zeros((1, side, side, 3), np.uint8)
        model = with_head(
            self.encoder_file,
            self.head,
            output=encoder.output,
            rank=encoder.network.run(black, encoder.tensor, encoder.output).ndim,
            is_last=encoder.tensor.layout == "NHWC",
            images=_input_of(encoder.tensor),
            side=side,
            score=self.score,
        )
        return embed(model, spec.manifest, "onnx")

    def reference(self, manifest: Manifest) -> Run:
        """Return a function that runs the encoder and the task model in this process."""
        names = [info.name for info in manifest.outputs]

        def run(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            rows = self.encoder.encode(inputs["images"])
            found = self.outputs((rows - self.head.mean) / self.head.deviation)
            return {name: found[name] for name in names}

        return run


def _input_of(tensor: ImageTensor) -> EncoderInput:
    gain, offset = tensor.scale()
    return EncoderInput(
        is_first=tensor.layout == "NCHW",
        is_bgr=tensor.channel_order == "BGR",
        to_gray=LUMINANCE if tensor.channels == 1 else None,
        gain=gain,
        offset=offset,
        dtype=tensor.dtype,
    )
