"""Encoder, task model and sampler of a workspace with features, as export jobs without torch."""

from collections.abc import Callable
from functools import cached_property
from itertools import islice
from typing import Any, cast

import numpy as np

from dgaal_cli.artifacts.feature_head import (
    CoverageScore,
    DistanceScore,
    DoubtScore,
    FeatureHead,
    GradientScore,
    Score,
    Standardization,
)
from dgaal_cli.artifacts.feature_job import FeatureJob
from dgaal_cli.config.schema import Config
from dgaal_cli.data.decode_stream import decode_to
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import open_source
from dgaal_cli.encoders.graph import IMAGES, encoder_graph
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import CachedRows
from dgaal_cli.features.fill import square_shape
from dgaal_cli.features.herding import LANDMARK_PICKS, landmark_score
from dgaal_cli.features.kernel import Floats, Ids, blocks
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.methods.feature_rules import FeatureRule, PoolAnswers
from dgaal_cli.methods.registry import load_feature_rule
from dgaal_cli.rounds.image_groups import group_numbers
from dgaal_cli.rounds.pool_labels import training_columns
from dgaal_cli.rounds.pool_rows import pool_rows, rows_to_compare
from dgaal_cli.store.protocol import Store
from dgaal_cli.task_heads.distill import distill
from dgaal_cli.task_heads.fit import FeatureModel, fit
from dgaal_cli.task_heads.graph_file import cached_graph
from dgaal_cli.workspace import Workspace
from exporters.manifest import BY_ENCODER, EncoderFacts, Manifest, Role, TensorInfo
from exporters.spec import ExportSpec

_COMPARED = 32
"""Pool images for the parity check."""
_QUANTILES = 101
_MAX_SAMPLE = 4096
"""Pool images whose scores give the reference quantiles."""
_TOLERANCE = 1e-4
"""Largest difference of features and logits, as a share of the largest value."""
_MEANINGS = {
    "score": "higher = ask first",
    "logits": "one a class, before softmax",
    "probabilities": "one a class, sums to 1",
    "features": "features of the encoder",
}


def feature_jobs(
    workspace: Workspace,
    config: Config,
    store: Store,
    *,
    emit: Emit,
    network_score: Callable[[Standardization], Score | None] | None = None,
) -> tuple[list[FeatureJob], int]:
    """Fit the task model to the current labels; return the export jobs and the round's number.

    The exported task model is a linear head that was taught by the fitted one; a warning states how
    often both agree. A method without a score of single images has no sampler. ``network_score``
    returns the score of a trained sampler, for methods whose score needs networks.

    Raises:
        UsageError: Fewer than two classes have labels, or ``features.crop`` cannot be exported.
        CheckFailedError: The encoder's file cannot be extended.
    """
    if config.features.crop == "tiles":
        raise UsageError(
            "features.crop is 'tiles', whose five squares of an image do not fit into a file with "
            "one input; set it to squash or center"
        )
    encoder = load_encoder(
        config.encoder, image_size=config.pool.image_size, channels=config.pool.channels
    )
    assert isinstance(encoder, PretrainedEncoder)
    fitted = _Fitted(workspace, config, store, emit)
    images = _images(workspace, config, encoder, fitted.rows)
    query = store.last_query()
    number = 0 if query is None else query.round
    roles: list[tuple[Role, FeatureHead]] = [("classifier", FeatureHead(fitted.distilled, None))]
    score = fitted.score()
    if score is None and network_score is not None:
        score = network_score(fitted.standardization)
    if score is None:
        emit(
            Warned(
                message=f"'{config.method}' does not score single images by features, so it has no "
                "sampler; 'dgaal score' needs one, for example of dgaal or margin"
            )
        )
    else:
        roles.insert(0, ("sampler", FeatureHead(fitted.distilled, score)))
    agreement = fitted.distilled.agreement
    emit(
        Warned(
            message=f"the exported task model is a linear head that agrees with the fitted one on "
            f"{agreement:.1%} of {fitted.distilled.compared} images"
        )
    )
    return [
        _job(config, encoder, fitted, role, head, images=images, number=number)
        for role, head in roles
    ], number


