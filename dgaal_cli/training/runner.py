"""The loop over a round's phases: in memory, or saved so that a later process resumes it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dgaal_cli import events, interruption
from dgaal_cli.events import CheckpointSaved, Emit, PhaseStarted, StepDone, Warned
from dgaal_cli.ids import ItemId
from dgaal_cli.training import checkpoint
from dgaal_cli.training.budget import Stopwatch, check_left
from dgaal_cli.training.clock import Clock
from dgaal_cli.training.memory import StepTooLargeError, is_out_of_memory
from dgaal_cli.training.phase import Phase, find_non_finite, never, non_finite_error
from dgaal_cli.training.progress_saver import ProgressSaver
from dgaal_cli.training.runtime import ProcessLostError, Runtime
from dgaal_cli.training.seeding import torch_generator
from dgaal_cli.training.watch import GameWatch

EVENT_INTERVAL_S = 0.2
CHECKPOINT_INTERVAL_S = 15.0
RECORDED_POINTS = 40
"""Minimum number of reported losses per phase, for plots."""
CUDA_CHECK_STEPS = 25
"""Steps between two checks of a loss on a GPU, since reading it waits for the GPU."""
AGREE_STEPS = 10
"""Steps after which several processes agree whether to stop; this waits for the slowest."""
BEHIND, STOP = 1, 2


@dataclass(slots=True, kw_only=True)
class Runner:
    """One round's training: the order of its steps, their seeds, and the checks after each.

    Args:
        phases: All phases of the round in order, for the remaining time.
        modules: Every network of the method by name.
        seed: Seed of the run.
        number: Round number.
        saver: Saves the state at intervals and after each phase; None trains in memory only.
        emit: Listener for progress.
        runtime: Hardware, and the processes that share the work.
        budget_s: Seconds of wall-clock time for the round; None uses the saved budget, if any.
        stopwatch: Time of the round.
        run_title: Method and seed in messages, if several are trained in turn.
        name: Maps an image to its sample id, for the report of a loss that is not finite.
        advice: Suggested action for such a loss.
        after_stop: End of the message after a stop by a signal: what is saved, how to continue.
    """

    phases: Sequence[Phase]
    modules: Mapping[str, nn.Module] = field(default_factory=dict[str, nn.Module])
    seed: int
    number: int
    saver: ProgressSaver | None = None
    emit: Emit = events.ignore
    runtime: Runtime = field(default_factory=lambda: Runtime(device=torch.device("cpu")))
    budget_s: float | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    run_title: str = ""
    name: Callable[[ItemId], str] = str
    advice: str = "lower its learning rate with --set"
    after_stop: str = "nothing of this training is saved"
    limits: dict[str, int] = field(default_factory=dict[str, int])
    """Steps of each phase under the time budget."""
    ended_early: dict[str, int] = field(default_factory=dict[str, int])
    """Step after which each phase that ended early was done."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """Wall-clock time by name of each phase that this process ran."""
    _watch: GameWatch = field(default_factory=GameWatch)
    _saved: str = "nothing"
    _reduced: set[str] = field(default_factory=set[str])
    _done: list[str] = field(default_factory=list[str])
    _partial: tuple[str, int] | None = None
    _tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    _scalars: dict[str, Any] = field(default_factory=dict[str, Any])
    _memory: dict[str, Any] = field(default_factory=dict[str, Any])

    def resume(self) -> str:
        """Load the saved state of this round, if there is one for the same identity.

        Returns:
            Where it resumes, in words; empty if it starts from the beginning.

        Raises:
            CheckpointError: A saved state belongs to other labels, settings or another machine.
            UsageError: The time budget is spent.
        """
        loaded = self.saver.load(self.number, self.emit) if self.saver else None
        if loaded is None:
            return ""
        self._tensors, state = loaded
        checkpoint.restore_modules(self.modules, self._tensors)
        self._scalars = state["scalars"]
        self._done, self._memory = state["done"], state["memory"]
        self.limits, self.ended_early = state["limits"], state["ended_early"]
        self.stopwatch.before += state.get("spent_s", 0.0)
        where = f"after {self._done[-1]}" if self._done else ""
        if state["phase"]:
            self._partial = (state["phase"], state["step"])
            where = f"step {state['step']} of {state['phase']}"
        if self.budget_s is None:
            self.budget_s = state.get("budget_s")
        if self.budget_s is not None:
            check_left(self.budget_s, self.stopwatch.before, number=self.number)
            where += f", {self.stopwatch.before:.0f} of {self.budget_s:g} s spent"
        return where

    def run(self, phases: Sequence[Phase]) -> None:
        """Run phases that are not done yet, in order.

        Raises:
            InterruptedRunError: A signal requested a stop, or another process of this training
                ended; with a saver, the state is saved.
            CheckFailedError: A loss is not finite.
            UsageError: A step does not fit into memory, or a pass not into the time budget.
        """
        for phase in phases:
            if phase.name in self._done:
                continue
            try:
                self._run_phase(phase)
            except ProcessLostError as error:
                raise ProcessLostError(
                    f"another process of this training ended in round {self.number}, "
                    f"{phase.title}; saved: {self._saved}; the same command resumes from there"
                ) from error

    def _run_phase(self, phase: Phase) -> None:
        began = time.perf_counter()
        phase.prepare()
        first = 0
        if self._partial and self._partial[0] == phase.name:
            first = self._partial[1]
            checkpoint.restore_optimizers(phase.optimizers, self._tensors, self._scalars)
            phase.memory.update(self._memory)
        self._partial = None
        self.runtime.share_gradients(phase.optimizers.values())
        self.runtime.copy_from_main(checkpoint.module_tensors(self.modules).values())
        names = [p.name for p in self.phases]
        self.emit(
            PhaseStarted(
                phase=phase.name,
                title=phase.title,
                position=names.index(phase.name) + 1,
                count=len(names),
                steps=self.limits.get(phase.name, phase.steps),
            )
        )
        for module in phase.networks.values():
            module.train()
        self._loop(phase, first)
        # BatchNorm saw other images in each process; scores must not depend on the process.
        self.runtime.copy_from_main(checkpoint.module_tensors(self.modules).values())
        self._done.append(phase.name)
        self._save(None, 0)
        self.seconds[phase.name] = time.perf_counter() - began

    def _loop(self, phase: Phase, first: int) -> None:
        later, world = self._later(phase), self.runtime.world
        clock = Clock(self.budget_s, self.stopwatch, phase, later, first, world=world)
        if phase.name in self.limits:
            clock.fix_limit(self.limits[phase.name])
        every = max(1, phase.steps // RECORDED_POINTS)
        step = first
        while step < clock.limit:
            losses = self._step(phase, step, clock.limit)
            step += 1
            clock.tick(step)
            if clock.is_planning(step):
                self._checked(phase, step, losses)  # waits until a GPU has finished them
                clock.tick(step)
                self.limits[phase.name] = self.runtime.from_main(clock.plan())
                clock.fix_limit(self.limits[phase.name])
            is_last = step >= clock.limit or self._is_done(phase, step)
            is_reported = (
                is_last or clock.is_due("report", EVENT_INTERVAL_S) or (step - 1) % every == 0
            )
            on_gpu = any(value.is_cuda for value in losses.values())
            if is_reported or not on_gpu or (step - 1) % CUDA_CHECK_STEPS == 0:
                values = self._checked(phase, step, losses)
                clock.mark(step)
                if is_reported:
                    self._report(phase, step, clock, values)
            if is_last or self._stops(phase, step, clock):
                return

    def _step(self, phase: Phase, step: int, limit: int) -> Mapping[str, Tensor]:
        # With fewer steps than planned, the schedule is compressed.
        phase.schedule(step if limit >= phase.steps else step * phase.steps // limit)
        parts = (self.seed, self.number, phase.name, step, *self.runtime.seed_parts())
        try:
            return phase.step(step, torch_generator(*parts))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler the step's tensors are released.
        raise StepTooLargeError(phase.name, phase.title, phase.batch_key)

    def _is_done(self, phase: Phase, step: int) -> bool:
        if phase.is_done is never:
            return False
        is_done = bool(self.runtime.from_main(int(phase.is_done())))
        if is_done:
            self.ended_early[phase.name] = step
        return is_done

    def _stops(self, phase: Phase, step: int, clock: Clock) -> bool:
        """Check signals and the clock, save if due."""
        if self.runtime.world > 1 and step % AGREE_STEPS:
            return False
        is_asked, is_behind = interruption.is_asked(), clock.is_behind(step)
        request = self.runtime.agree(STOP if is_asked else BEHIND if is_behind else 0)
        if request == STOP or clock.is_due("save", CHECKPOINT_INTERVAL_S):
            self._save(phase, step)
        if request == STOP:
            where = f"{self._where(phase, step)} of {clock.limit}"
            interruption.check(f"stopped in {where}; {self.after_stop}")
            raise ProcessLostError(f"another process was stopped in {where}; it saved")
        if request == BEHIND:
            self._reduce_limit(phase, step, clock)
        return False

    def _reduce_limit(self, phase: Phase, step: int, clock: Clock) -> None:
        limit = self.runtime.from_main(clock.reduced_limit(step))
        if phase.name not in self._reduced:
            self._reduced.add(phase.name)
            self.emit(
                Warned(
                    message=f"steps became slower: to keep the time budget, '{phase.title}' "
                    f"takes {limit} steps or fewer instead of {clock.limit}"
                )
            )
        self.limits[phase.name] = limit
        clock.fix_limit(limit)

    def _checked(self, phase: Phase, step: int, losses: Mapping[str, Tensor]) -> dict[str, float]:
        values = {name: float(value.detach()) for name, value in losses.items()}
        found = find_non_finite(values)
        if found is None:
            return values
        images = [self.name(item) for item in phase.last.items]
        if self.saver is not None:
            self.saver.report_broken(phase=phase.name, step=step, loss=found[0], images=images)
        raise non_finite_error(
            *found, where=self._where(phase, step), images=images, advice=self.advice
        )

    def _where(self, phase: Phase, step: int) -> str:
        run_title = f"{self.run_title}, " if self.run_title else ""
        return f"{run_title}round {self.number}, {phase.title}, step {step}"

    def _later(self, phase: Phase) -> Sequence[Phase]:
        return self.phases[[p.name for p in self.phases].index(phase.name) + 1 :]

    def _report(self, phase: Phase, step: int, clock: Clock, losses: dict[str, float]) -> None:
        rate = clock.rate(step)
        work = (clock.limit - step) * phase.cost + sum(
            self.limits.get(p.name, p.steps) * p.cost for p in self._later(phase)
        )
        self.emit(
            StepDone(
                phase=phase.name,
                step=step,
                steps=clock.limit,
                rate=rate,
                left_s=work / (rate * phase.cost),
                losses=losses,
            )
        )
        for message in self._watch.look(phase.name, step, losses):
            self.emit(Warned(message=message))

    def _save(self, phase: Phase | None, step: int) -> None:
        self._saved = f"step {step} of {phase.title}" if phase else f"all of {self._done[-1]}"
        if self.saver is None or not self.runtime.is_main:
            return
        tensors: dict[str, Tensor] = checkpoint.module_tensors(self.modules)
        scalars: dict[str, Any] = {}
        if phase is not None:
            moments, scalars = checkpoint.optimizer_tensors(phase.optimizers)
            tensors |= moments
        self.saver.save(
            tensors,
            {
                "done": list(self._done),
                "phase": phase.name if phase else "",
                "step": step,
                "scalars": scalars,
                "limits": dict(self.limits),
                "ended_early": dict(self.ended_early),
                "memory": dict(phase.memory) if phase else {},
                "spent_s": self.stopwatch.seconds,
                "budget_s": self.budget_s,
            },
        )
        self.emit(CheckpointSaved(phase=phase.name if phase else self._done[-1], step=step))


def run_phases(
    phases: Sequence[Phase],
    *,
    seed: int,
    number: int,
    run_title: str = "",
    name: Callable[[ItemId], str] = str,
    after_stop: str = "nothing of this training is saved",
) -> dict[str, float]:
    """Run phases in memory, outside a round; see ``Runner``.

    Returns:
        Seconds by phase name.
    """
    runner = Runner(
        phases=phases,
        seed=seed,
        number=number,
        run_title=run_title,
        name=name,
        after_stop=after_stop,
    )
    runner.run(phases)
    return runner.seconds
