"""An encoder that dgaal exported: a sealed ONNX file that describes itself."""

import dataclasses

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders.image_tensor import ImageTensor
from dgaal_cli.encoders.onnx_network import OnnxNetwork
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.errors import ArtifactError, ConfigError
from dgaal_cli.runtime.onnx_session import OnnxModel
from exporters import seal
from exporters.embedded import read_manifest
from exporters.manifest import ManifestError

VECTOR, MAP = "features", "map"
"""Outputs of an exported encoder; not all have a map."""


def read_exported(
    data: bytes, settings: EncoderConfig, *, image_size: int, channels: int
) -> PretrainedEncoder:
    """Build the encoder of a file that contains a manifest.

    Raises:
        ArtifactError: The file is damaged, of a later version, or no encoder.
        ConfigError: A setting contradicts the file.
    """
    name = settings.source
    try:
        seal.check(data, "onnx")
        manifest = read_manifest(data, "onnx")
    except (seal.SealError, ManifestError) as error:
        raise ArtifactError(
            f"{name} was not run: {error}; export it again with 'dgaal encoders export'"
        ) from error
    facts = manifest.encoder
    if facts is None:
        raise ArtifactError(
            f"{name} is a {manifest.role}, but an encoder is needed; write one with "
            "'dgaal encoders export'"
        )
    unset = dataclasses.replace(EncoderConfig(), source=name)
    if name.lower().endswith(".onnx") and settings != unset:
        raise ConfigError(
            f"{name} states how it takes images; leave all settings but 'source' out of [encoder]"
        )
    network = OnnxNetwork(OnnxModel(name=name, data=data))
    shapes = {each.name: each.shape for each in manifest.outputs}
    return PretrainedEncoder(
        settings=settings,
        image_size=image_size,
        channels=channels,
        framing=Framing(manifest.input_size, facts.share, facts.interpolation),
        tensor=ImageTensor(layout="NHWC", dtype="uint8"),
        output=VECTOR,
        network=network,
        map_output=MAP if MAP in shapes else "",
        dimension=int(shapes[VECTOR][1]),
        digest=facts.digest,
        licence=facts.licence,
        size_bytes=len(data),
    )
