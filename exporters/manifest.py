"""The manifest of an artifact: everything that scoring needs, as one JSON document.

The document is embedded in every exported file, and written next to it as ``manifest.json``. This
module uses only the standard library, so that it can be read before a runtime is imported.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

SCHEMA = 2
"""Latest version of the document that this code reads and writes."""

Role = Literal["sampler", "generator", "classifier", "encoder"]
ROLES: tuple[Role, ...] = get_args(Role)
"""image -> score, image -> new image, image -> class, image -> features."""

BY_ENCODER = "encoder"
"""The resize rule of a model that contains an encoder: as its ``EncoderFacts`` state."""

RESIZE_RULES = ("stretch-bilinear", BY_ENCODER)
"""How an image of another size is resized to the input size."""

SCORE_DIRECTION = "higher = ask first"

MAX_BYTES = 8 * 1024 * 1024
"""Upper bound of the size in bytes; dgaal never writes a larger document."""


class ManifestError(ValueError):
    """The document is missing, malformed, or has a later version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One input or output of an artifact."""

    name: str
    shape: tuple[int | str, ...]
    """``"N"`` is the batch size; all other lengths are fixed."""
    dtype: str
    """``"uint8"`` or ``"float32"``."""
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFacts:
    """What is known of an exported encoder."""

    source: str
    """Encoder that was exported, as in ``encoder.source`` of the configuration."""
    digest: str
    """SHA-256 (hexadecimal) of everything that features depend on; a file exported in float32 has
    that of the encoder it comes from."""
    licence: str
    """Of the weights; empty if unknown."""
    share: float
    """Side of the central square that the encoder's authors use, as a share of the image's shorter
    side, above 0 and at most 1; 0 stretches the whole image."""
    interpolation: str
    """``"bilinear"`` or ``"bicubic"``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole document."""

    role: Role
    method: str
    """Name of the active-learning method that trained the networks."""
    input_size: int
    """Side of the square input in pixels."""
    channels: int
    """1 gray, 3 color."""
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layout: str = "NHWC"
    dtype: str = "uint8"
    value_range: tuple[int, int] = (0, 255)
    """Pixels are passed as decoded; normalization is inside the graph."""
    resize_rule: str = "stretch-bilinear"
    classes: tuple[str, ...] = ()
    """Class names in the order of the probabilities; empty without a task model."""
    class_uids: tuple[str, ...] = ()
    """Class uids in the same order; a renamed class keeps its uid."""
    score_direction: str = SCORE_DIRECTION
    score_quantiles: tuple[float, ...] = ()
    """101 percentiles of the training pool's scores, ascending; empty if unknown."""
    dataset_digest: str = ""
    """Digest of the pool that the networks were trained on."""
    seed: int = 0
    round: int = 0
    labels: int = 0
    """Labeled images, pool and synthetic."""
    accuracy: float | None = None
    """0..1, of the task model on images that were not used for training."""
    precision: str = "float32"
    """``"float32"``, or ``"int8"`` if convolutions are quantized."""
    agreement: Mapping[str, float] = field(default_factory=dict[str, float])
    """Rank agreement of a quantized artifact with the float32 one on held-out images."""
    parity: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict[str, Mapping[str, float]]
    )
    """Batch size -> output -> largest absolute difference from the eager model."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    created: str = ""
    """UTC, ISO 8601."""
    encoder: EncoderFacts | None = None
    """Only for the role "encoder" and the resize rule "encoder", and not in other documents."""
    sample_range: tuple[float, float] | None = None
    """Samples that are black and full brightness, in images of more than 8 bits, signed or
    floating-point; None: as each file states. Only in documents of schema 2."""
    schema: int = 1
    """Version of the document: 2 if it has a range of samples, which earlier code would ignore."""

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the document; equal manifests give equal text."""
        document = asdict(self)
        if self.encoder is None:
            del document["encoder"]
        if self.sample_range is None:
            del document["sample_range"]
        return json.dumps(document, sort_keys=True, indent=indent, allow_nan=False)


