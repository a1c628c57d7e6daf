"""One trial: one method, one seed, in memory, under the protocol that all methods share.

Same first labels, same initial weights of T, same augmentation and number of steps, T from scratch
each round, every label counted, test images that no method sees. It follows the fair-comparison
rules of Munjal et al. 2022 and Lueth et al. 2023, and the order of a workspace's rounds.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dgaal_cli.config.schema import Config
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.errors import CheckFailedError
from dgaal_cli.ids import ItemId, Row
from dgaal_cli.methods.base import Drawn, Method, Ranking, TaskShape
from dgaal_cli.methods.fresh import begin_with, fresh_method, origins_of
from dgaal_cli.methods.inheritance import doubtful_copies, parents_of_promoted
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.simulation.guessing import measure_guesses
from dgaal_cli.simulation.model_oracle import ModelOracle, train_on_all, train_oracle
from dgaal_cli.simulation.noise import noisy_labels, parse_noise
from dgaal_cli.simulation.plan import FULL_DATA, Arm, Plan, config_of
from dgaal_cli.simulation.pool import LabeledPool, absent_at_start, first_rows, rows_of_seed
from dgaal_cli.simulation.records import Absent, Guesses, RoundRecord, Seconds
from dgaal_cli.simulation.synthetic import SyntheticPool
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training import checkpoint
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.compiling import compile_networks
from dgaal_cli.training.data import RoundData, labeling_progress
from dgaal_cli.training.device import pick_device, use_threads, useful_threads
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.precision import pick_precision
from dgaal_cli.training.runner import run_phases
from dgaal_cli.training.seeding import numpy_generator, seed_of
from dgaal_cli.training.task import LearningTask

if TYPE_CHECKING:
    import torch

Targets = npt.NDArray[Any]
AFTER_STOP = "finished trials are kept, the same command goes on with the others"


def run_trial(plan: Plan, arm: Arm, *, seed: int, pool: LabeledPool) -> Iterator[RoundRecord]:
    """Run all rounds of one method and seed, one record each.

    Raises:
        UsageError: The pool is too small, or a class or setting is unknown.
        InterruptedRunError: A signal asked to stop.
        CheckFailedError: A loss is not finite, or a method asked what it must not.
    """
    trial = _Trial.begin(plan, arm, seed=seed, pool=pool)
    for number in range(plan.rounds + 1):
        record = trial.round(number)
        yield record
        if record.is_last:
            return


def measure_full_data(plan: Plan, *, seed: int, pool: LabeledPool) -> RoundRecord:
    """Train T on all labels that the oracle would give, as the line that labeling can reach."""
    trial = _Trial.begin(plan, Arm(method=REFERENCE), seed=seed, pool=pool)
    began = time.perf_counter()
    network = train_on_all(trial.config, trial.data(0), trial.answers, who=f"all labels {seed}")
    seconds = time.perf_counter() - began
    task = trial.task
    answers = task.decide(predict(network, pool.test_pixels, trial.device))
    count = len(trial.truth)
    return RoundRecord(
        arm=FULL_DATA,
        method=REFERENCE,
        seed=seed,
        round=0,
        annotations=count,
        labels=count,
        inherited=0,
        wrong_labels=int((~task.is_equal(trial.answers, trial.truth)).sum()),
        labels_by_class=task.class_counts(trial.answers).tolist(),
        accuracy=task.measure(answers, pool.test_labels),
        confusion=task.confusion(pool.test_labels, answers).tolist(),
        seconds=Seconds(classifier=seconds, networks=0.0, sampling=0.0),
        is_last=True,
    )


@dataclass(slots=True, kw_only=True)
class _Trial:
    """State that rounds hand on. Rows count the seed's pool."""

    plan: Plan
    arm: Arm
    config: Config
    base_config: Config
    """Without the arm's own settings: T of the fair comparison is trained by it."""
    pool: LabeledPool
    kept: npt.NDArray[np.int64]
    """Row of the whole pool for each row."""
    pixels: npt.NDArray[np.uint8]
    truth: Targets
    answers: Targets
    """What the oracle says of each row when it is asked."""
    task: LearningTask
    targets: Targets
    """What it has been asked; blank elsewhere."""
    is_labeled: npt.NDArray[np.bool_]
    device: "torch.device"
    shape: TaskShape
    synthetic: SyntheticPool
    absent: list[int]
    annotations: int
    last_query: list[Row] = field(default_factory=list[Row])
    last_promoted: list[int] = field(default_factory=list[int])
    """Positions among the synthesized images."""
    had_labels: bool = False
    before: "dict[str, torch.Tensor]" = field(default_factory=dict[str, "torch.Tensor"])
    """Weights at the end of the round before."""
    oracle: ModelOracle | None = None

    @classmethod
    def begin(cls, plan: Plan, arm: Arm, *, seed: int, pool: LabeledPool) -> "_Trial":
        config, base_config = (
            config_of(plan, each, seed=seed, image_size=pool.image_size, channels=pool.channels)
            for each in (arm, Arm(method=REFERENCE))
        )
        use_threads(config.threads, useful=useful_threads(config))
        kept = rows_of_seed(plan, pool, seed)
        truth = pool.truth[kept]
        is_whole = len(kept) == len(pool.truth)
        first = first_rows(plan, truth, absent_at_start(plan, pool, seed), seed)
        answers = noisy_labels(
            parse_noise(plan.noise),
            truth,
            ids=[pool.ids[int(row)] for row in kept],
            class_names=pool.class_names,
            generator=numpy_generator(seed, "noise"),
        )
        count = len(pool.class_names)
        task = ClassLearning(count)
        targets, is_labeled = task.blank(len(truth)), np.zeros(len(truth), dtype=bool)
        targets[first], is_labeled[first] = answers[first], True
        shown, present = set(truth.tolist()), set(truth[first].tolist())
        return cls(
            plan=plan,
            arm=arm,
            config=config,
            base_config=base_config,
            pool=pool,
            kept=kept,
            pixels=pool.pixels if is_whole else pool.pixels[kept],
            truth=truth,
            answers=answers,
            task=task,
            targets=targets,
            is_labeled=is_labeled,
            device=pick_device(config.device),
            shape=TaskShape(
                encoder=load_encoder(
                    config.encoder.source, image_size=pool.image_size, channels=pool.channels
                ),
                task=task,
            ),
            synthetic=SyntheticPool.empty(
                pool.image_size, pool.channels, task, first_id=len(truth) + 1
            ),
            absent=[k for k in range(count) if k in shown and k not in present],
            annotations=len(first),
        )

    @property
    def who(self) -> str:
        return f"{self.arm.label}, seed {self.config.seed}"

    def data(self, number: int) -> RoundData:
        """What a method may see: never the truth, never the test images."""
        return RoundData(
            number=number,
            seed=self.config.seed,
            device=self.device,
            precision=pick_precision(self.config.precision, self.device),
            item_ids=[ItemId(row + 1) for row in range(len(self.truth))],
            pixels=self.pixels,
            task=self.task,
            targets=self.targets.copy(),
            is_labeled=self.is_labeled.copy(),
            is_usable=np.ones(len(self.truth), dtype=bool),
            is_held_out=np.zeros(len(self.truth), dtype=bool),
            class_names=self.pool.class_names,
            synthetic=self.synthetic.images(),
            is_first_labeled=bool(self.is_labeled.any()) and not self.had_labels,
            progress=labeling_progress(
                number,
                labeled=int(self.is_labeled.sum()),
                first=self.plan.initial,
                query_size=self.plan.query_size,
                total=len(self.truth),
                budget=self.plan.budget,
            ),
        )

    def round(self, number: int) -> RoundRecord:
        """Train, measure, and ask the next query unless this was the last round."""
        data = self.data(number)
        annotations, task = self.annotations, self.task
        inherited = self.synthetic.inherited_labels
        learned = len(data.labeled_rows) + int(data.synthetic.is_labeled.sum())
        is_last = number == self.plan.rounds or not len(data.unlabeled_rows)
        method, seconds, is_plain = self._train(data, is_last=is_last)
        is_wrong = data.is_labeled & ~task.is_equal(data.targets, self.truth)
        own = self._answers_on_test(method.classifier, data)
        fair = own if is_plain else self._answers_on_test(self._plain(data), data)
        truth = self.pool.test_labels
        left = len(data.unlabeled_rows)
        health = {} if is_last else method.health(data)
        asked = _Asked() if is_last else self._ask(method, data, min(self.plan.query_size, left))
        self.had_labels = self.had_labels or len(data.labeled_rows) > 0
        self.before = {
            key: tensor.detach().clone()
            for key, tensor in checkpoint.module_tensors(method.modules).items()
        }
        return RoundRecord(
            arm=self.arm.label,
            method=self.arm.method,
            seed=self.config.seed,
            round=number,
            annotations=annotations,
            labels=learned,
            inherited=inherited,
            wrong_labels=int(is_wrong.sum()),
            labels_by_class=task.class_counts(data.targets[data.is_labeled]).tolist(),
            accuracy=task.measure(fair, truth),
            system_accuracy=None if is_plain else task.measure(own, truth),
            is_guessing=not data.can_learn,
            strategy=asked.strategy,
            queried=[int(self.kept[row]) for row in asked.rows],
            synthesized=asked.synthesized,
            cannot_tell=asked.cannot_tell,
            guesses=asked.guesses,
            absent=self._enrichment(asked.rows, data.is_labeled) if number == 0 else None,
            health={k: v if np.isfinite(v) else None for k, v in health.items()},
            confusion=task.confusion(truth, fair).tolist() if is_last else None,
            seconds=replace_sampling(seconds, asked.seconds),
            is_last=is_last,
        )

    def _train(self, data: RoundData, *, is_last: bool) -> tuple[Method, Seconds, bool]:
        """Train the method's networks; tells whether its T is the plain one of everybody.

        The last round asks nothing, so what would only choose is not trained: T is the same.
        """
        method = fresh_method(self.config, self.shape, number=data.number)
        if data.number:
            begin_with(method, self.before, origins_of(method, self.config))
        for module in method.modules.values():
            module.to(self.device)
        compile_networks(method.modules, self.config.compile, self.device)
        first, second = method.learn(data), method.adapt(data)
        phases = [*first, *second]
        if is_last:
            first, second = _until_classifier(first, method.classifier), []
        seconds = self._run(first, data, who=self.who)
        began = time.perf_counter()
        if not is_last:
            self._redraw(method, data)
        drawing = time.perf_counter() - began
        seconds |= self._run(second, data, who=self.who)
        own = {p.name for p in phases if _touches(p, method.classifier)}
        classifier = sum(value for name, value in seconds.items() if name in own)
        networks = sum(seconds.values()) - classifier + drawing
        is_plain = self._is_plain(method, phases, data) and not self.synthetic.inherited_labels
        return method, Seconds(classifier=classifier, networks=networks, sampling=0.0), is_plain

    def _is_plain(self, method: Method, phases: Sequence[Phase], data: RoundData) -> bool:
        """Tell whether T is everybody's network and went through everybody's phase alone."""
        plain = fresh_method(self.base_config, self.shape, number=data.number)
        reference = _marks(plain.classifier, plain.learn(data))
        return (
            type(method.classifier) is type(plain.classifier)
            and all(module is not method.classifier for module in self._carried_of(method))
            and self.config.classifier == self.base_config.classifier
            and self.config.network.classifier_width == self.base_config.network.classifier_width
            and _marks(method.classifier, phases) == reference
        )

    @staticmethod
    def _carried_of(method: Method) -> "list[torch.nn.Module]":
        return [method.modules[name] for name in method.carried]

    def _plain(self, data: RoundData) -> Classifier:
        """Train everybody's T on the labels that were asked for: what selection alone is worth."""
        method = fresh_method(self.base_config, self.shape, number=data.number)
        method.classifier.to(self.device)
        compile_networks({"classifier": method.classifier}, self.config.compile, self.device)
        asked_only = replace(data, synthetic=self.synthetic.asked_images())
        self._run(method.learn(asked_only), data, who=f"{self.who}, plain T")
        return method.classifier

    def _run(self, phases: Sequence[Phase], data: RoundData, *, who: str) -> dict[str, float]:
        return run_phases(
            phases,
            seed=data.seed,
            number=data.number,
            who=who,
            name=self._name,
            after_stop=AFTER_STOP,
        )

    def _name(self, item: ItemId) -> str:
        """Sample id of an image; synthesized ones are counted on from the pool's last."""
        row = item - 1
        if row >= len(self.kept):
            return f"synthesized image {row - len(self.kept) + 1}"
        return str(self.pool.ids[int(self.kept[row])])

    def _redraw(self, method: Method, data: RoundData) -> None:
        """Redraw the images of the last query; copies that pass their check become candidates."""
        if not data.can_learn:
            return
        seed = seed_of(data.seed, data.number, "synthesis")
        again = parents_of_promoted(self.config, data, self.last_promoted)
        drawn = method.synthesize(data, [*sorted(self.last_query), *again], seed)
        if drawn is None or not len(drawn.pixels):
            return
        is_doubtful = doubtful_copies(method, drawn, data, self.config)
        self.synthetic.add_copies(drawn, data.targets, is_doubtful)
        data.synthetic = self.synthetic.images()

    def _ask(self, method: Method, data: RoundData, count: int) -> "_Asked":
        began = time.perf_counter()
        ranking = method.rank(data, count, seed_of(data.seed, data.number, "query"))
        seconds = time.perf_counter() - began
        drawn = ranking.synthesized
        self._check_picks(ranking, data, count)
        rows = np.asarray(ranking.picks, dtype=np.int64)
        guesses = self._guesses(method, data, ranking.picks) if self.plan.guesses else None
        self.targets[rows], self.is_labeled[rows] = self.answers[rows], True
        self.synthetic.promote(ranking.promoted)
        cannot_tell = 0
        if drawn is not None and len(drawn.pixels):
            cannot_tell = self._ask_synthesized(drawn)
        synthesized = 0 if drawn is None else len(drawn.pixels)
        self.annotations += len(rows) + synthesized
        self.last_query, self.last_promoted = list(ranking.picks), list(ranking.promoted)
        return _Asked(
            rows=list(ranking.picks),
            strategy=ranking.strategy,
            synthesized=synthesized,
            cannot_tell=cannot_tell,
            guesses=guesses,
            seconds=seconds,
        )

    def _guesses(self, method: Method, data: RoundData, picks: list[Row]) -> Guesses | None:
        if not data.can_learn:
            return None
        said = predict(method.classifier, data.pixels, data.device)
        return measure_guesses(said, data.targets, picks, self.answers)

    def _ask_synthesized(self, drawn: Drawn) -> int:
        if self.oracle is None:
            self.oracle = train_oracle(
                self.base_config, self.data(0), self.truth, confidence=self.plan.oracle_confidence
            )
        answers, is_told = self.oracle.answer(drawn.pixels)
        self.synthetic.add_answered(drawn, self._erring(answers, is_told), is_told)
        return int((~is_told).sum())

    def _erring(self, answers: Targets, is_told: npt.NDArray[np.bool_]) -> Targets:
        """Let the oracle err on drawings as on the pool; recorded labels know no drawings."""
        noise, named = parse_noise(self.plan.noise), np.flatnonzero(is_told)
        if noise.kind in ("none", "recorded"):
            return answers
        erring = answers.copy()
        erring[named] = noisy_labels(
            noise,
            answers[named],
            ids=(),
            class_names=self.pool.class_names,
            generator=numpy_generator(self.config.seed, "noise of drawings", self.annotations),
        )
        return erring

    def _check_picks(self, ranking: Ranking, data: RoundData, count: int) -> None:
        drawn = 0 if ranking.synthesized is None else len(ranking.synthesized.pixels)
        picks = set(map(int, ranking.picks))
        if (
            len(picks) < len(ranking.picks)
            or not picks <= set(data.unlabeled_rows.tolist())
            or len(picks) + drawn > count
        ):
            raise CheckFailedError(
                f"{self.who} asked {len(ranking.picks)} pool images ({len(picks)} different) and "
                f"{drawn} synthesized ones of {count}, or labeled ones again; this method is broken"
            )

    def _answers_on_test(self, network: Classifier, data: RoundData) -> Targets:
        """T's answers, or a guess while T cannot learn."""
        if not data.can_learn:
            return self.task.guess(data, len(self.pool.test_labels))
        return self.task.decide(predict(network, self.pool.test_pixels, self.device))

    def _enrichment(self, rows: Sequence[Row], is_labeled: npt.NDArray[np.bool_]) -> Absent | None:
        if not self.absent or not len(rows):
            return None
        is_absent = np.isin(self.truth, self.absent)
        return Absent(
            classes=[self.pool.class_names[k] for k in self.absent],
            share=float(is_absent[np.asarray(rows)].mean()),
            base_rate=float(is_absent[~is_labeled].mean()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A query with its answers."""

    rows: list[Row] = field(default_factory=list[Row])
    strategy: str = ""
    synthesized: int = 0
    cannot_tell: int = 0
    guesses: Guesses | None = None
    seconds: float = 0.0


def replace_sampling(seconds: Seconds, sampling: float) -> Seconds:
    """Return the times of a round with the time that its query took."""
    return Seconds(classifier=seconds.classifier, networks=seconds.networks, sampling=sampling)


def _marks(network: Classifier, phases: Sequence[Phase]) -> list[tuple[str, str, int, int]]:
    """Name, title, steps and number of networks of the phases that train T."""
    own = [phase for phase in phases if _touches(phase, network)]
    return [(phase.name, phase.title, phase.steps, len(phase.networks)) for phase in own]


def _until_classifier(phases: Sequence[Phase], network: Classifier) -> list[Phase]:
    """Return the phases up to the last one that trains T: what T may depend on."""
    last = max((i for i, phase in enumerate(phases) if _touches(phase, network)), default=-1)
    return list(phases[: last + 1])


def _touches(phase: Phase, network: Classifier) -> bool:
    return any(module is network for module in phase.networks.values())
