"""Lossless JPEG and JPEG-LS of DICOM through imagecodecs; pydicom and Pillow decode the others."""

from typing import Any

_MODULE = "dgaal_cli.data.decoders.dicom_codecs"
_LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
DECODER_DEPENDENCIES = dict.fromkeys(_LOSSLESS_JPEG, ("numpy", "imagecodecs")) | dict.fromkeys(
    ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"), ("numpy", "imagecodecs")
)
"""Transfer syntaxes and the packages that they need; pydicom reads this name."""


def is_available(uid: str) -> bool:
    """Return whether this module decodes a transfer syntax; pydicom calls it by this name."""
    from importlib.util import find_spec

    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def add_codecs() -> None:
    """Tell pydicom to use this module; calls after the first have no effect."""
    from pydicom.pixels.decoders import base as decoders

    for decoder in (
        decoders.JPEGLosslessDecoder,
        decoders.JPEGLosslessSV1Decoder,
        decoders.JPEGLSLosslessDecoder,
        decoders.JPEGLSNearLosslessDecoder,
    ):
        if "imagecodecs" not in decoder.available_plugins:
            decoder.add_plugin("imagecodecs", (_MODULE, "decode_frame"))


def decode_frame(source: bytes, runner: Any) -> bytes:
    """Decode one frame: pydicom's interface of a plugin."""
    import imagecodecs

    is_jpeg = str(runner.transfer_syntax) in _LOSSLESS_JPEG
    samples = (imagecodecs.ljpeg_decode if is_jpeg else imagecodecs.jpegls_decode)(source)
    allocated = int(runner.bits_allocated) // 8
    return samples.astype(f"<u{allocated}").tobytes()