class _Fitted:
    """The task model of the current labels."""

    def __init__(self, workspace: Workspace, config: Config, store: Store, emit: Emit) -> None:
        self._config = config
        self.classes = list(store.classes())
        items = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
        every = np.array([item.item_id for item in items], np.int64)
        labels = training_columns(config, store, self.classes, every)
        if len(np.unique(labels[labels >= 0])) < 2:
            raise UsageError(
                "nothing to export yet: the task model needs labels of two classes; label more "
                "images with 'dgaal label'"
            )
        positions, self.rows = pool_rows(workspace, config, items, emit=emit)
        self.ids: Ids = every[positions]
        self.labels: Ids = labels[positions]
        self.answered: Ids = np.flatnonzero(~np.isin(self.ids, store.unanswered()))
        self.groups = group_numbers(store, self.ids)
        self.model: FeatureModel = fit(
            self.rows,
            self.labels,
            len(self.classes),
            groups=self.groups,
            graph=cached_graph(self.rows),
            head=config.classifier.head,
        )
        self.distilled = distill(self.model)

    def score(self) -> Score | None:
        """Return what the configured method ranks single images by; None if it does not."""
        rule = load_feature_rule(self._config)
        if rule is not None:
            return self._coverage(rule) if rule.pick in LANDMARK_PICKS else None
        kind = self._config.method
        if kind in ("margin", "entropy", "least-confidence"):
            return DoubtScore(cast("Any", kind), len(self.classes))
        if kind == "badge":
            return GradientScore(self.standardization, len(self.classes))
        if kind == "coreset":
            own = self.standardization
            labeled = np.flatnonzero(self.labels >= 0)
            return DistanceScore(own, own.of(self.rows[labeled].astype(np.float64)))
        return None

    @cached_property
    def standardization(self) -> Standardization:
        """How the features of the pool are standardized."""
        own = StandardizedRows.of_pool(self.rows)
        return Standardization(own.mean.astype(np.float64), own.deviation.astype(np.float64))

    def _coverage(self, rule: FeatureRule) -> CoverageScore:
        compared, weights = rows_to_compare(self.rows, self._config), None
        if rule.weigh is not None:
            known = self.model.pool_probabilities()
            answers = PoolAnswers(
                ids=self.ids, labels=self.labels, probabilities=known, groups=self.groups
            )
            weights = rule.weigh(compared, answers)
        landmarks = landmark_score(rule.pick, compared, self.ids, self.answered, weights=weights)
        return CoverageScore(self.standardization, landmarks)


def _images(
    workspace: Workspace, config: Config, encoder: PretrainedEncoder, rows: CachedRows
) -> Pixels:
    """Return some readable images of the pool as the encoder's squares."""
    source = open_source(config.pool.source, base=workspace.root)
    shape = square_shape(encoder.framing, rows.space)
    entries = islice(source.entries(), _COMPARED)
    found = [
        batch.pixels[batch.ok]
        for batch in decode_to(shape, entries, workers=config.threads, chunk=_COMPARED)
    ]
    images = np.concatenate(found) if found else np.empty(0, np.uint8)
    if not len(images):
        raise InputDataError("no image of the pool can be read; see 'dgaal status'")
    return images


def _job(
    config: Config,
    encoder: PretrainedEncoder,
    fitted: _Fitted,
    role: Role,
    head: FeatureHead,
    *,
    images: Pixels,
    number: int,
) -> FeatureJob:
    graph, features = encoder_graph(encoder, config.encoder)
    outputs = head.add_to(graph, features)
    shape = (encoder.input_size, encoder.input_size, 3)
    body = graph.finish(IMAGES, shape, outputs)
    found = head.run(encoder.encode(images[:8]))
    loose = {
        name: _TOLERANCE * max(1.0, float(np.abs(found[name]).max()))
        for name in ("features", "logits")
        if name in outputs
    }
    samples = rendering_of(config.pool).value_range
    framing = square_shape(encoder.framing, fitted.rows.space).framing
    assert framing is not None
    held_out = fitted.model.held_out
    manifest = Manifest(
        role=role,
        method=config.method,
        input_size=encoder.input_size,
        channels=3,
        inputs=(
            TensorInfo(name=IMAGES, shape=("N", *shape), dtype="uint8", meaning="0..255, RGB"),
        ),
        outputs=tuple(
            TensorInfo(name=name, shape=("N", *own), dtype="float32", meaning=_MEANINGS[name])
            for name, (_, own) in outputs.items()
        ),
        resize_rule=BY_ENCODER,
        encoder=EncoderFacts(
            source=config.encoder.source.rpartition("/")[2],
            digest=encoder.digest,
            licence=encoder.licence,
            share=framing.share,
            interpolation=framing.interpolation,
        ),
        classes=tuple(record.name for record in fitted.classes),
        class_uids=tuple(record.uid for record in fitted.classes),
        score_quantiles=_quantiles(head, fitted.rows) if role == "sampler" else (),
        seed=config.seed,
        round=number,
        labels=int((fitted.labels >= 0).sum()),
        accuracy=None if held_out is None else held_out.accuracy,
        sample_range=samples,
        schema=1 if samples is None else 2,
    )
    spec = ExportSpec(manifest=manifest, images=images, tolerances=loose)
    return FeatureJob(spec=spec, graph=body, encoder=encoder, head=head)


def _quantiles(head: FeatureHead, rows: CachedRows) -> tuple[float, ...]:
    """Return percentiles of the pool's scores, the reference for measuring drift."""
    chosen = np.arange(0, len(rows), max(1, -(-len(rows) // _MAX_SAMPLE)))
    scores: list[Floats] = [
        head.run(rows[chosen[part]])["score"].astype(np.float64) for part in blocks(len(chosen))
    ]
    levels = np.linspace(0.0, 1.0, _QUANTILES)
    return tuple(float(q) for q in np.quantile(np.concatenate(scores), levels))