def parse(text: bytes | str) -> Manifest:
    """Read a document back.

    Raises:
        ManifestError: It is malformed, inconsistent, or has a later schema.
    """
    if len(text) > MAX_BYTES:
        raise ManifestError("its manifest is too large")
    try:
        document: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestError("its manifest is not a JSON document") from error
    fields = _Fields(document)
    schema = fields.integer("schema")
    if schema > SCHEMA:
        raise ManifestError(
            f"its manifest has schema {schema}, this version reads up to {SCHEMA}; update dgaal"
        )
    return Manifest(
        schema=schema,
        role=cast("Role", fields.text("role")),  # checked in __post_init__
        method=fields.text("method"),
        input_size=fields.integer("input_size"),
        channels=fields.integer("channels"),
        inputs=_tensors(fields.items("inputs")),
        outputs=_tensors(fields.items("outputs")),
        layout=fields.text("layout"),
        dtype=fields.text("dtype"),
        value_range=cast("tuple[int, int]", fields.integers("value_range")),
        resize_rule=fields.text("resize_rule"),
        classes=fields.texts("classes"),
        class_uids=fields.texts("class_uids"),
        score_direction=fields.text("score_direction"),
        score_quantiles=tuple(_number(item) for item in fields.items("score_quantiles")),
        dataset_digest=fields.text("dataset_digest"),
        seed=fields.integer("seed"),
        round=fields.integer("round"),
        labels=fields.integer("labels"),
        accuracy=fields.optional_number("accuracy"),
        precision=fields.text("precision"),
        agreement=_numbers(fields.mapping("agreement")),
        parity={key: _numbers(value) for key, value in fields.mapping("parity").items()},
        versions={key: _text(value) for key, value in fields.mapping("versions").items()},
        created=fields.text("created"),
        encoder=_encoder(fields),
        sample_range=_sample_range(fields) if schema >= 2 else None,
    )


def _encoder(fields: "_Fields") -> EncoderFacts | None:
    if fields.text("role") != "encoder" and fields.text("resize_rule") != BY_ENCODER:
        return None
    own = _Fields(fields.mapping("encoder"))
    return EncoderFacts(
        source=own.text("source"),
        digest=own.text("digest"),
        licence=own.text("licence"),
        share=own.number("share"),
        interpolation=own.text("interpolation"),
    )


def _sample_range(fields: "_Fields") -> tuple[float, float]:
    low, high = (*map(_number, fields.items("sample_range")), math.nan, math.nan)[:2]
    return low, high


def _check(manifest: Manifest) -> None:
    problems = (
        (manifest.schema < 1, "its schema is not a version"),
        (manifest.role not in ROLES, "its role is unknown to this version"),
        (not 1 <= manifest.input_size <= 4096, "its input size is out of range"),
        (manifest.channels not in (1, 3), "it takes neither gray nor color images"),
        (manifest.layout != "NHWC" or manifest.dtype != "uint8", "its image layout is unknown"),
        (tuple(manifest.value_range) != (0, 255), "its pixel range is not 0..255"),
        (manifest.resize_rule not in RESIZE_RULES, "its resize rule is unknown to this version"),
        (manifest.score_direction != SCORE_DIRECTION, "its score direction is unknown"),
        (manifest.precision not in ("float32", "int8"), "its precision is unknown"),
        (len(manifest.classes) != len(manifest.class_uids), "its class list is inconsistent"),
        (len(set(manifest.class_uids)) != len(manifest.class_uids), "it names a class twice"),
        (not _is_scale(manifest.score_quantiles), "its score quantiles are not ascending"),
        (
            (manifest.role == "encoder" or manifest.resize_rule == BY_ENCODER)
            != (manifest.encoder is not None),
            "it describes no encoder",
        ),
        (
            (manifest.schema >= 2) != (manifest.sample_range is not None)
            or not _is_sample_range(manifest.sample_range),
            "its range of samples is not two numbers, the lower first",
        ),
        (not _is_framing(manifest.encoder), "its resize rule is unknown to this version"),
        (not _are_distinct(manifest.inputs), "its inputs are missing or badly named"),
        (not _are_distinct(manifest.outputs), "its outputs are missing or badly named"),
        (
            manifest.accuracy is not None and not 0 <= manifest.accuracy <= 1,
            "its accuracy is not within 0..1",
        ),
    )
    for is_wrong, what in problems:
        if is_wrong:
            raise ManifestError(f"its manifest is invalid: {what}")


