"""HEIC, the photographs of phones, through Pillow's plugin of pillow-heif."""

from typing import Any, cast

import pillow_heif

from dgaal_cli.data.decoders import pillow
from dgaal_cli.data.decoders.base import DecodedImage, Target

cast("Any", pillow_heif).register_heif_opener()


def decode(data: bytes, kind: str, target: Target) -> DecodedImage:  # noqa: ARG001 - not Pillow's
    """Decode the primary image, which the plugin turns upright: see ``base.Decoder``."""
    return pillow.decode(data, "HEIF", target)
