"""One active-learning round, the same for a workspace on disk and for arrays in memory.

A round reads its data, trains the method's networks, redraws the images of the last query, ranks
the pool and chooses the next query. Every rule of it is here or in ``dataset``; where labels come
from and where images go is the business of a ``Workbench``.
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
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.rounds.boundary_synthesis import draw_at_boundary
from dgaal_cli.rounds.dataset import RoundDataset, SyntheticRecords
from dgaal_cli.rounds.unlabelable_synthetics import Junk
from dgaal_cli.training.compiling import compile_networks
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.runner import Runner
from dgaal_cli.training.runtime import Runtime
from dgaal_cli.training.seeding import seed_of

UNBOUNDED = 1_000_000_000
"""A generator never runs out of images."""
NOTHING_LEFT = "every image of the pool is answered; there is nothing left to ask"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRound:
    """A trained round whose networks the next one may start with."""

    number: int
    method: str
    has_same_classes: bool
    tensors: Callable[[], Mapping[str, Tensor]]
    """Reads its weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAnswers:
    """What became of the last query, as far as this round has not redrawn it yet."""

    rows: Sequence[Row] = ()
    """Pool rows that it asked and that have a label now, in the order of their ids."""
    promoted: Sequence[int] = ()
    """Positions of the copies that it took as labels."""


class Workbench(Protocol):
    """Where a round reads its data from and leaves what it makes."""

    @property
    def config(self) -> Config:
        """Of the round, as this process sees it."""
        ...

    @property
    def dataset(self) -> RoundDataset:
        """The round's data."""
        ...

    @property
    def who(self) -> str:
        """Method, and what else tells this run from others, for messages."""
        ...

    def earlier_round(self) -> EarlierRound | None:
        """Return the newest trained round before this one; None where there is none."""
        ...

    def last_answers(self) -> LastAnswers:
        """Return what the last query brought."""
        ...

    def add_copies(self, copies: SyntheticBatch, is_doubtful: np.ndarray) -> None:
        """Keep copies of labeled images with their parents' targets; doubtful ones set aside."""
        ...

    def synthetic(self) -> SyntheticRecords:
        """Return the synthesized images as they are kept now."""
        ...

    def annotations(self) -> int:
        """Count the answers given so far, those that nobody could name included."""
        ...

    def newest_junk(self) -> Junk:
        """Judge the synthesized images of the newest query."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRound:
    """A round after its training."""

    method: Method
    runner: Runner
    copies: int
    """Copies that joined the candidates."""
    is_compiled: bool
    redraw_s: float
    """Seconds that drawing the copies took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenQuery:
    """A query before anybody is asked; nothing is stored yet."""

    ranking: Ranking
    at_boundary: SyntheticQuery | None = None
    """Images drawn near T's boundary, to be asked besides."""
    seconds: float
    """That ranking the pool took."""

    @property
    def drawn(self) -> list[SyntheticQuery]:
        """All synthesized images to be asked."""
        return [each for each in (self.ranking.synthesized, self.at_boundary) if each is not None]


Start = Callable[[Method, list[Phase], bool], Runner]
"""Makes the runner of a round from its method, all its phases, and whether it was compiled."""


def train_round(
    bench: Workbench, start: Start, *, will_ask: bool = True, emit: Emit = ignore
) -> TrainedRound:
    """Train the round's networks; between their phases the last query's images are redrawn.

    Args:
        bench: Of the round.
        start: Makes the runner, which may have resumed an interrupted training.
        will_ask: A query follows; False trains only what the task model needs.
        emit: Listener.

    Raises:
        UsageError: An earlier round's networks do not fit the method, or a step not into memory.
        InterruptedRunError: A signal asked to stop.
        CheckFailedError: A loss is not finite.
    """
    data = bench.dataset.data
    method = start_method(bench, emit)
    is_compiled = compile_networks(method.modules, bench.config.compile, data.device)
    first, second = method.learn(data), method.adapt(data)
    runner = start(method, [*first, *second], is_compiled)
    for message in data.task.gaps(data):
        emit(Warned(message=message))
    if not will_ask:
        first, second = _until_classifier(first, method.classifier), []
    runner.run(first)
    began = time.perf_counter()
    copies = redraw_last_query(bench, method, runner.runtime) if will_ask else 0
    redraw_s = time.perf_counter() - began
    runner.run(second)
    return TrainedRound(
        method=method, runner=runner, copies=copies, is_compiled=is_compiled, redraw_s=redraw_s
    )


