"""An exported encoder with int8 convolutions, kept only if it is faster and agrees."""

import hashlib
import time
from dataclasses import replace

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.images import Pixels
from dgaal_cli.encoders.agreement import FeatureAgreement, compare_features
from dgaal_cli.encoders.exported_file import read_exported
from dgaal_cli.encoders.pretrained import PretrainedEncoder, digest_of
from dgaal_cli.errors import CheckFailedError
from exporters.chatter import ExportError
from exporters.embedded import embed, read_manifest
from exporters.quantize import MIN_SPEARMAN, quantize, split_pool
from exporters.seal import seal

MIN_POOL = 100
"""Fewer images are too few to set ranges and to compare."""
_CALIBRATED = 32
"""Images that set the ranges: every activation of all of them is kept in memory, some 27 MB an
image of 224 x 224 for EfficientNet-Lite0."""
_COMPARED = 200
"""Images that are compared: enough for 20,000 distances."""
_TIMED, _REPEATS = 16, 3


def quantized(data: bytes, images: Pixels, *, name: str) -> tuple[bytes, FeatureAgreement, float]:
    """Return the int8 version of an exported file.

    Args:
        data: A sealed float32 file.
        images: uint8 squares ``(M, S, S, 3)`` of the pool, at least ``MIN_POOL``: one half sets the
            ranges, the other is compared.
        name: For messages.

    Returns:
        The sealed file, its agreement with float32, and its time as a share of float32's.

    Raises:
        CheckFailedError: It ranks distances differently, or is not faster on this machine.
    """
    seen, held_out = split_pool(images)
    held_out = held_out[:_COMPARED]
    manifest = read_manifest(data, "onnx")
    assert manifest.encoder is not None, "the caller exported an encoder"
    try:
        body = quantize(data, seen[:: -(-len(seen) // _CALIBRATED)])
    except ExportError as error:
        raise CheckFailedError(f"no int8 file of {name} was written: {error}") from error
    digest = digest_of("int8", hashlib.sha256(body).hexdigest())
    facts = replace(manifest.encoder, digest=digest)
    draft = replace(manifest, precision="int8", encoder=facts, parity={})
    small, exact = (_open(each, name) for each in (seal(embed(body, draft, "onnx"), "onnx"), data))
    found = compare_features(exact.encode(held_out), small.encode(held_out))
    if not found.spearman >= MIN_SPEARMAN:
        raise CheckFailedError(
            f"no int8 file of {name} was written: it ranks the distances of {found.images} images "
            f"with Spearman {found.spearman:.4f} compared with float32; at least {MIN_SPEARMAN} is "
            "required"
        )
    share = _time_share(small, exact, held_out[:_TIMED])
    if share >= 1:
        raise CheckFailedError(
            f"no int8 file of {name} was written: on this machine it takes {share:.2f} times as "
            "long as float32"
        )
    agreement = {"spearman": found.spearman, "images": float(found.images)}
    final = replace(draft, agreement=agreement)
    return seal(embed(body, final, "onnx"), "onnx"), found, share


def _open(data: bytes, name: str) -> PretrainedEncoder:
    return read_exported(data, EncoderConfig(source=name), image_size=64, channels=3)


def _time_share(small: PretrainedEncoder, exact: PretrainedEncoder, images: Pixels) -> float:
    """Return the ratio of the least times; both are run in turn."""
    best = {id(small): float("inf"), id(exact): float("inf")}
    for _ in range(_REPEATS):
        for each in (small, exact):
            began = time.perf_counter()
            each.encode(images)
            best[id(each)] = min(best[id(each)], time.perf_counter() - began)
    return best[id(small)] / best[id(exact)]
