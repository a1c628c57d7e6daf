"""Export jobs of a round on features: the encoder and the task model's head in one file."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dgaal_cli.artifacts.feature_job import FeatureJob, Outputs
from dgaal_cli.config.schema import Config
from dgaal_cli.data.decode_stream import decode_to
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.encoders.registry import encoder_file, load_encoder
from dgaal_cli.errors import UsageError
from dgaal_cli.features.compute import space_of
from dgaal_cli.features.fill import square_shape
from dgaal_cli.methods.task_model_only import ClassifierSampler
from dgaal_cli.methods.uncertainty import ConfidenceSampler, EntropySampler, MarginSampler
from dgaal_cli.networks.classifier import Classifier, linear_head
from dgaal_cli.networks.deploy import Deployed, DeployedClassifier
from dgaal_cli.rounds.load_round import LoadedRound
from dgaal_cli.rounds.state import METRICS_NAME, read_record
from dgaal_cli.workspace import Workspace
from exporters.feature_graph import LinearHead, Score
from exporters.manifest import BY_ENCODER, EncoderFacts, Manifest, TensorInfo
from exporters.spec import DEFAULT_TOLERANCE, ExportSpec

_SCORES: dict[type[Deployed], Score] = {
    MarginSampler: "margin",
    ConfidenceSampler: "least-confidence",
    EntropySampler: "entropy",
}
"""Samplers that rank by the task model alone."""
_COMPARED = 64
"""Pool images for the comparison of the file with this process."""
_QUANTILES = 101


def check_feature_export(config: Config, formats: "list[str]", *, is_quantized: bool) -> None:
    """Check that a file with encoder and task model can be written as requested.

    Raises:
        UsageError: It cannot.
    """
    source = config.encoder.source
    if "torchscript" in formats:
        raise UsageError(
            f"TorchScript was requested, but a file with encoder '{source}' is written as ONNX "
            "only; use --onnx"
        )
    if is_quantized:
        raise UsageError(
            f"--int8 was requested, but the sampler contains encoder '{source}', which is not "
            "quantized here; leave --int8 out"
        )
    if config.features.crop == "tiles":
        raise UsageError(
            "features.crop is 'tiles', whose five squares of an image do not fit into a file with "
            "one input; set it to squash or center, and train again"
        )


def why_no_feature_sampler(config: Config, trained: LoadedRound) -> str:
    """Return why the round's sampler is not exported; empty if it is."""
    if any(type(module) in _SCORES for module in trained.method.deploy(trained.bench.data)):
        return ""
    return (
        f"'{config.method}' has no sampler on features that can be exported; margin, "
        "least-confidence and entropy have one"
    )


def feature_jobs(workspace: Workspace, config: Config, trained: LoadedRound) -> list[FeatureJob]:
    """Return an export job for the task model, and one for the sampler if there is one."""
    data = trained.bench.data
    if not data.can_learn or data.features is None:
        return []
    found = load_encoder(
        config.encoder, image_size=config.pool.image_size, channels=config.pool.channels
    )
    if not isinstance(found, PretrainedEncoder):
        raise UsageError(
            f"encoder '{config.encoder.source}' has no ONNX file, so it cannot be exported; "
            "use package:, timm: or FILE.onnx"
        )
    content = encoder_file(config.encoder)
    images = _squares(workspace, config, trained, found)
    jobs: list[FeatureJob] = []
    for module in trained.method.deploy(data):
        score = _SCORES.get(type(module))
        if score is None and not isinstance(module, DeployedClassifier):
            continue
        assert isinstance(module, DeployedClassifier | ClassifierSampler)
        outputs = _outputs_of(module)
        manifest = _manifest(workspace, config, trained, module, found, outputs)
        jobs.append(
            FeatureJob(
                spec=_spec(manifest, images, outputs(np.asarray(data.features[:_COMPARED]))),
                encoder=found,
                encoder_file=content,
                head=_head(module.classifier, data.features.mean, data.features.deviation),
                score=score,
                outputs=outputs,
            )
        )
    return jobs


