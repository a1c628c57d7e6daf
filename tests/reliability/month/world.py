"""The folder of one month: a workspace, its host, and what is known about both."""

import errno
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from month.forks import Clock, Ended, Forks, Job, Plan, ended, new_modules
from month.model import Classes, State
from month.reader import Reading, read

PEOPLE = ("ann", "bob", "cleo")
IMAGES = 240
_SECOND_NS = 1_000_000_000


@dataclass(kw_only=True)
class Workers:
    """Processes that fork commands: one with what most commands import, one with torch too."""

    light: Forks
    heavy: Forks
    is_learning: bool = False
    """Whether the modules of each command are imported for the next ones."""

    def of(self, is_heavy: bool) -> Forks:
        """Return the process for a command."""
        return self.heavy if is_heavy else self.light


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of a family, what it may leave, and what its output must say."""

    family: str
    argv: tuple[str, ...]
    """Without ``-C``."""
    typed: tuple[str, ...] = ()
    """Lines of standard input."""
    is_heavy: bool = False
    outcomes: Callable[[State, Ended], list[State]] = lambda before, _: [before]
    """States that it may leave, the complete one last."""
    verify: Callable[[Ended, Reading], str] = lambda *_: ""
    """Problem of the output of a command that ended with 0; empty without one."""
    clean: Callable[[], None] = lambda: None
    """Removes what the command wrote beside the workspace."""


@dataclass(kw_only=True)
class World:
    """A workspace in a folder of its own, on a host with its own clock."""

    box: Path
    pool: Path
    """Folder of the images, shared by all months."""
    workers: Workers
    clock: Clock
    rng: random.Random
    state: State = field(default_factory=State)
    """What the store must hold."""
    backups: dict[str, list[State]] = field(default_factory=dict[str, list[State]])
    """States of which each backup, past or present, holds one; oldest backup first."""
    harm: str = ""
    """What was done to the files from outside; empty if they are whole."""
    trained: tuple[Classes, ...] = ()
    """Classes at the last complete training; several if one that was killed may be complete."""
    interrupted: tuple[State, ...] = ()
    """States when the training began that was interrupted; several if one of two may be left."""
    calls: dict[str, int] = field(default_factory=dict[str, int])
    """Number of calls on files of the last complete run of each kind of command."""
    number: int = 0
    name: str = "w"
    is_light: bool = False
    """Whether commands that load torch are left out: no round can be trained."""
    log: list[str] = field(default_factory=list[str])
    """Commands and faults so far, for the report of a failure."""

    @property
    def root(self) -> Path:
        """Folder of the workspace."""
        return self.box / self.name

    @property
    def store(self) -> Path:
        """File of the store."""
        return self.root / "labels.db"

    @property
    def desk(self) -> Path:
        """Folder for streams and tables, outside of the files that are counted."""
        return self.box.parent / "desk"

    @property
    def may_have_other_classes(self) -> bool:
        """Whether the classes may have changed since the last complete training."""
        return any(classes != self.state.classes for classes in self.trained) or not self.trained

    @property
    def is_resumable(self) -> bool:
        """Whether classes and labels since the interrupted training allow to resume it."""
        now = self.state
        return all(
            old.classes == now.classes and old.events == now.events[: len(old.events)]
            for old in self.interrupted
        )

    def fresh(self, suffix: str = "") -> Path:
        """Return the path of a new file in the box."""
        self.number += 1
        return self.box / f"file-{self.number}{suffix}"

    def observe(self) -> Reading:
        """Read the store without dgaal."""
        return read(self.store, self.desk / "copy")

    def job(self, command: Command, plan: Plan | None = None, *, slot: int = 0) -> Job:
        """Return the command as a job of this host."""
        return Job(
            argv=["-C", str(self.root), *command.argv],
            typed="".join(f"{line}\n" for line in command.typed),
            root=str(self.box),
            desk=str(self.desk),
            plan=plan or Plan(),
            wall_ns=round(self.clock.wall_s * _SECOND_NS),
            boot_ns=round(self.clock.boot_s * _SECOND_NS),
            boot_file=self.clock.boot_file(),
            slot=slot,
        )

    def run(self, command: Command, plan: Plan | None = None) -> Ended:
        """Run a command to its end."""
        job, forks = self.job(command, plan), self.workers.of(command.is_heavy)
        done = ended(job, forks.wait(forks.start(job)))
        self.note_calls(command, done)
        if self.workers.is_learning and done.code is not None and done.code >= 0:
            forks.learn(new_modules(job))
        fault = "" if plan is None else f"  [{plan.action} {plan.at} {plan.denied}: {done.where}]"
        said = (done.err or done.out).strip().splitlines()
        text = said if command.argv[0] == "label" else said[-1:]
        self.log.append(f"{' '.join(command.argv)} {command.typed}{fault} -> {done.code} {text}")
        return done

    def note_calls(self, command: Command, done: Ended) -> None:
        """Remember how many calls a complete command makes."""
        if done.code == 0:
            self.calls[self.kind_of(command)] = done.calls

    def kind_of(self, command: Command) -> str:
        """Return what commands with about as many calls have in common."""
        return f"{command.family} {command.argv[1] if command.argv[0] == 'labels' else ''}"

    def some_call(self, command: Command) -> int:
        """Choose a call of a command at random."""
        return self.rng.randint(1, max(2, self.calls.get(self.kind_of(command), 60)))

    def note_backups(self, states: list[State]) -> str:
        """Learn which backups are new; return a problem if one holds none of ``states``."""
        found = {path.name: path for path in (self.root / "backups").glob("labels-*")}
        for name in sorted(found.keys() - self.backups.keys()):
            held = states
            if name.endswith(".db"):  # a delta is read when it is restored
                reading = read(found[name], self.desk / "copy")
                held = [state for state in states if state.is_met_by(reading.state)]
                if reading.problem or not held:
                    return f"the backup {name} holds another state {reading.problem}"
            self.backups[name] = held
        return ""

    def newest_backup(self) -> list[State]:
        """Return the states of which the newest backup holds one; empty without a backup."""
        names = {path.name for path in (self.root / "backups").glob("labels-*")}
        return next((self.backups[n] for n in reversed(self.backups) if n in names), [])

    def copy_to(self, box: Path, *, clock: Clock) -> "World":
        """Return a copy of the workspace on another host."""
        box.mkdir(parents=True)
        shutil.copytree(self.root, box / self.name, symlinks=True)
        (box.parent / "desk").mkdir()
        return World(
            box=box,
            pool=self.pool,
            workers=self.workers,
            clock=clock,
            rng=self.rng,
            state=self.state,
            backups=dict(self.backups),
            trained=self.trained,
            interrupted=self.interrupted,
            calls=self.calls,
            name=self.name,
            is_light=self.is_light,
            log=self.log,
        )


def image(number: int) -> str:
    """Return the name of an image of the pool."""
    return f"{number:03d}.png"


ERRORS = (errno.ENOSPC, errno.EIO)
