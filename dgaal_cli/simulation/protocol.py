"""One trial: one method and one seed, in memory, under the same protocol for all methods.

All methods have the same first labels, initial weights of T, augmentation and number of steps. T is
trained from scratch each round, every label is counted, and test images are hidden from methods.
This follows the fair-comparison rules of Munjal et al. 2022 and Lueth et al. 2023.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli import events
from dgaal_cli.events import Emit
from dgaal_cli.ids import ItemId, Row
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.rounds.engine import TrainedRound, images_left, trains
from dgaal_cli.rounds.in_memory import AnsweredQuery, AskedImages, InMemoryRounds
from dgaal_cli.simulation.guessing import measure_guesses
from dgaal_cli.simulation.model_oracle import ModelOracle, train_on_all, train_oracle
from dgaal_cli.simulation.plan import FULL_DATA, LINEAR_HEAD, Arm, Plan, config_of
from dgaal_cli.simulation.pool import (
    LabeledPool,
    absent_at_start,
    first_rows,
    held_out_rows,
    rows_of_seed,
)
from dgaal_cli.simulation.records import Absent, RoundRecord, Seconds
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.training.classifier import predict
from dgaal_cli.training.compiling import compile_networks
from dgaal_cli.training.data import Inputs, RoundData
from dgaal_cli.training.device import use_threads, useful_threads
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.runner import run_phases
from dgaal_cli.training.seeds import numpy_generator
from dgaal_cli.training.task import Prediction

Targets = npt.NDArray[Any]
AFTER_STOP = "finished trials are kept, the same command runs the others"


def run_trial(
    plan: Plan, arm: Arm, *, seed: int, pool: LabeledPool, emit: Emit = events.ignore
) -> Iterator[RoundRecord]:
    """Run all rounds of one method and seed, one record each.

    Raises:
        UsageError: The pool is too small, or a class or setting is unknown.
        InterruptedRunError: A signal requested a stop.
        CheckFailedError: A loss is not finite, or a method asked images that it must not ask.
    """
    trial = _Trial(plan, arm, seed=seed, pool=pool, emit=emit)
    for number in range(plan.rounds + 1):
        record = trial.round(number)
        yield record
        if record.is_last:
            return


def measure_full_data(plan: Plan, *, seed: int, pool: LabeledPool) -> RoundRecord:
    """Train T on the oracle's labels of the whole pool, as an upper reference of accuracy."""
    trial = _Trial(plan, Arm(method=REFERENCE), seed=seed, pool=pool)
    began = time.perf_counter()
    data, task = trial.rounds.dataset.data, trial.rounds.task
    network = train_on_all(trial.config, data, trial.answers, run_title=f"all labels {seed}")
    seconds = time.perf_counter() - began
    predictions = task.decide(predict(network, trial.test_inputs, data.device))
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
        accuracy=task.measure(predictions, trial.test_labels),
        confusion=task.confusion(trial.test_labels, predictions).tolist(),
        seconds=Seconds(classifier=seconds, networks=0.0, sampling=0.0),
        is_last=True,
    )


