"""The encoder ``FILE.onnx``: any ONNX model with one image input.

What the file states is used: shape and type of its input, and the metadata of the ONNX standard
(``Image.BitmapPixelFormat``, ``Image.NominalPixelRange``). ``[encoder]`` states the rest; what
neither states is guessed, and the encoder lists it in ``guesses``.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.encoders.exported_file import read_exported
from dgaal_cli.encoders.image_tensor import ImageTensor
from dgaal_cli.encoders.onnx_network import OnnxNetwork, pooled
from dgaal_cli.encoders.pretrained import PretrainedEncoder, digest_of, run_checked
from dgaal_cli.errors import ArtifactError, ConfigError, InputDataError, check_known
from dgaal_cli.runtime.model_file import read_model
from dgaal_cli.runtime.onnx_session import OnnxModel
from exporters import embedded, onnx_wire

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
"""The normalization of most image models."""
_DEFAULT_SIDE = 224
_DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}
_RANGES = {
    "NominalRange_0_255": Normalization(mean=(0.0,), deviation=(1 / 255,)),
    "Normalized_0_1": Normalization(mean=(0.0,), deviation=(1.0,)),
    "Normalized_1_1": Normalization(mean=(0.5,), deviation=(0.5,)),
}
"""``Image.NominalPixelRange`` of the ONNX standard to what it means."""


def build(settings: EncoderConfig, *, image_size: int, channels: int) -> PretrainedEncoder:
    """Build the encoder: see ``registry.load_encoder``."""
    data = content_of(settings)
    build_from = read_exported if _is_exported(data) else from_bytes
    return build_from(data, settings, image_size=image_size, channels=channels)


def content_of(settings: EncoderConfig) -> bytes:
    """Return the content of the file."""
    path = Path(settings.source)
    return read_model(path, wanted="an ONNX file", remedy="check the path, or export the model")


def _is_exported(data: bytes) -> bool:
    try:
        return any(key == embedded.KEY for key, _ in onnx_wire.metadata(data))
    except onnx_wire.WireError:
        return False


def from_bytes(
    data: bytes, settings: EncoderConfig, *, image_size: int, channels: int
) -> PretrainedEncoder:
    """Build the encoder from the content of a file.

    Raises:
        InputDataError: It is no image model, or needs other files or operators.
        ConfigError: A setting contradicts the model, or the output must be chosen.
    """
    name = settings.source
    try:
        network = OnnxNetwork(OnnxModel(name=name, data=_with_output(data, settings)))
    except (onnx_wire.WireError, ArtifactError) as error:
        raise InputDataError(
            f"{name} cannot be an encoder: {error}; give a self-contained ONNX file"
        ) from error
    stated = _Stated.of(network, dict(onnx_wire.metadata(data)), name)
    _check_outputs(network, name)
    side = stated.pick("input_size", settings.input_size, stated.side, _DEFAULT_SIDE)
    layout = stated.pick("layout", settings.layout, stated.layout, "NCHW")
    order = stated.pick("channel_order", settings.channel_order, stated.order, "RGB")
    tensor = ImageTensor(
        layout=layout,
        channel_order=order,
        channels=stated.channels,
        dtype=stated.dtype,
        normalization=stated.normalization(settings),
    )
    output, framing = network.outputs[0].name, Framing(side)
    black = np.zeros((1, side, side, 3), np.uint8)
    vector = pooled(run_checked(network, black, tensor, output, name=name), layout)
    if not np.isfinite(vector).all():
        raise InputDataError(f"encoder {name} returns numbers that are not finite; use another")
    return PretrainedEncoder(
        settings=_filled(settings, tensor, side, output),
        guesses=tuple(stated.guesses),
        image_size=image_size,
        channels=channels,
        framing=framing,
        tensor=tensor,
        output=output,
        network=network,
        dimension=vector.shape[1],
        digest=digest_of(hashlib.sha256(data).hexdigest(), tensor, framing, output),
        size_bytes=len(data),
    )


def _with_output(data: bytes, settings: EncoderConfig) -> bytes:
    """Check the model and return it with the chosen output as the only one, if one is chosen.

    Raises:
        WireError: It is no model, or needs other files or operators.
        ConfigError: It does not compute the output.
    """
    onnx_wire.refuse_dependencies(data)
    outputs, chosen = onnx_wire.output_names(data), settings.output
    if not chosen or [chosen] == outputs:
        return data
    if chosen not in onnx_wire.computed_names(data):
        problem = f"'encoder.output' is {chosen}, which {settings.source} does not compute"
        check_known(chosen, outputs, problem=problem)
    return onnx_wire.with_output(data, chosen)


def _check_outputs(network: OnnxNetwork, name: str) -> None:
    if len(network.outputs) > 1:
        listed = ", ".join(f"{each.name} {_shape(each.shape)}" for each in network.outputs)
        raise ConfigError(
            f"{name} has {len(network.outputs)} outputs: {listed}; set 'encoder.output' to the one "
            "that holds the features"
        )
    output = network.outputs[0]
    is_float = output.type in ("tensor(float)", "tensor(float16)")
    if not is_float or len(output.shape or (0, 0)) not in (2, 3, 4):
        raise InputDataError(
            f"output {output.name} of {name} is {output.type} {_shape(output.shape)}, no vector, "
            "map or tokens of each image; set 'encoder.output' to another tensor"
        )


def _shape(shape: list[Any]) -> str:
    return "(" + ", ".join(str(side or "?") for side in shape) + ")"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """What a file states of its input; None where it states nothing."""

    name: str
    side: int | None
    layout: str | None
    order: str | None
    channels: Literal[1, 3]
    dtype: Literal["uint8", "float16", "float32"]
    range: Normalization | None
    guesses: list[str] = dataclasses.field(default_factory=list[str])

    @classmethod
    def of(cls, network: OnnxNetwork, metadata: dict[str, bytes], name: str) -> "_Stated":
        """Read shape and type of the only input, and the metadata."""
        listed = ", ".join(f"{each.type} {_shape(each.shape)}" for each in network.inputs)
        problem = InputDataError(
            f"{name} is no image model: it takes {listed or 'nothing'}, not one batch of square "
            "images with 1 or 3 channels; give another file"
        )
        if len(network.inputs) != 1 or len(network.inputs[0].shape) != 4:
            raise problem
        dtype = _DTYPES.get(network.inputs[0].type)
        _, *shape = (side if isinstance(side, int) else None for side in network.inputs[0].shape)
        layout, channels, sides = _axes(shape)
        if dtype is None or channels is None or len(set(sides) - {None}) > 1:
            raise problem
        pixel_format = metadata.get("Image.BitmapPixelFormat", b"").decode(errors="replace")
        nominal = metadata.get("Image.NominalPixelRange", b"").decode(errors="replace")
        return cls(
            name=name,
            side=next((side for side in sides if side), None),
            layout=layout,
            order={"Rgb": "RGB", "Bgr": "BGR"}.get(pixel_format[:3]),
            channels=channels,
            dtype=cast("Any", dtype),
            range=_RANGES.get(nominal),
        )

    def pick(self, key: str, wanted: Any, stated: Any, guess: Any) -> Any:
        """Return the setting, what the file states, or the guess, which is noted.

        Raises:
            ConfigError: The setting contradicts the file.
        """
        is_set = wanted not in (0, "auto")
        if is_set and stated is not None and wanted != stated and key != "channel_order":
            raise ConfigError(
                f"'encoder.{key}' is {wanted}, but {self.name} takes {stated}; leave it out"
            )
        if is_set:
            return wanted
        if stated is None and not (key == "channel_order" and self.channels == 1):
            self.guesses.append(key)
        return guess if stated is None else stated

    def normalization(self, settings: EncoderConfig) -> Normalization | None:
        """Return the normalization in the order of the input's channels; None for raw values."""
        if not (settings.mean or settings.deviation or settings.pixel_max):
            if self.range is not None:
                return self._for_channels(self.range)
            if self.dtype == "uint8":
                return None
            self.guesses.extend(("mean", "deviation"))
            return self._for_channels(IMAGENET)
        if self.dtype == "uint8":
            raise ConfigError(
                f"{self.name} takes whole numbers of 0 to 255; leave mean, deviation and pixel_max "
                "out of [encoder]"
            )
        mean, deviation = settings.mean or (0.0,), settings.deviation or (1.0,)
        white = settings.pixel_max or (255 if max(map(abs, mean)) > 1 else 1)
        return self._for_channels(
            Normalization(
                mean=tuple(value / white for value in mean),
                deviation=tuple(value / white for value in deviation),
            )
        )

    def _for_channels(self, found: Normalization) -> Normalization:
        """Repeat values that hold for all channels; average those of colors for a gray input."""

        def fitted(values: tuple[float, ...]) -> tuple[float, ...]:
            if len(values) == self.channels:
                return values
            return values * 3 if len(values) == 1 else (sum(values) / 3,)

        return Normalization(mean=fitted(found.mean), deviation=fitted(found.deviation))


def _axes(
    shape: list[int | None],
) -> tuple[str | None, Literal[1, 3] | None, tuple[int | None, ...]]:
    """Return layout, channels and the two sides of an input of three axes without the batch.

    The channels are None if the input takes no images.
    """
    first, last = shape[0], shape[-1]
    if first in (1, 3) and last not in (1, 3):
        return "NCHW", first, (shape[1], last)
    if last in (1, 3) and first not in (1, 3):
        return "NHWC", last, (first, shape[1])
    if first is None and last is None:
        return None, 3, (shape[1],)
    return None, None, ()


def _filled(settings: EncoderConfig, tensor: ImageTensor, side: int, output: str) -> EncoderConfig:
    """Return the settings with every value that the encoder uses."""
    own = tensor.normalization
    return dataclasses.replace(
        settings,
        input_size=side,
        layout=tensor.layout,
        channel_order=tensor.channel_order,
        pixel_max=0 if own is None else 1,
        mean=() if own is None else own.mean,
        deviation=() if own is None else own.deviation,
        output=output,
    )
