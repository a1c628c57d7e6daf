"""One active-learning round, the same for a workspace on disk and for arrays in memory.

A round reads its data, trains the method's networks, synthesizes copies of the last query's images,
ranks the pool and chooses the next query. All its rules are here or in ``dataset``; a ``Workbench``
reads labels and stores images.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from dgaal_cli.config.schema import Config, Init
from dgaal_cli.errors import CheckFailedError, UsageError
from dgaal_cli.events import Emit, Warned, ignore
from dgaal_cli.ids import Row
from dgaal_cli.methods.base import Method, Ranking, SyntheticBatch, SyntheticQuery
from dgaal_cli.methods.fresh import fresh_method, origins_of, set_start_weights
from dgaal_cli.methods.inheritance import doubtful_copies, parents_of_promoted
from dgaal_cli.methods.registry import METHODS, needs_labels
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.rounds.boundary_synthesis import synthesize_at_boundary
from dgaal_cli.rounds.dataset import RoundDataset, SyntheticRecords
from dgaal_cli.rounds.query_size import NOTHING_LEFT, images_to_ask
from dgaal_cli.rounds.unlabelable_synthetics import UnlabelableCount
from dgaal_cli.training.compiling import compile_networks
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.runner import Runner
from dgaal_cli.training.runtime import Runtime
from dgaal_cli.training.seeds import seed_of

UNBOUNDED = 1_000_000_000
"""Images left for methods that synthesize all they ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRound:
    """A trained round whose networks the next one may start from."""

    number: int
    method: str
    has_same_classes: bool
    tensors: Callable[[], Mapping[str, Tensor]]
    """Read its weights."""
    is_newest: bool = True
    """Whether no later round before the next one has a damaged checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAnswers:
    """Answers of the last query that have no synthetic copies yet."""

    rows: Sequence[Row] = ()
    """Pool rows that it asked and that are labeled now, in the order of their ids."""
    promoted: Sequence[int] = ()
    """Positions of the copies that it promoted to labels."""


class Workbench(Protocol):
    """Reads a round's data and stores its results."""

    @property
    def config(self) -> Config:
        """Configuration of the round in this process."""
        ...

    @property
    def dataset(self) -> RoundDataset:
        """The round's data."""
        ...

    @property
    def run_title(self) -> str:
        """Method and further names of this run, for messages."""
        ...

    def earlier_round(self) -> EarlierRound | None:
        """Return the newest trained round before this one, if any."""
        ...

    def last_answers(self) -> LastAnswers:
        """Return the answers of the last query that have no copies yet."""
        ...

    def add_copies(self, copies: SyntheticBatch, is_doubtful: np.ndarray) -> None:
        """Store copies with their parents' targets; doubtful copies are quarantined."""
        ...

    def synthetic(self) -> SyntheticRecords:
        """Return the stored synthetic images."""
        ...

    def annotations(self) -> int:
        """Count the answers so far, including "can't tell"."""
        ...

    def count_unlabelable(self) -> UnlabelableCount:
        """Count the unlabelable synthetic images of the newest query."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRound:
    """A round after its training."""

    method: Method
    runner: Runner
    copies: int
    """Number of copies that became candidates."""
    is_compiled: bool
    synthesis_s: float
    """Seconds for synthesizing the copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenQuery:
    """A query that is chosen, but not stored yet."""

    ranking: Ranking
    at_boundary: SyntheticQuery | None = None
    """Additional images, synthesized near T's boundary."""
    seconds: float
    """Seconds for ranking the pool."""

    @property
    def synthetic(self) -> list[SyntheticQuery]:
        """All synthetic images of the query."""
        return [each for each in (self.ranking.synthesized, self.at_boundary) if each is not None]


Start = Callable[[Method, list[Phase], bool], Runner]
"""Builds the runner from the method, all phases, and whether networks are compiled."""


