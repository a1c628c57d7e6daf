"""Encoder and head in one graph, for each form of image that an encoder may take."""

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import WIDTH, image_model

from dgaal_cli.artifacts.feature_job import FeatureJob
from dgaal_cli.artifacts.verify_artifact import prepare
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.onnx_file import from_bytes
from dgaal_cli.errors import CheckFailedError
from exporters.feature_graph import LinearHead
from exporters.manifest import BY_ENCODER, EncoderFacts, Manifest, TensorInfo
from exporters.spec import ExportSpec

HEAD = LinearHead(
    mean=np.linspace(-1, 1, WIDTH, dtype=np.float32),
    deviation=np.linspace(20, 40, WIDTH, dtype=np.float32),
    weights=np.cos(np.arange(3 * WIDTH, dtype=np.float32)).reshape(3, WIDTH),
    bias=np.float32([0.5, 0, -0.5]),
)
FORMS = {
    "color first": ({}, EncoderConfig()),
    "color last": ({"shape": ("N", 16, 16, 3)}, EncoderConfig()),
    "BGR, raw values": (
        {},
        EncoderConfig(channel_order="BGR", mean=(104, 117, 123), deviation=(1,), pixel_max=255),
    ),
    "gray": ({"shape": ("N", 1, 16, 16)}, EncoderConfig()),
    "whole numbers": (
        {"shape": ("N", 1, 16, 16), "dtype": TensorProto.UINT8},
        EncoderConfig(),
    ),
    "a map": ({"outputs": ("map",)}, EncoderConfig()),
}


def outputs(rows, *, ranks_by="margin"):
    logits = rows @ HEAD.weights.T + HEAD.bias
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    third, second, _ = np.sort(probabilities, axis=1).T
    scores = {
        "margin": 2 * second + third,
        "least-confidence": second + third,
        "entropy": -(probabilities * np.log(probabilities)).sum(axis=1),
    }
    return {"score": scores[ranks_by], "probabilities": probabilities, "features": rows}


def info(name, *lengths, dtype="float32"):
    return TensorInfo(name=name, shape=("N", *lengths), dtype=dtype, meaning="")


def job_of(model, settings, *, score="margin", computed="margin"):
    encoder = from_bytes(model, settings, image_size=32, channels=3)
    manifest = Manifest(
        role="sampler",
        method="margin",
        input_size=16,
        channels=3,
        inputs=(info("images", 16, 16, 3, dtype="uint8"),),
        outputs=(info("score"), info("probabilities", 3), info("features", WIDTH)),
        resize_rule=BY_ENCODER,
        encoder=EncoderFacts(
            source="m.onnx", digest="0" * 64, licence="", share=0, interpolation="bilinear"
        ),
    )
    return FeatureJob(
        spec=ExportSpec(manifest=manifest),
        encoder=encoder,
        encoder_file=model,
        head=HEAD,
        score=computed,
        outputs=lambda rows: outputs(rows, ranks_by=score),
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_computes_what_encoder_and_head_compute(form):
    options, settings = FORMS[form]
    made = prepare(job_of(image_model(**options), settings), "onnx", device="cpu")
    assert made.largest_difference < 1e-4
    assert made.artifact.manifest.encoder is not None


@pytest.mark.parametrize("score", ["margin", "least-confidence", "entropy"])
def test_each_score_is_computed_in_the_graph(score):
    job = job_of(image_model(), EncoderConfig(), score=score, computed=score)
    assert prepare(job, "onnx", device="cpu").largest_difference < 1e-4


def test_another_score_than_that_of_the_method_is_noticed():
    job = job_of(image_model(), EncoderConfig(), score="margin", computed="entropy")
    with pytest.raises(CheckFailedError, match="'score' differs"):
        prepare(job, "onnx", device="cpu")
