"""An encoder without a network: mean color of the corners of an image."""

import hashlib

import numpy as np

from dgaal_cli.data.decoders.base import Framing


class MeanEncoder:
    """The means of the four quarters of a square, 12 numbers times ``gain``."""

    dimension = 12

    def __init__(self, *, side=8, gain=1.0, share=0.0):
        self.framing = Framing(side, share=share)
        self.digest = hashlib.sha256(repr((side, gain, share)).encode()).hexdigest()
        self.gain = gain
        self.calls = []

    def encode(self, images):
        self.calls.append(len(images))
        half = self.framing.side // 2
        cells = images.reshape(-1, 2, half, 2, half, 3).mean(axis=(2, 4), dtype=np.float32)
        return cells.reshape(-1, self.dimension) * np.float32(self.gain)