class _Trial:
    """The measured rounds of one method and seed. Rows are those of the seed's pool."""

    def __init__(
        self, plan: Plan, arm: Arm, *, seed: int, pool: LabeledPool, emit: Emit = events.ignore
    ) -> None:
        self.plan, self.arm, self.pool = plan, arm, pool
        _, size, _, channels = pool.pixels.shape
        # The base configuration has no settings of the arm; it trains T of the fair comparison.
        self.config, self.base_config = (
            config_of(plan, each, seed=seed, image_size=size, channels=channels)
            for each in (arm, Arm(method=REFERENCE, settings=(LINEAR_HEAD,)))
        )
        use_threads(self.config.threads, useful=useful_threads(self.config))
        self.kept = rows_of_seed(plan, pool, seed)
        self.truth: Targets = pool.truth[self.kept]
        is_whole = len(self.kept) == len(pool.truth)
        absent = absent_at_start(plan, pool, seed)
        first = first_rows(plan, self.truth, absent, seed)
        self.answers: Targets = plan.oracle_noise.answers(
            self.truth,
            ids=[pool.ids[int(row)] for row in self.kept],
            class_names=pool.class_names,
            generator=numpy_generator(seed, "noise"),
        )
        labels = load_task(self.config.task).learning(len(pool.class_names)).blank(len(self.truth))
        labels[first] = self.answers[first]
        existing, present = set(self.truth.tolist()), set(self.truth[first].tolist())
        self.absent = sorted(existing - present)
        self.oracle: ModelOracle | None = None
        held = held_out_rows(plan, pool, seed)
        self.test_labels = pool.test_labels if held is None else pool.truth[held]
        features = None if pool.features is None else pool.features.of_seed(self.kept, held)
        test_pixels = pool.test_pixels if held is None else pool.pixels[held]
        self.test_inputs: Inputs = test_pixels if features is None else features[1]
        self.test_rows = None if features is None else features[1].stored
        self.rounds = InMemoryRounds(
            self.config,
            pool.pixels if is_whole else pool.pixels[self.kept],
            pool.class_names,
            oracle=self._answer,
            labels=labels,
            groups=pool.groups[self.kept],
            features=features,
            encoder=None if pool.features is None else pool.features.encoder,
            is_test_hidden=True,
            run_title=f"{arm.label}, seed {seed}",
            name=self._name,
            after_stop=AFTER_STOP,
            emit=emit,
        )

    def round(self, number: int) -> RoundRecord:
        """Train, measure, and ask the next query unless this is the last round."""
        rounds, data = self.rounds, self.rounds.dataset.data
        annotations, task = rounds.annotations(), data.task
        inherited = rounds.synthesized.promoted_count
        learned = len(data.labeled_rows) + int(data.synthetic.is_labeled.sum())
        is_last = number == self.plan.rounds or not images_left(rounds)
        trained = rounds.train(will_ask=not is_last)
        method = trained.method
        is_plain = self._is_plain(trained, data) and not inherited
        is_wrong = data.is_labeled & ~task.is_equal(data.targets, self.truth)
        trained_t = self._predict_test(method.classifier, data)
        fair = trained_t if is_plain else self._predict_test(self._plain(data), data)
        own = self._predict_by_heads(data)
        if own is None and not is_plain:
            own = trained_t
        truth = self.test_labels
        health, answered, guesses = {}, AnsweredQuery(), None
        chosen = None
        if not is_last:
            health = method.health(data)
            size = min(self.plan.size_of(number), images_left(rounds))
            chosen = rounds.choose(size)
            if self.plan.guesses and data.can_learn:
                prediction = self._predict_pool(method.classifier, data)
                picks = chosen.ranking.picks
                guesses = measure_guesses(prediction, data.targets, picks, self.answers)
            answered = rounds.ask(chosen)
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
            system_accuracy=None if own is None else task.measure(own, truth),
            is_guessing=not data.can_learn,
            strategy=chosen.ranking.strategy if chosen else "",
            queried=[int(self.kept[row]) for row in answered.rows],
            synthesized=answered.synthesized,
            cannot_tell=answered.cannot_tell,
            guesses=guesses,
            absent=self._enrichment(answered.rows, data.is_labeled) if number == 0 else None,
            health={k: v if np.isfinite(v) else None for k, v in health.items()},
            confusion=task.confusion(truth, fair).tolist() if is_last else None,
            seconds=_seconds(trained, sampling=chosen.seconds if chosen else 0.0),
            is_last=is_last,
        )

    def _is_plain(self, trained: TrainedRound, data: RoundData) -> bool:
        """Return whether T has the reference network and only the reference phases."""
        method, phases = trained.method, trained.runner.phases
        plain = fresh_method(self.base_config, self.rounds.dataset.shape, number=data.number)
        reference = _training_of(plain.classifier, plain.learn(data))
        return (
            type(method.classifier) is type(plain.classifier)
            and all(method.modules[name] is not method.classifier for name in method.carried)
            and replace(self.config.classifier, head="linear") == self.base_config.classifier
            and self.config.network.classifier_width == self.base_config.network.classifier_width
            and _training_of(method.classifier, phases) == reference
        )

    def _plain(self, data: RoundData) -> Classifier:
        """Train the reference T on the asked labels, to measure the effect of selection alone."""
        method = fresh_method(self.base_config, self.rounds.dataset.shape, number=data.number)
        method.classifier.to(data.device)
        compile_networks({"classifier": method.classifier}, self.config.compile, data.device)
        asked_only = replace(data, synthetic=self.rounds.synthesized.asked_images())
        run_phases(
            method.learn(asked_only),
            seed=data.seed,
            number=data.number,
            run_title=f"{self.rounds.run_title}, plain T",
            name=self._name,
            after_stop=AFTER_STOP,
        )
        return method.classifier

    def _name(self, item: ItemId) -> str:
        """Return the sample id of an image; ids of synthetic images follow those of the pool."""
        row = item - 1
        if row >= len(self.kept):
            return f"synthesized image {row - len(self.kept) + 1}"
        return str(self.pool.ids[int(self.kept[row])])

    def _answer(self, asked: AskedImages) -> Targets:
        """Answer a query; the model oracle labels synthetic images."""
        is_synthetic = asked.rows < 0
        answers = self.rounds.task.blank(len(asked.rows))
        answers[~is_synthetic] = self.answers[asked.rows[~is_synthetic]]
        if is_synthetic.any():
            answers[is_synthetic] = self._answer_synthetic(asked.pixels[is_synthetic])
        return answers

    def _answer_synthetic(self, pixels: npt.NDArray[np.uint8]) -> Targets:
        """Let the model oracle answer, with noise; recorded labels have none for these images."""
        if self.oracle is None:
            self.oracle = train_oracle(
                self.base_config,
                self.rounds.dataset.data,
                self.truth,
                confidence=self.plan.oracle_confidence,
            )
        answers, is_known = self.oracle.answer(pixels)
        noise, known = self.plan.oracle_noise, np.flatnonzero(is_known)
        if noise.applies_to_synthetic:
            answers = answers.copy()
            answers[known] = noise.answers(
                answers[known],
                ids=(),
                class_names=self.pool.class_names,
                generator=numpy_generator(
                    self.config.seed, "noise of drawings", self.rounds.annotations()
                ),
            )
        answers[~is_known] = self.rounds.task.blank(int((~is_known).sum()))
        return answers

    def _predict_test(self, network: Classifier, data: RoundData) -> Targets:
        """Return T's predictions, or a guess while T cannot learn."""
        if not data.can_learn:
            return data.task.guess(data, len(self.test_labels))
        return data.task.decide(predict(network, self.test_inputs, data.device))

    def _predict_by_heads(self, data: RoundData) -> Targets | None:
        """Return the predictions of the task model on features; None if T is a linear head only."""
        if data.heads is None or self.test_rows is None or not data.can_learn:
            return None
        model = data.heads.fit(data.training_classes)
        probabilities = model.probabilities(self.test_rows)
        points = model.graph.project(self.test_rows)
        return data.task.decide(Prediction(probabilities=probabilities, features=points))

    def _predict_pool(self, network: Classifier, data: RoundData) -> Prediction:
        """Return what a person would see: the guesses of the configured task model."""
        if data.heads is None:
            return predict(network, data.inputs, data.device)
        model = data.heads.fit(data.training_classes)
        return Prediction(probabilities=model.pool_probabilities(), features=model.graph.points)

    def _enrichment(self, rows: Sequence[Row], is_labeled: npt.NDArray[np.bool_]) -> Absent | None:
        if not self.absent or not len(rows):
            return None
        is_absent = np.isin(self.truth, self.absent)
        return Absent(
            classes=[self.pool.class_names[k] for k in self.absent],
            share=float(is_absent[np.asarray(rows)].mean()),
            base_rate=float(is_absent[~is_labeled].mean()),
        )


def _seconds(trained: TrainedRound, *, sampling: float) -> Seconds:
    runner, network = trained.runner, trained.method.classifier
    own = {phase.name for phase in runner.phases if trains(phase, network)}
    classifier = sum(value for name, value in runner.seconds.items() if name in own)
    networks = sum(runner.seconds.values()) - classifier + trained.synthesis_s
    return Seconds(classifier=classifier, networks=networks, sampling=sampling)


def _training_of(network: Classifier, phases: Sequence[Phase]) -> list[tuple[str, str, int, int]]:
    """Return name, title, steps and number of networks of each phase that trains T."""
    own = [phase for phase in phases if trains(phase, network)]
    return [(phase.name, phase.title, phase.steps, len(phase.networks)) for phase in own]
