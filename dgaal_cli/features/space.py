"""What features depend on besides the image."""

import hashlib

import msgspec
import numpy as np

from dgaal_cli.config.schema import Crop, FeatureType


class FeatureSpace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Features of two images can be compared only if they are of one space."""

    encoder: str
    """Digest of the encoder, hexadecimal."""
    crop: Crop
    """How images of other shapes become the encoder's square input."""
    dtype: FeatureType
    """Type of a stored number."""
    dimension: int
    """Numbers in a row."""
    range: tuple[float, float] | None = None
    """``pool.range`` of the images; omitted from the digest if there is none."""

    @property
    def digest(self) -> str:
        """SHA-256 of all properties, hexadecimal."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    @property
    def numpy_dtype(self) -> "np.dtype[np.floating]":
        """Type of a stored number, with the lower byte first on every machine."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def row_bytes(self) -> int:
        """Bytes of a stored row."""
        return self.dimension * self.numpy_dtype.itemsize

    def difference(self, other: "FeatureSpace") -> str:
        """Describe how the features of a file in another space differ."""
        names = {
            "encoder": "encoder",
            "crop": "crop",
            "dtype": "number type",
            "range": "pool.range",
        }
        different = [
            text for name, text in names.items() if getattr(self, name) != getattr(other, name)
        ]
        return f"it holds features of another {' and '.join(different) or 'dimension'}"
