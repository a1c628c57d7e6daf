"""Rounds in memory: arrays of images and labels, and a function that answers queries.

For notebooks and simulations::

    config = config_for(images, {"method": "margin", "preset": "tiny"})
    rounds = InMemoryRounds(config, images, ["cat", "dog"], oracle=lambda asked: truth[asked.rows])
    for _ in range(5):
        rounds.train()
        print(rounds.accuracy())
        rounds.ask(rounds.choose(20))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.features.standardized import StandardizedRows
from dgaal_cli.ids import ItemId, Row
from dgaal_cli.methods.base import Method, SyntheticBatch
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.rounds.dataset import PoolSnapshot, RoundDataset, SyntheticRecords, round_dataset
from dgaal_cli.rounds.engine import (
    ChosenQuery,
    EarlierRound,
    LastAnswers,
    TrainedRound,
    choose_query,
    train_round,
)
from dgaal_cli.rounds.synthetic_pool import SyntheticPool
from dgaal_cli.rounds.unlabelable_synthetics import UnlabelableCount
from dgaal_cli.task_heads.refit import PoolHeads
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.training import checkpoint
from dgaal_cli.training.classifier import accuracy
from dgaal_cli.training.device import pick_device
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.runner import Runner

Targets = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedImages:
    """The Q images of a query: first images of the pool, then synthetic ones."""

    rows: npt.NDArray[np.int64]
    """int64 ``(Q,)``: rows of the pool; -1 for a synthetic image."""
    pixels: npt.NDArray[np.uint8]
    """``(Q, S, S, C)``."""


Oracle = Callable[[AskedImages], Targets]
"""Answers a query with targets ``(Q, ...)``; a blank one, -1 for a class, means "cannot tell"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredQuery:
    """A query with its answers."""

    rows: list[Row] = field(default_factory=list[Row])
    """Asked rows of the pool, first pick first."""
    synthesized: int = 0
    """Number of synthetic images asked."""
    cannot_tell: int = 0
    """Number of synthetic images answered with "cannot tell"."""


def config_for(pixels: npt.NDArray[np.uint8], settings: Mapping[str, Any]) -> Config:
    """Build a configuration for images in memory.

    Args:
        pixels: uint8 ``(N, S, S, C)``: square, S a side that the encoder supports.
        settings: As in ``dgaal.toml``, without the pool: method, preset, seed, query and so on.

    Raises:
        ConfigError: A key or value is wrong.
    """
    _, size, _, channels = pixels.shape
    pool = {"source": "memory", "image_size": size, "channels": channels}
    return build_configuration({**settings, "pool": pool})


