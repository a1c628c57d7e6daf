"""An encoder with frozen weights: an ONNX network and how it takes images."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.data.images import Pixels, frame
from dgaal_cli.encoders.base import Features, FloatArray
from dgaal_cli.encoders.image_tensor import ImageTensor
from dgaal_cli.encoders.onnx_network import OnnxNetwork, pooled
from dgaal_cli.errors import InputDataError

if TYPE_CHECKING:
    from torch import Tensor

    from dgaal_cli.config.schema import Config
    from dgaal_cli.networks.classifier import Classifier, HeadFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainedEncoder:
    """Runs in ONNX Runtime without torch; only ``features`` and ``task_model`` need torch."""

    settings: EncoderConfig
    """``[encoder]``, with the values that the model states or that were guessed."""
    guesses: tuple[str, ...] = ()
    """Names of the settings that were guessed."""
    image_size: int
    channels: int
    framing: Framing
    tensor: ImageTensor
    output: str
    """Tensor of the network that holds the features."""
    map_output: str = ""
    """Another output, a map whose mean they are; empty without one."""
    network: OnnxNetwork
    dimension: int
    digest: str
    licence: str = ""
    """Of the weights; empty if unknown."""
    size_bytes: int
    """Of the file with the weights."""

    @property
    def name(self) -> str:
        """``encoder.source`` of the configuration."""
        return self.settings.source

    @property
    def input_size(self) -> int:
        """Side S in pixels of the square that ``encode`` takes."""
        return self.framing.side

    def fit(self, image: Pixels) -> Pixels:
        """Return the square ``(S, S, 3)`` of an image ``(H, W, 1 or 3)`` by ``framing``."""
        return frame(image, self.framing)

    def encode(self, images: Pixels) -> FloatArray:
        """Encode uint8 squares ``(N, S, S, 3)``, N >= 0, to ``(N, D)``.

        Raises:
            InputDataError: The network does not accept them.
        """
        return pooled(self._run(images, self.output), self._layout)

    def features(self, pixels: "Tensor") -> Features:
        """Encode uint8 pixels ``(N, H, W, 1 or 3)``, stretched to the input size."""
        import torch

        stretched = Framing(self.input_size, interpolation=self.framing.interpolation)
        squares = [frame(image, stretched) for image in pixels.cpu().numpy()]
        shape = (len(squares), self.input_size, self.input_size, 3)
        images = np.array(squares, np.uint8).reshape(shape)
        values = self._run(images, self.map_output or self.output)
        vector = torch.from_numpy(pooled(values, self._layout)).to(pixels.device)
        if values.ndim != 4:
            return Features(vector=vector)
        first = values if self._layout == "NCHW" else values.transpose(0, 3, 1, 2)
        spatial = torch.from_numpy(np.ascontiguousarray(first, np.float32)).to(pixels.device)
        return Features(vector=vector, map=spatial)

    def task_model(self, config: "Config", head: "HeadFactory") -> "Classifier":  # noqa: ARG002
        """Build a head on the features."""
        from dgaal_cli.networks.feature_model import FeatureModel

        return FeatureModel(head, width=self.dimension)

    @property
    def _layout(self) -> str:
        """Order of the axes of maps."""
        return "NCHW" if self.map_output else self.tensor.layout

    def _run(self, images: Pixels, output: str) -> npt.NDArray[Any]:
        if len(images):
            return run_checked(self.network, images, self.tensor, output, name=self.name)
        black = np.zeros((1, self.input_size, self.input_size, 3), np.uint8)
        return self._run(black, output)[:0]


def run_checked(
    network: OnnxNetwork, images: Pixels, tensor: ImageTensor, output: str, *, name: str
) -> npt.NDArray[Any]:
    """Run a network whose model may not accept the images.

    Raises:
        InputDataError: The runtime reports an error.
    """
    try:
        return network.run(images, tensor, output)
    except Exception as error:  # the runtime raises many unrelated types
        reason = " ".join(str(error).split())[:200]
        raise InputDataError(
            f"encoder {name} cannot encode images of {images.shape[2]} x {images.shape[1]} pixels: "
            f"{reason}; check input_size and layout in [encoder]"
        ) from error


def digest_of(*parts: object) -> str:
    """Return the SHA-256 (hexadecimal) of values with a unique ``repr``."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