def start_method(bench: Workbench, emit: Emit) -> Method:
    """Build the method with the weights that its networks start the round with, on the device.

    Networks that learn from round to round continue from the newest sound round before; with other
    classes than it had, the task model starts from scratch.

    Raises:
        UsageError: Another method's networks were trained before, and this one cannot use them.
    """
    config, dataset = bench.config, bench.dataset
    number = dataset.data.number
    method = fresh_method(config, dataset.shape, number=number)
    origins = origins_of(method, config)
    if number and set(origins.values()) != {"scratch"}:
        earlier = bench.earlier_round()
        if earlier is None or earlier.number != number - 1:
            instead = "from scratch" if earlier is None else f"from round {earlier.number}"
            message = (
                f"round {number - 1} has no sound checkpoint; the networks of "
                f"round {number} start {instead}"
            )
            emit(Warned(message=message))
        if earlier is not None:
            set_start_weights(
                method, earlier.tensors(), _origins_after(earlier, method, config, emit)
            )
    for module in method.modules.values():
        module.to(dataset.data.device)
    return method


def _origins_after(
    earlier: EarlierRound, method: Method, config: Config, emit: Emit
) -> dict[str, Init]:
    """Say how each network continues from ``earlier``; those left out start from scratch."""
    if earlier.method != method.name and method.carried:
        raise UsageError(
            f"round {earlier.number} was trained by '{earlier.method}', whose networks "
            f"'{method.name}' cannot continue from; keep the method, or make another workspace"
        )
    if not earlier.has_same_classes and config.classifier.init != "scratch":
        message = (
            f"classes changed since round {earlier.number}; the task model starts from scratch"
        )
        emit(Warned(message=message))
    return {
        name: how
        for name, how in origins_of(method, config).items()
        if name in method.carried
        or (earlier.has_same_classes and (name == "classifier" or earlier.method == method.name))
    }