def train_round(
    bench: Workbench, start: Start, *, will_ask: bool = True, emit: Emit = ignore
) -> TrainedRound:
    """Train the round's networks; between their phases, synthesize copies of the last query.

    The runner may have resumed an interrupted training. If no query follows, only what the task
    model needs is trained.

    Raises:
        UsageError: An earlier round's networks do not fit the method, or a step does not fit into
            memory.
        InterruptedRunError: A signal requested a stop.
        CheckFailedError: A loss is not finite.
    """
    data = bench.dataset.data
    method = start_method(bench, emit)
    is_compiled = compile_networks(method.modules, bench.config.compile, data.device)
    first, second = method.learn(data), method.adapt(data)
    runner = start(method, [*first, *second], is_compiled)
    for message in data.task.gaps(data):
        emit(Warned(message=message))
    if not will_ask:  # T cannot depend on phases after the last one that trains it
        own = [i for i, phase in enumerate(first) if trains(phase, method.classifier)]
        first, second = first[: max(own, default=-1) + 1], []
    runner.run(first)
    began = time.perf_counter()
    copies = synthesize_copies(bench, method, runner.runtime) if will_ask else 0
    synthesis_s = time.perf_counter() - began
    runner.run(second)
    return TrainedRound(
        method=method,
        runner=runner,
        copies=copies,
        is_compiled=is_compiled,
        synthesis_s=synthesis_s,
    )


def start_method(bench: Workbench, emit: Emit) -> Method:
    """Build the method on the device, with the round's initial weights.

    Networks that are trained across rounds continue from the newest sound round; if the classes
    changed, the task model starts from scratch.

    Raises:
        UsageError: The earlier round was trained by another method, whose networks do not fit.
    """
    config, dataset = bench.config, bench.dataset
    number = dataset.data.number
    method = fresh_method(config, dataset.shape, number=number)
    origins = origins_of(method, config)
    if number and set(origins.values()) != {"scratch"}:
        earlier = bench.earlier_round()
        if not (dataset.data.is_first if earlier is None else earlier.is_newest):
            instead = "from scratch" if earlier is None else f"from round {earlier.number}"
            start = f"the networks of round {number} start {instead}"
            emit(Warned(message=f"the checkpoint of a round before it is damaged; {start}"))
        if earlier is not None:
            origins = _origins_after(earlier, method, config, emit)
            set_start_weights(method, earlier.tensors(), origins)
    for module in method.modules.values():
        module.to(dataset.data.device)
    return method


def _origins_after(
    earlier: EarlierRound, method: Method, config: Config, emit: Emit
) -> dict[str, Init]:
    """Return how each network starts from ``earlier``; missing ones start from scratch."""
    if earlier.method != method.name and method.carried:
        raise UsageError(
            f"round {earlier.number} was trained by '{earlier.method}', whose networks "
            f"'{method.name}' cannot continue from; keep the method, or make another workspace"
        )
    if not earlier.has_same_classes and config.classifier.init != "scratch":
        changed = f"classes changed since round {earlier.number}"
        emit(Warned(message=f"{changed}; the task model starts from scratch"))
    return {
        name: how
        for name, how in origins_of(method, config).items()
        if name in method.carried
        or (earlier.has_same_classes and (name == "classifier" or earlier.method == method.name))
    }


def synthesize_copies(bench: Workbench, method: Method, runtime: Runtime) -> int:
    """Synthesize copies of the last query's images; they inherit labels and become candidates.

    Images that T is measured on, now or later, have no copies: T would learn them from the copies.
    Copies whose label T doubts are quarantined.

    Returns:
        Number of copies that became candidates.
    """
    config, dataset = bench.config, bench.dataset
    data = dataset.data
    if not data.can_learn:
        return 0
    count = -1  # no generator
    if runtime.is_main:
        last = bench.last_answers()
        parents = [row for row in last.rows if not dataset.is_to_measure[row]]
        parents += parents_of_promoted(config, data, last.promoted)
        copies = method.synthesize(data, parents, seed_of(config.seed, data.number, "synthesis"))
        if copies is not None:
            is_doubtful = doubtful_copies(method, copies, data, config)
            bench.add_copies(copies, is_doubtful)
            count = int((~is_doubtful).sum())
    count = runtime.agree(count)
    if count < 0:
        return 0
    data.synthetic = bench.synthetic().images(data.is_held_out)
    return count