def _is_framing(encoder: EncoderFacts | None) -> bool:
    if encoder is None:
        return True
    is_share = 0 <= encoder.share <= 1
    is_digest = len(encoder.digest) == 64 and set(encoder.digest) <= set("0123456789abcdef")
    return is_share and is_digest and encoder.interpolation in ("bilinear", "bicubic")


def _is_sample_range(samples: tuple[float, float] | None) -> bool:
    return samples is None or (len(samples) == 2 and samples[0] < samples[1])


def _is_scale(quantiles: Sequence[float]) -> bool:
    if not quantiles:
        return True
    is_finite = all(math.isfinite(value) for value in quantiles)
    return len(quantiles) == 101 and is_finite and list(quantiles) == sorted(quantiles)


def _are_distinct(tensors: Sequence[TensorInfo]) -> bool:
    names = [tensor.name for tensor in tensors]
    # Names are written into generated code (the model card), so they must be identifiers.
    are_names = all(name.isascii() and name.isidentifier() for name in names)
    return bool(names) and are_names and len(set(names)) == len(names)


def _tensors(documents: list[object]) -> tuple[TensorInfo, ...]:
    return tuple(_tensor(_Fields(document)) for document in documents)


def _tensor(fields: "_Fields") -> TensorInfo:
    shape = tuple(fields.items("shape"))
    is_batched = len(shape) > 0 and shape[0] == "N"
    if not is_batched or not all(_is_length(side) for side in shape[1:]):
        raise ManifestError("its manifest is invalid: a shape is not (N, fixed lengths)")
    dtype = fields.text("dtype")
    if dtype not in ("uint8", "float32"):
        raise ManifestError("its manifest is invalid: a data type is unknown")
    return TensorInfo(
        name=fields.text("name"),
        shape=cast("tuple[int | str, ...]", shape),
        dtype=dtype,
        meaning=fields.text("meaning"),
    )


def _is_length(side: object) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= 2**31


class _Fields:
    """Typed access to a JSON object; a wrong type raises a ManifestError that names the key."""

    def __init__(self, document: object) -> None:
        self._document = _object(document)

    def text(self, key: str) -> str:
        return _text(self._get(key), key)

    def integer(self, key: str) -> int:
        return _integer(self._get(key), key)

    def items(self, key: str) -> list[object]:
        value = self._get(key)
        if not isinstance(value, list):
            raise ManifestError(f"its manifest has no list {key!r}")
        return cast("list[object]", value)

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(_text(item, key) for item in self.items(key))

    def integers(self, key: str) -> tuple[int, ...]:
        return tuple(_integer(item, key) for item in self.items(key))

    def mapping(self, key: str) -> dict[str, Any]:
        return _object(self._get(key))

    def number(self, key: str) -> float:
        return _number(self._get(key))

    def optional_number(self, key: str) -> float | None:
        value = self._get(key)
        return None if value is None else _number(value)

    def _get(self, key: str) -> object:
        if key not in self._document:
            raise ManifestError(f"its manifest lacks {key!r}")
        return self._document[key]


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError("its manifest has a list or a value instead of an object")
    return cast("dict[str, Any]", value)


def _text(value: object, key: str = "versions") -> str:
    if not isinstance(value, str):
        raise ManifestError(f"its manifest has no text {key!r}")
    return value


def _integer(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ManifestError(f"its manifest has no whole number {key!r}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ManifestError("its manifest has another value instead of a number")
    try:
        number = float(value)
    except OverflowError as error:
        raise ManifestError("its manifest has a number that is too large") from error
    if not math.isfinite(number):
        raise ManifestError("its manifest has a number that is not finite")
    return number


def _numbers(document: object) -> dict[str, float]:
    return {key: _number(value) for key, value in _object(document).items()}


def _refuse_constant(name: str) -> float:
    raise ValueError(name)
