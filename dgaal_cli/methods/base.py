"""The ``Method`` protocol, its data types, and functions that all methods may use."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.ids import Row
from dgaal_cli.methods.random_order import random_scores
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed
from dgaal_cli.networks.pixels import denormalize
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.task import LearningTask

MAX_SAMPLES = 24
"""Synthetic images of a round that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskShape:
    """Encoder and task that a method's networks must fit."""

    encoder: Encoder
    task: LearningTask

    @property
    def image_size(self) -> int:
        """Side of the images in pixels."""
        return self.encoder.image_size

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return self.encoder.channels

    @property
    def width(self) -> int:
        """Numbers in a row of a pretrained encoder's features; 0 if networks learn from pixels."""
        return 0 if self.encoder.name == "pixels" else self.encoder.dimension

    def task_model(self, config: Config) -> Classifier:
        """Build a task model T with fresh weights."""
        return self.encoder.task_model(config, self.task.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticBatch:
    """Images that a method synthesized, before anything checked them."""

    pixels: np.ndarray
    """uint8 ``(M, S, S, C)``."""
    parents: list[Row]
    """Parent of each image; -1 for an image synthesized from noise alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticQuery:
    """Synthetic images to ask, in this order."""

    images: SyntheticBatch
    scores: np.ndarray
    """float32 ``(M,)``, finite, higher = ask first."""
    reason: str
    """Why the images were synthesized, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The next images to ask. Ranking is timed, so it holds only what choosing needs.

    Rows are positions in the whole pool.
    """

    rows: np.ndarray
    """int64 ``(U,)``: the unlabeled rows."""
    scores: np.ndarray
    """float32 ``(U,)``, in the order of ``rows``, finite, higher = ask first."""
    picks: list[Row]
    """Rows to ask, first pick first; unique, all unlabeled."""
    synthesized: SyntheticQuery | None = None
    """Synthetic images to ask in addition to ``picks``, within the same query size; only methods
    with ``MethodInfo.draws_queries``."""
    promoted: list[int] = field(default_factory=list[int])
    """Positions of the synthetic images that join the labels with their inherited label."""
    strategy: str = ""
    """How the query was filled, for the record."""
    is_random: bool = False
    """The scores are a random order, not a property of the images."""
    reasons: Mapping[Row, str] = field(default_factory=dict[Row, str])
    """Why each pick was chosen, in a few words."""


def ranking_of(
    rows: np.ndarray,
    scores: np.ndarray,
    picks: Iterable[int],
    *,
    strategy: str,
    reason: str,
    promoted: Sequence[int] = (),
) -> Ranking:
    """Build a ranking of ``rows`` in any order, whose picks all have the same reason."""
    chosen = [Row(int(row)) for row in picks]
    order = np.argsort(rows)
    return Ranking(
        rows=rows[order],
        scores=scores[order].astype(np.float32),
        picks=chosen,
        promoted=[*promoted],
        strategy=strategy,
        reasons=dict.fromkeys(chosen, reason),
    )


def ranking_of_typical(
    rows: np.ndarray, positions: Sequence[int], *, why: str, reason: str = "typical of a cluster"
) -> Ranking:
    """Rank typical images of clusters, chosen in this order, before all others of ``rows``."""
    scores = np.zeros(len(rows), np.float32)
    scores[positions] = np.linspace(1.0, 0.5, len(positions), dtype=np.float32)
    strategy = f"typical images of clusters ({why})"
    return ranking_of(rows, scores, rows[positions], strategy=strategy, reason=reason)


class Method:
    """A query method with the networks that it needs; the defaults are without a generator."""

    name: str
    classifier: Classifier
    """The task model T."""
    modules: dict[str, nn.Module]
    """Every network by name; a checkpoint holds them all."""
    carried: frozenset[str] = frozenset()
    """Names of networks that keep their weights from round to round; the others restart."""
    renewed: frozenset[str] = frozenset()
    """Names of networks that restart even if ``network.init`` keeps weights."""

    def learn(self, data: RoundData) -> list[Phase]:
        """Return the phases that train on this round's labels and pool."""
        raise NotImplementedError

    def adapt(self, data: RoundData) -> list[Phase]:
        """Return the phases to run after this round's images are synthesized."""
        return []

    def synthesize(
        self, data: RoundData, parents: Sequence[Row], seed: int
    ) -> SyntheticBatch | None:
        """Synthesize copies of parents; None if the method has no generator."""
        return None

    def sample_images(self, data: RoundData) -> SyntheticBatch | None:
        """Synthesize at most ``MAX_SAMPLES`` images to look at, the same ones in every round.

        They are copies of pool images without noise, or images of fixed latents; None if the method
        has no generator.
        """
        return None

    def rank(self, data: RoundData, count: int, seed: int) -> Ranking:
        """Choose ``count`` unlabeled rows, the same for one seed; the method does not change."""
        raise NotImplementedError

    def health(self, data: RoundData) -> dict[str, float]:
        """Measure whether the networks learned what the method needs."""
        return {}

    def deploy(self, data: RoundData) -> list[Deployed]:
        """Return the networks to export, one per role: the classifier, a sampler, a generator."""
        raise NotImplementedError


def select_top(scores: np.ndarray, rows: np.ndarray, count: int) -> list[Row]:
    """Return the ``count`` rows of highest score; ties keep the order of ``rows``."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [Row(int(row)) for row in rows[order]]


def ranks(values: np.ndarray) -> np.ndarray:
    """Map values to their rank in [0, 1], ties to their mean rank; shape kept."""
    if len(values) < 2:
        return np.zeros(len(values))
    return (mean_ranks(values) - 1) / (len(values) - 1)


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, ties sharing their mean rank; float64, shape kept."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def random_ranking(data: RoundData, count: int, seed: int, *, strategy: str) -> Ranking:
    """Rank the unlabeled rows at random, scores evenly spaced in [0, 1)."""
    rows = data.unlabeled_rows
    scores = random_scores([data.item_ids[int(row)] for row in rows], seed)
    picks = select_top(scores, rows, count)
    return Ranking(rows=rows, scores=scores, picks=picks, strategy=strategy, is_random=True)


def synthetic_batch(images: Tensor, parents: Iterable[int]) -> SyntheticBatch:
    """Convert images ``(M, C, H, W)`` in [-1, 1] and the pool rows of their parents."""
    return SyntheticBatch(
        pixels=denormalize(images).cpu().numpy(), parents=[Row(int(row)) for row in parents]
    )


def item_hashes(item_ids: Sequence[int], number: int) -> np.ndarray:
    """Hash items, differently in each round ``number``; uint64 ``(N,)`` below 2**24."""
    offset = np.uint64((number + 1) * 0xD1B54A32D192ED03 % 2**64)
    ids = np.asarray(item_ids, dtype=np.uint64) + offset  # arrays overflow without a warning
    mixed = (ids ^ (ids >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed >> np.uint64(40)


def by_identity(data: RoundData, rows: np.ndarray) -> np.ndarray:
    """Sort ``rows`` by item, so that clusterings do not depend on the order of the pool."""
    ids = np.asarray(data.item_ids, dtype=np.int64)
    return rows[np.argsort(ids[rows], kind="stable")]