def _outputs_of(module: DeployedClassifier | ClassifierSampler) -> Outputs:
    classifier = module.classifier.cpu().eval()

    def outputs(rows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        with torch.inference_mode():
            x = torch.from_numpy(rows)
            logits, features = classifier(x)
            found = {
                "logits": logits,
                "probabilities": torch.softmax(logits, dim=1),
                "features": features,
            }
            if isinstance(module, ClassifierSampler):
                found["score"] = module.score(x, logits, features)
        return {name: value.numpy() for name, value in found.items()}

    return outputs


def _head(classifier: Classifier, mean: Any, deviation: Any) -> LinearHead:
    layer = linear_head(classifier)
    return LinearHead(
        mean=mean,
        deviation=deviation,
        weights=layer.weight.detach().cpu().numpy(),
        bias=layer.bias.detach().cpu().numpy(),
    )


def _spec(manifest: Manifest, images: Pixels, values: dict[str, Any]) -> ExportSpec:
    """Allow larger differences of outputs with larger numbers."""
    largest = {name: max(1.0, float(np.abs(values[name]).max())) for name in values}
    tolerances = {each.name: DEFAULT_TOLERANCE * largest[each.name] for each in manifest.outputs}
    return ExportSpec(manifest=manifest, images=images, tolerances=tolerances)


def _squares(
    workspace: Workspace, config: Config, trained: LoadedRound, encoder: PretrainedEncoder
) -> Pixels:
    """Return evenly spaced images of the pool as the encoder takes them."""
    items = trained.bench.items
    chosen = items[:: max(1, len(items) // _COMPARED)][:_COMPARED]
    source = open_source(config.pool.source, base=workspace.root)
    shape = square_shape(encoder.framing, space_of(encoder, config))
    entries = (source.get(item.sample_id) for item in chosen)
    parts = [each.pixels[each.ok] for each in decode_to(shape, entries, workers=1, chunk=_COMPARED)]
    return np.concatenate(parts)


def _manifest(
    workspace: Workspace,
    config: Config,
    trained: LoadedRound,
    module: Deployed,
    encoder: PretrainedEncoder,
    outputs: Outputs,
) -> Manifest:
    bench = trained.bench
    features = bench.data.features
    assert features is not None
    metrics = read_record(workspace.round_path(trained.number) / METRICS_NAME)
    samples = rendering_of(config.pool).value_range
    framing = square_shape(encoder.framing, space_of(encoder, config)).framing
    assert framing is not None
    values = outputs(np.asarray(features))
    quantiles: list[float] = []
    if module.role == "sampler":
        quantiles = np.quantile(values["score"], np.linspace(0, 1, _QUANTILES)).tolist()
    side = encoder.input_size
    (images,) = module.inputs
    shape = ("N", side, side, 3)
    return Manifest(
        role=module.role,
        method=config.method,
        input_size=side,
        channels=3,
        inputs=(TensorInfo(name="images", shape=shape, dtype="uint8", meaning=images.meaning),),
        outputs=tuple(
            TensorInfo(
                name=each.name,
                shape=("N", *values[each.name].shape[1:]),
                dtype="float32",
                meaning=each.meaning,
            )
            for each in module.outputs
        ),
        resize_rule=BY_ENCODER,
        encoder=EncoderFacts(
            source=config.encoder.source.rpartition("/")[2],
            digest=encoder.digest,
            licence=encoder.licence,
            share=framing.share,
            interpolation=framing.interpolation,
        ),
        classes=tuple(record.name for record in bench.classes),
        class_uids=tuple(record.uid for record in bench.classes),
        score_quantiles=tuple(quantiles),
        dataset_digest=bench.dataset_digest,
        seed=config.seed,
        round=trained.number,
        labels=metrics["labels"],
        accuracy=metrics["accuracy"],
        sample_range=samples,
        schema=1 if samples is None else 2,
    )
