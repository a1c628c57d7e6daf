"""The tensor that a network takes: order of axes and colors, normalization, number type."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dgaal_cli.data.images import Pixels
from dgaal_cli.encoders.base import FloatArray, Normalization

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R 601, as Pillow converts color to gray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTensor:
    """Form of the images in a network's input."""

    layout: Literal["NCHW", "NHWC"]
    channel_order: Literal["RGB", "BGR"] = "RGB"
    channels: int = 3
    """1 gray, 3 color."""
    dtype: Literal["uint8", "float16", "float32"] = "float32"
    normalization: Normalization | None = None
    """In the order of the network's channels; None: the network takes values of 0 to 255."""

    def of(self, images: Pixels) -> npt.NDArray[Any]:
        """Return the tensor of uint8 RGB images ``(N, S, S, 3)``."""
        values: npt.NDArray[Any] = images
        if self.channels == 1:
            values = (images @ LUMINANCE)[..., None]
            values = np.rint(values) if self.dtype == "uint8" else values
        elif self.channel_order == "BGR":
            values = images[..., ::-1]
        gain, offset = self.scale()
        if gain is not None and offset is not None:
            values = values * gain - offset
        if self.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, self.dtype)

    def scale(self) -> tuple[FloatArray | None, FloatArray | None]:
        """Return gain and offset (C,) of the normalization ``values * gain - offset``, if any."""
        if self.normalization is None:
            return None, None
        gain = 1 / (255 * np.asarray(self.normalization.deviation))
        offset = np.asarray(self.normalization.mean) * 255 * gain
        return gain.astype(np.float32), offset.astype(np.float32)
