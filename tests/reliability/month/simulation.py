"""One month: a fault meets a command of each family; the model is compared after each command."""

import contextlib
import json
import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from month import faults, sentences
from month.families import FAMILIES, HEAVY, QUICK
from month.forks import Clock, Ended, Plan
from month.model import State
from month.reader import Reading
from month.world import IMAGES, Command, Workers, World, image

HOUR_S = 3600.0
NAMES = ("cat", "cat", "dog", "dog")
"""Classes of the first images."""
REFUSED = (2, 4)
"""Codes of a training that is refused before it begins."""
EXIT_CODES = (0, 2, 3, 4, 5, 6, 7, 8)
"""Documented codes of a command that no signal ended."""


class BrokenPromiseError(Exception):
    """A promise that does not hold, with the commands that led there."""

    def __init__(self, problem: str, log: list[str]) -> None:
        super().__init__(problem)
        self.problem = problem
        self.log = log


@dataclass(kw_only=True)
class Month:
    """The world of one month and the checks after each command."""

    world: World
    counts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Faults that happened, by kind and family."""
    refusals: Counter[str] = field(default_factory=Counter[str])
    """Sentences that were checked."""
    older: list[State] = field(default_factory=list[State])
    """Earlier states that a command which still runs may put into a backup."""

    def run(self, pairs: list[tuple[str, str]], *, limit: int | None = None) -> None:
        """Let faults happen, each to a command of its family, in random order.

        Args:
            pairs: Kinds of faults and families.
            limit: Maximum number of pairs.

        Raises:
            BrokenPromiseError: A promise does not hold.
        """
        self.world.rng.shuffle(pairs)
        for kind, family in pairs[:limit]:
            self.world.clock.wait(self.world.rng.uniform(0.1, 16) * HOUR_S)
            for _ in range(4):  # a fault behind a command's last call does not happen
                self.prepare(family)
                if faults.KINDS[kind](self, family):
                    self.counts[kind, family] += 1
                    break
        self.check_end()

    def make(self, family: str) -> Command:
        """Return a command of a family."""
        return FAMILIES[family](self.world)

    def do(self, command: Command, plan: Plan | None = None) -> Ended:
        """Run a command and check what it left and said."""
        before, files = self.world.state, sentences.files_of(self.world.box)
        done = self.world.run(command, plan)
        self.settle(command, before, done, plan=plan or Plan(), files=files)
        command.clean()
        return done

    def settle(
        self,
        command: Command,
        before: State,
        done: Ended,
        *,
        plan: Plan,
        files: dict[str, tuple[int, int]] | None = None,
        holder: int = 0,
        is_restored: bool = False,
    ) -> None:
        """Check the state that a command left, and adopt it.

        Raises:
            BrokenPromiseError: An answer is missing or changed, or a sentence is not true.
        """
        found = self.world.observe()
        if done.code is not None and done.code >= 0 and done.code not in EXIT_CODES:
            self.fail(f"exit {done.code}: {done.err.strip()[-600:]}")
        if done.code is not None and done.code < -9:
            self.fail(f"ended by signal {-done.code}: {done.err.strip()[-600:]}")
        if self.world.harm not in faults.STORE_HARMS or not found.problem:
            self.compare(command.outcomes(before, done), found, command)
        scene = sentences.Scene(
            world=self.world,
            command=command,
            done=done,
            plan=plan,
            found=found,
            before=before,
            files=files or {},
            holder=holder,
            is_restored=is_restored,
        )
        if problem := sentences.problem_of(scene, self.refusals):
            self.fail(problem)
        if done.code == 0 and (problem := _verified(command, done, found)):
            self.fail(f"{' '.join(command.argv)}: {problem}")
        if command.family == "train":
            self.note_training(command, before, done)

    def note_training(self, command: Command, before: State, done: Ended) -> None:
        """Remember the classes of a training, and its labels if it stopped midway."""
        if done.code in REFUSED:
            return
        if done.code == 0:
            self.world.interrupted, self.world.trained = (), (self.world.state.classes,)
            return
        self.world.trained = (*self.world.trained, before.classes)
        # It may have ended before it removed the files of the one before, which is resumed then;
        # and it starts anew, with the labels of now, if the one before had saved nothing.
        self.world.interrupted = (*self.world.interrupted, before)

    def compare(self, expected: list[State], found: Reading, command: Command) -> None:
        """Adopt the stored state if it is one of the expected ones."""
        if found.problem:
            self.fail(f"the store is damaged: {found.problem}")
        if not any(state.is_met_by(found.state) for state in expected):
            self.fail(_difference(expected or [self.world.state], found.state))
        state = found.state
        verdicts = {image: state.events[n - 1].op for image, n in (found.verdicts or {}).items()}
        if verdicts != {image: event.op for image, event in state.verdicts().items()}:
            self.fail(f"the current labels are {verdicts}, not {state.verdicts()}")
        if found.answers != {pair: number for pair, (number, _) in state.standing().items()}:
            self.fail(f"the current answers are {found.answers}, not {state.standing()}")
        if problem := self.world.note_backups([*self.older, self.world.state, state]):
            self.fail(problem)
        self.world.state = state

    def fail(self, problem: str) -> None:
        """Report a violation."""
        raise BrokenPromiseError(problem, self.world.log)

    # What a command needs

    def prepare(self, family: str) -> None:
        """Run what comes before a command of this family on a good day."""
        if self.world.is_light:
            return
        if family in ("answers", "undo") and not self.world.observe().left:
            self.next_round()
        if family in ("query", "export") and self.world.may_have_other_classes:
            self.do(self.make("train"))
        if family == "query" and self.step() != "query":
            self.do(self.make("train"))

    def next_round(self) -> None:
        """Open a query."""
        self.prepare("query")
        self.do(self.make("query"))

    def step(self) -> str:
        """Return the next step that dgaal names."""
        done = self.do(Command(family="read-only", argv=("status", "--json")))
        return json.loads(done.out)["step"] if done.code == 0 else ""

    def check_end(self) -> None:
        """Check that nothing of the killed commands is left, and that the store is sound."""
        world = self.world
        self.do(Command(family="read-only", argv=("doctor",), is_heavy=True))
        left = [str(path) for path in world.root.rglob(".dgaal-*.tmp")]
        if left:
            self.fail(f"doctor left temporary files of killed commands: {left}")
        self.do(Command(family="read-only", argv=("labels", "check")))


def _verified(command: Command, done: Ended, found: Reading) -> str:
    try:
        return command.verify(done, found)
    except Exception as error:  # noqa: BLE001 - an output that cannot be read is not complete
        return f"its output cannot be read: {error!r}; {done.out[-300:]!r}"


def _difference(expected: list[State], found: State) -> str:
    """Describe how a stored state differs from the last expected one."""
    wished = expected[-1]
    count = 0
    for mine, theirs in zip(wished.events, found.events, strict=False):
        if not mine.is_met_by(theirs):
            break
        count += 1
    return (
        f"events {count + 1}.. are {found.events[count:][:3]} ({len(found.events)} in all), "
        f"expected {wished.events[count:][:3]} ({[len(state.events) for state in expected]}); "
        f"classes {found.classes} {sorted(found.retired)}, "
        f"expected {wished.classes} {sorted(wished.retired)}"
    )


# The start of a month


def make_template(folder: Path, workers: Workers, *, is_light: bool) -> Month:
    """Make the workspace that every month starts with, and let the workers learn its imports."""
    world = World(
        box=folder / "box",
        pool=folder / "pool",
        workers=workers,
        clock=Clock(folder=folder),
        rng=random.Random(0),
        is_light=is_light,
    )
    world.box.mkdir(parents=True)
    world.desk.mkdir()
    month = Month(world=world)
    _draw_pool(world.pool)
    workers.is_learning = True
    option = ("--pool", str(world.pool), "--classes", "cat,dog,owl", "--method", "margin")
    made = Command(family="init", argv=("init", str(world.root), *option))
    first = replace(world, name="..")
    done = first.run(replace(made, argv=(*made.argv, "--preset", "tiny", "-q")))
    assert done.code == 0, done.err
    world.state = world.observe().state
    toml = world.root / "dgaal.toml"
    toml.write_text(toml.read_text().replace("[query]", "[query]\noverlap = 2"))
    month.do(_first_labels(world))
    if is_light:
        _ask_all(world)
    else:
        month.do(Command(family="train", argv=("train", *QUICK, "--device", "cpu"), is_heavy=True))
        month.do(month.make("query"))
        export = ("export", "--onnx", "--torchscript", "--device", "cpu")
        month.do(Command(family="export", argv=export, is_heavy=True))
    for family in FAMILIES:
        if not is_light or family not in HEAVY:
            month.do(month.make(family))
    workers.is_learning = False
    return month


def start(template: Month, folder: Path, *, number: int) -> Month:
    """Return a new month in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    old = template.world
    clock = replace(old.clock, folder=folder)
    world = old.copy_to(folder / "box", clock=clock)
    world.rng = random.Random(number)
    world.calls, world.log = dict(old.calls), []
    world.clock.wait(world.rng.uniform(0, 300) * 24 * HOUR_S)
    return Month(world=world)


def _draw_pool(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    generator = np.random.default_rng(5)
    for number in range(IMAGES):
        pixels = generator.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / image(number))


def _first_labels(world: World) -> Command:
    """Import two labels of each of two classes, so that a task model can be trained."""
    path = world.fresh(".csv")
    path.write_text("file_name,label\n" + "".join(f"{image(n)},{NAMES[n]}\n" for n in range(4)))
    rows = [(image(n), world.state.uid(NAMES[n]) or "") for n in range(4)]
    from month.families import stated

    return Command(
        family="import",
        argv=("labels", "import", str(path), "--annotator", "dan"),
        outcomes=lambda before, _: [stated(before, "dan", rows)],
    )


def _ask_all(world: World) -> None:
    """Open a query of all images without a training."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            from label_workspaces import ask_all

            from dgaal_cli.store.open import open_store

            with open_store(world.store) as store:
                ask_all(store, overlap=2)
        os._exit(0)
    os.waitpid(pid, 0)
    world.state = world.observe().state
