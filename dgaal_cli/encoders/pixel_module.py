"""A network in torch with the input and the outputs of an exported encoder."""

from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor, nn

from dgaal_cli.data.images import Pixels
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.errors import ConfigError


def with_pixels(body: nn.Module, normalization: Normalization) -> nn.Module:
    """Return a module from uint8 images ``(N, S, S, 3)`` to a vector, or to a vector and a map.

    Args:
        body: Normalized images ``(N, 3, S, S)`` to a map ``(N, D, h, w)`` or a vector ``(N, D)``.
        normalization: Of the three colors.
    """
    return _PixelModule(body, normalization).eval().requires_grad_(requires_grad=False)


def run_module(module: nn.Module, images: Pixels) -> dict[str, npt.NDArray[Any]]:
    """Run such a module on uint8 images ``(N, S, S, 3)``; return ``features`` and maybe ``map``.

    Raises:
        ConfigError: The network returns neither vectors nor maps.
    """
    with torch.inference_mode():
        found = module(torch.from_numpy(images))
    values: list[Any] = list(cast("tuple[Any]", found)) if isinstance(found, tuple) else [found]
    if not all(isinstance(value, Tensor) for value in values) or values[0].ndim != 2:
        raise ConfigError(
            "the network returns no vector of each image; choose another encoder, or export it "
            "yourself and give the ONNX file"
        )
    return dict(zip(("features", "map"), (value.numpy() for value in values), strict=False))


class _PixelModule(nn.Module):
    gain: Tensor
    offset: Tensor

    def __init__(self, body: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        deviation = torch.tensor(normalization.deviation).reshape(3, 1, 1)
        mean = torch.tensor(normalization.mean).reshape(3, 1, 1)
        self.register_buffer("gain", 1 / (255 * deviation))
        self.register_buffer("offset", mean / deviation)
        self.body = body

    def forward(self, images: Tensor) -> Any:
        values = self.body(images.permute(0, 3, 1, 2).float() * self.gain - self.offset)
        is_map = isinstance(values, Tensor) and values.ndim == 4
        return (values.mean((2, 3)), values) if is_map else values