class InMemoryRounds:
    """Rounds of one method on one pool: train, then ask.

    Args:
        config: Method, seed, networks, query; its pool is not read.
        pixels: uint8 ``(N, S, S, C)``.
        class_names: K names.
        oracle: Answers queries.
        labels: ``(N, ...)`` initial targets, -1 elsewhere; None for none.
        groups: Group ``(N,)`` of each image, which is held out as a whole; None: no groups.
        test: Images and targets to measure on, not used for training; None holds out some of the
            labels, as a workspace does.
        features: Features of the pool and of the test images, if networks learn from features.
        encoder: The configured encoder, if it is loaded already.
        is_test_hidden: The caller measures: no label is held out, and methods get no test images.
        run_title: Method and seed, for messages; empty uses the method's name.
        name: Maps an image to its sample id, for messages.
        after_stop: End of the message after a stop by a signal: what is saved.
        emit: Listener for progress.
    """

    def __init__(  # noqa: PLR0913 - the options of a pool
        self,
        config: Config,
        pixels: npt.NDArray[np.uint8],
        class_names: Sequence[str],
        *,
        oracle: Oracle,
        labels: Targets | None = None,
        groups: npt.NDArray[np.int64] | None = None,
        test: tuple[npt.NDArray[np.uint8], Targets] | None = None,
        features: tuple[StandardizedRows, StandardizedRows | None] | None = None,
        encoder: Encoder | None = None,
        is_test_hidden: bool = False,
        run_title: str = "",
        name: Callable[[ItemId], str] = str,
        after_stop: str = "nothing of it is saved",
        emit: Emit = ignore,
    ) -> None:
        self.config, self.task = config, load_task(config.task).learning(len(class_names))
        self._pixels, self._class_names = pixels, list(class_names)
        self._oracle, self._test, self._is_test_hidden = oracle, test, is_test_hidden
        self._features, self._test_features = (None, None) if features is None else features
        self._encoder = encoder
        self.heads: PoolHeads | None = None
        """The task model of ``classifier.head``; None on pixels, and for a linear head."""
        if self._features is not None and config.classifier.head != "linear":
            own = self._features.stored
            self.heads = PoolHeads(own, len(class_names), config.classifier.head, groups)
        self._first_of_group = None if groups is None else _first_items(groups)
        self.run_title = run_title or config.method
        self._name, self._after_stop, self._emit = name, after_stop, emit
        self.targets = self.task.blank(len(pixels)) if labels is None else labels.copy()
        self.is_labeled = self._is_known(self.targets)
        self.is_usable = np.ones(len(pixels), dtype=bool)
        _, size, _, channels = pixels.shape
        self.synthesized = SyntheticPool.empty(
            size, channels, self.task, first_id=len(pixels) + 1, features=self._features
        )
        self._first_labels = self._annotations = int(self.is_labeled.sum())
        self._device = pick_device(config.device)
        self._last, self._unlabelable, self._had_labels = LastAnswers(), UnlabelableCount(), False
        self._earlier: EarlierRound | None = None
        self.number = 0
        self.method: Method | None = None
        self.dataset = self._read()

    def train(self, *, will_ask: bool = True) -> TrainedRound:
        """Train the round; ``will_ask=False`` trains only what the task model needs.

        Raises:
            InterruptedRunError: A signal requested a stop.
            CheckFailedError: A loss is not finite.
        """
        trained = train_round(self, self._start, will_ask=will_ask, emit=self._emit)
        self.method = trained.method
        return trained

    def accuracy(self) -> float | None:
        """Return T's accuracy, 0..1; None if T is not trained or no image is measured on."""
        data = self.dataset.data
        if self.method is None or not data.can_learn:
            return None
        return accuracy(self.method.classifier, data)[0]

    def choose(self, count: int | None = None, *, synthetic: int = 0) -> ChosenQuery:
        """Choose the next images; see ``engine.choose_query``."""
        method = self._trained()
        return choose_query(self, method, count=count, synthetic=synthetic, emit=self._emit)

    def ask(self, chosen: ChosenQuery) -> AnsweredQuery:
        """Let the oracle answer, and start the next round with its answers."""
        data, method = self.dataset.data, self._trained()
        picks, synthetic = chosen.ranking.picks, chosen.synthetic
        rows = np.asarray(picks, dtype=np.int64)
        count = sum(len(each.images.pixels) for each in synthetic)
        pixels = [data.pixels[rows], *(each.images.pixels for each in synthetic)]
        asked_rows = np.concatenate([rows, np.full(count, -1)])
        answers = self._oracle(AskedImages(rows=asked_rows, pixels=np.concatenate(pixels)))
        is_answered = self._is_known(answers)
        is_pool_answered, is_synthetic_answered = np.split(is_answered, [len(rows)])
        labeled = rows[is_pool_answered]
        self.targets[labeled] = answers[: len(rows)][is_pool_answered]
        self.is_labeled[labeled] = True
        self.is_usable[rows[~is_pool_answered]] = False
        self.synthesized.promote(chosen.ranking.promoted)
        start = len(rows)
        for each in synthetic:
            part = slice(start, start + len(each.images.pixels))
            self.synthesized.add(each.images, answers[part], is_answered[part], is_inherited=False)
            start = part.stop
        self._annotations += len(answers)
        self._unlabelable = UnlabelableCount(
            judged=count, unlabelable=int((~is_synthetic_answered).sum())
        )
        new_rows = [Row(int(row)) for row in np.sort(labeled)]
        self._last = LastAnswers(rows=new_rows, promoted=list(chosen.ranking.promoted))
        self._had_labels = self._had_labels or len(data.labeled_rows) > 0
        self._earlier = EarlierRound(
            number=self.number,
            method=method.name,
            has_same_classes=True,
            tensors=lambda: checkpoint.module_tensors(method.modules),
        )
        self.number += 1
        self.dataset = self._read()
        return AnsweredQuery(
            rows=list(picks), synthesized=count, cannot_tell=self._unlabelable.unlabelable
        )

    def earlier_round(self) -> EarlierRound | None:
        """Return the previous round."""
        return self._earlier

    def last_answers(self) -> LastAnswers:
        """Return the answers of the last query; empty after their copies are added."""
        return self._last

    def add_copies(self, copies: SyntheticBatch, is_doubtful: Mask) -> None:
        """Store the copies that are not doubtful."""
        inherited = self.targets[np.asarray(copies.parents, dtype=np.int64)]
        self.synthesized.add(copies, inherited, ~is_doubtful, is_inherited=True)
        self._last = LastAnswers()

    def synthetic(self) -> SyntheticRecords:
        """Return the synthetic images."""
        return self.synthesized.records

    def annotations(self) -> int:
        """Count the answers so far, and the initial labels."""
        return self._annotations

    def count_unlabelable(self) -> UnlabelableCount:
        """Count the unlabelable synthetic images of the last query."""
        return self._unlabelable

    def _read(self) -> RoundDataset:
        pixels, targets = self._test or (None, None)
        pool = PoolSnapshot(
            number=self.number,
            item_ids=[ItemId(row + 1) for row in range(len(self.targets))],
            pixels=self._pixels,
            task=self.task,
            targets=self.targets.copy(),
            is_labeled=self.is_labeled.copy(),
            is_usable=self.is_usable.copy(),
            class_names=self._class_names,
            synthetic=self.synthesized.records,
            first_labels=self._first_labels,
            had_labels=self._had_labels,
            has_test=self._is_test_hidden or targets is not None,
            first_of_group=self._first_of_group,
            test_pixels=pixels,
            test_targets=targets,
            features=self._features,
            test_features=self._test_features,
            heads=self.heads,
        )
        dataset = round_dataset(pool, self.config, self._device, self._encoder)
        self._encoder = dataset.shape.encoder
        return dataset

    def _start(self, method: Method, phases: list[Phase], _is_compiled: bool) -> Runner:  # noqa: FBT001
        return Runner(
            modules=method.modules,
            phases=phases,
            seed=self.config.seed,
            number=self.number,
            emit=self._emit,
            run_title=self.run_title,
            name=self._name,
            after_stop=self._after_stop,
        )

    def _trained(self) -> Method:
        if self.method is None:
            raise UsageError("nothing is trained yet; call train() first")
        return self.method

    def _is_known(self, targets: Targets) -> Mask:
        return ~self.task.is_equal(targets, self.task.blank(len(targets)))


def _first_items(groups: npt.NDArray[np.int64]) -> list[ItemId]:
    """Return the first image of each image's group; items are numbered by row, from 1."""
    _, rows, group = np.unique(groups, return_index=True, return_inverse=True)
    return [ItemId(row + 1) for row in rows[group].tolist()]