def choose_query(
    bench: Workbench,
    method: Method,
    *,
    count: int | None = None,
    synthetic: int = 0,
    emit: Emit = ignore,
) -> ChosenQuery:
    """Choose the next images, without storing anything.

    Without a ``count`` of images, ``query.size`` are asked, less near the end of pool or budget;
    ``synthetic`` additional images are synthesized near T's boundary.

    Raises:
        UsageError: More images are requested than available, or synthesis is requested although
            most of the last synthetic images were unlabelable.
        CheckFailedError: The method asks images that it must not ask.
    """
    _check_synthesis(bench, synthetic, emit)
    config, data = bench.config, bench.dataset.data
    if METHODS[config.method].draws_queries and synthetic:
        raise UsageError(
            f"'{config.method}' synthesizes the images that it asks; set their number with -n "
            "instead of --synthetic"
        )
    asked = images_to_ask(
        config,
        left=images_left(bench),
        annotations=bench.annotations,
        count=count,
        synthetic=synthetic,
    )
    seed = seed_of(config.seed, data.number, "query")
    began = time.perf_counter()
    ranking = method.rank(data, asked, seed)
    seconds = time.perf_counter() - began
    check_ranking(ranking, data, asked, run_title=bench.run_title)
    if not ranking.picks and ranking.synthesized is None and not synthetic:
        raise UsageError(NOTHING_LEFT)
    at_boundary = None
    if synthetic:
        at_boundary = synthesize_at_boundary(method, bench.dataset, count=synthetic, seed=seed)
    if not data.can_learn and needs_labels(config):
        why = f"no labels of two classes yet, so {config.method} has nothing to learn from"
        emit(Warned(message=f"{why}; this query: {ranking.strategy}"))
    return ChosenQuery(ranking=ranking, at_boundary=at_boundary, seconds=seconds)


def check_ranking(ranking: Ranking, data: RoundData, count: int, *, run_title: str) -> None:
    """Check that a query asks at most ``count`` different, unlabeled images.

    Raises:
        CheckFailedError: The query breaks a rule.
    """
    synthetic = 0 if ranking.synthesized is None else len(ranking.synthesized.images.pixels)
    picks = set(map(int, ranking.picks))
    if (
        len(picks) < len(ranking.picks)
        or not picks <= set(data.unlabeled_rows.tolist())
        or len(picks) + synthetic > count
    ):
        raise CheckFailedError(
            f"{run_title} asked {len(ranking.picks)} pool images ({len(picks)} different) and "
            f"{synthetic} synthetic ones of {count}, or labeled ones again; this method is broken"
        )


def images_left(bench: Workbench) -> int:
    """Count the images that can still be asked."""
    if METHODS[bench.config.method].draws_queries:
        return UNBOUNDED
    return len(bench.dataset.data.unlabeled_rows)


def _check_synthesis(bench: Workbench, synthetic: int, emit: Emit) -> None:
    """Refuse synthesis for one query if too many of the last synthetic images were unlabelable.

    By the next query the generator is trained again. For methods that ask only synthetic images,
    warn instead.
    """
    found, max_share = bench.count_unlabelable(), bench.config.label.max_junk
    if not found.is_over(max_share):
        return
    share = f"{found.unlabelable} of the last {found.judged} synthetic images were unlabelable"
    if synthetic:
        raise UsageError(
            f"{share}: synthesis pauses for one query; ask this one without --synthetic, or raise "
            f"label.max_junk, which is {max_share:g}"
        )
    method = bench.config.method
    if METHODS[method].draws_queries:
        advice = f"'{method}' asks only synthetic images: consider another method"
        emit(Warned(message=f"{share}; {advice}"))


def trains(phase: Phase, network: Classifier) -> bool:
    """Return whether a phase trains this network."""
    return any(module is network for module in phase.networks.values())
