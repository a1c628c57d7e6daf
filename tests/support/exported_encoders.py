"""Tiny exported encoders, made without torch."""

from onnx import TensorProto
from onnx_models import WIDTH, image_model

from exporters.embedded import embed
from exporters.manifest import EncoderFacts, Manifest, TensorInfo
from exporters.seal import seal

SIDE = 16


def exported_encoder(
    digest: str = "ab" * 32, *, source: str = "package:tiny", share: float = 0.875
) -> bytes:
    """Return a sealed file with the outputs ``features`` and ``map`` of ``image_model``."""
    body = image_model(
        ["N", SIDE, SIDE, 3], outputs=["features", "map"], dtype=TensorProto.UINT8, scale=1 / 255
    )
    shapes = {"features": ("N", WIDTH), "map": ("N", WIDTH, SIDE // 4, SIDE // 4)}
    manifest = Manifest(
        role="encoder",
        method="",
        input_size=SIDE,
        channels=3,
        inputs=(
            TensorInfo(name="images", shape=("N", SIDE, SIDE, 3), dtype="uint8", meaning="images"),
        ),
        outputs=tuple(
            TensorInfo(name=name, shape=shape, dtype="float32", meaning=name)
            for name, shape in shapes.items()
        ),
        encoder=EncoderFacts(
            source=source, digest=digest, licence="MIT", share=share, interpolation="bicubic"
        ),
    )
    return seal(embed(body, manifest, "onnx"), "onnx")