def redraw_last_query(bench: Workbench, method: Method, runtime: Runtime) -> int:
    """Redraw the images of the last query; copies inherit their labels and become candidates.

    Nothing is drawn from images that T is measured on, now or once there are labels enough: T would
    learn them from their copies. Copies that T doubts are set aside.

    Returns:
        How many copies became candidates.
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
        drawn = method.synthesize(data, parents, seed_of(config.seed, data.number, "synthesis"))
        if drawn is not None:
            is_doubtful = doubtful_copies(method, drawn, data, config)
            bench.add_copies(drawn, is_doubtful)
            count = int((~is_doubtful).sum())
    count = runtime.agree(count)
    if count < 0:
        return 0
    data.synthetic = bench.synthetic().images(data.is_held_out)
    return count


def is_exhausted(bench: Workbench) -> bool:
    """Tell whether nothing is left to ask."""
    return not _images_left(bench)


def choose_query(
    bench: Workbench,
    method: Method,
    *,
    count: int | None = None,
    synthetic: int = 0,
    emit: Emit = ignore,
) -> ChosenQuery:
    """Choose the next images; nothing is stored and nobody asked.

    Args:
        bench: Of the round.
        method: Trained.
        count: Images to ask; None takes ``query.size``, less near the end of pool or budget.
        synthetic: Images to synthesize near T's boundary and ask besides.
        emit: Listener.

    Raises:
        UsageError: More is asked than there is, or images are to be synthesized though the last
            ones were mostly junk.
        CheckFailedError: The method asks what it must not.
    """
    _check_junk(bench, synthetic, emit)
    config, data = bench.config, bench.dataset.data
    asked = _images_to_ask(bench, count, synthetic)
    seed = seed_of(config.seed, data.number, "query")
    began = time.perf_counter()
    ranking = method.rank(data, asked, seed)
    seconds = time.perf_counter() - began
    check_ranking(ranking, data, asked, who=bench.who)
    if not ranking.picks and ranking.synthesized is None and not synthetic:
        raise UsageError(NOTHING_LEFT)
    at_boundary = None
    if synthetic:
        at_boundary = draw_at_boundary(method, bench.dataset, count=synthetic, seed=seed)
    if not data.can_learn and METHODS[config.method].needs_labels:
        message = (
            f"no labels of two classes yet, so {config.method} has nothing to learn "
            f"from; this query: {ranking.strategy}"
        )
        emit(Warned(message=message))
    return ChosenQuery(ranking=ranking, at_boundary=at_boundary, seconds=seconds)


def check_ranking(ranking: Ranking, data: RoundData, count: int, *, who: str) -> None:
    """Check that a query asks different unlabeled images, and no more than ``count``.

    Raises:
        CheckFailedError: It does not.
    """
    drawn = 0 if ranking.synthesized is None else len(ranking.synthesized.images.pixels)
    picks = set(map(int, ranking.picks))
    if (
        len(picks) < len(ranking.picks)
        or not picks <= set(data.unlabeled_rows.tolist())
        or len(picks) + drawn > count
    ):
        raise CheckFailedError(
            f"{who} asked {len(ranking.picks)} pool images ({len(picks)} different) and "
            f"{drawn} synthesized ones of {count}, or labeled ones again; this method is broken"
        )


def _images_left(bench: Workbench) -> int:
    if METHODS[bench.config.method].draws_queries:
        return UNBOUNDED
    return len(bench.dataset.data.unlabeled_rows)


def _images_to_ask(bench: Workbench, count: int | None, synthetic: int) -> int:
    """How many images may be asked; an explicit wish that cannot be met is an error."""
    config, left = bench.config, _images_left(bench)
    if METHODS[config.method].draws_queries and synthetic:
        raise UsageError(
            f"'{config.method}' draws the images that it asks by itself; say how many with -n "
            "instead of --synthetic"
        )
    if left == 0 and not synthetic:
        raise UsageError(NOTHING_LEFT)
    wanted = config.query.size if count is None else count
    budget = config.query.budget
    # Every image costs as many labels as people are asked about it.
    affordable = (
        (budget - bench.annotations()) // config.query.overlap - synthetic if budget else left
    )
    if affordable < (0 if synthetic and not left else 1):
        raise UsageError(
            f"the budget of {budget} labels is spent; raise query.budget in dgaal.toml to go on"
        )
    if count is not None and count > left:
        raise UsageError(f"asked for {count} images, {left} are unlabeled; lower -n")
    if count is not None and count > affordable:
        raise UsageError(
            f"asked for {count} images, the budget leaves {affordable}; lower -n or raise "
            "query.budget"
        )
    return min(wanted, left, affordable)


def _check_junk(bench: Workbench, synthetic: int, emit: Emit) -> None:
    """Let a generator pause for one query when too many of its images could not be named.

    By the query after that, the generator has been trained again. Methods that ask nothing but what
    they draw cannot pause: they are warned about.
    """
    found, most = bench.newest_junk(), bench.config.label.max_junk
    if not found.is_over(most):
        return
    share = f"{found.junk} of the {found.judged} images drawn last could not be told"
    if synthetic:
        raise UsageError(
            f"{share}: synthesis pauses for one query; ask this one without --synthetic, or raise "
            f"label.max_junk, which is {most:g}"
        )
    method = bench.config.method
    if METHODS[method].draws_queries:
        emit(Warned(message=f"{share}; '{method}' asks nothing else: consider another"))


def trains(phase: Phase, network: Classifier) -> bool:
    """Tell whether a phase changes this network."""
    return any(module is network for module in phase.networks.values())


def _until_classifier(phases: Sequence[Phase], network: Classifier) -> list[Phase]:
    """Return the phases up to the last one that trains T: what T may depend on."""
    last = max((i for i, phase in enumerate(phases) if trains(phase, network)), default=-1)
    return list(phases[: last + 1])
