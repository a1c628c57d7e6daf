"""Runs a round's phases: progress, checkpoints, stops, and going on where it stopped."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dgaal_cli import interruption
from dgaal_cli.errors import CheckFailedError, CheckpointError
from dgaal_cli.events import CheckpointSaved, Emit, PhaseStarted, StepDone, Warned
from dgaal_cli.training import checkpoint
from dgaal_cli.training.checkpoint_folder import is_sound
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.seeding import torch_generator

PROGRESS_NAME = "progress"
"""Folder, in a round's folder, of the training state of an unfinished round."""

EVENT_INTERVAL_S = 0.2
RECORDED_POINTS = 40
"""At least this many losses a phase are told, however fast it runs; plots are drawn from them."""
CHECKPOINT_INTERVAL_S = 15.0
CUDA_CHECK_STEPS = 25
"""A look at a loss waits for the GPU, so there it happens only this often."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """One round's training, resumable at any step.

    Args:
        folder: The round's folder.
        identity: What a saved state must agree with to be continued: labels, config, seed, threads.
        modules: Every network of the method by name.
        phases: All phases of the round in order, for the time left.
    """

    folder: Path
    identity: Mapping[str, Any]
    modules: Mapping[str, nn.Module]
    phases: Sequence[Phase]
    seed: int
    number: int
    emit: Emit
    _done: list[str] = field(default_factory=list[str])
    _partial: tuple[str, int] | None = None
    _tensors: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    _scalars: dict[str, Any] = field(default_factory=dict[str, Any])

    def resume(self) -> str:
        """Load the saved state of this round, if there is one for the same identity.

        Returns:
            Where it goes on, in words; empty if it starts from the beginning.

        Raises:
            CheckpointError: A saved state belongs to other labels or another config.
        """
        for leftover in self.folder.glob(".*.tmp"):  # a kill in the middle of a save
            shutil.rmtree(leftover, ignore_errors=True)
        path = self.folder / PROGRESS_NAME
        if not checkpoint.exists(path):
            return ""
        if not is_sound(path):  # beginning anew leads to the same weights
            self.emit(
                Warned(
                    message=f"the saved state of round {self.number} is damaged; "
                    "the round begins anew"
                )
            )
            checkpoint.remove(path)
            return ""
        tensors, state = checkpoint.load(path)
        changed = [k for k, v in self.identity.items() if state["identity"].get(k) != v]
        if changed:
            raise CheckpointError(
                f"round {self.number} stopped midway and {', '.join(changed)} changed since; "
                "put it back to go on, or start the round again with --fresh"
            )
        checkpoint.restore_modules(self.modules, tensors)
        self._tensors, self._scalars = tensors, state["scalars"]
        self._done = state["done"]
        if state["phase"]:
            self._partial = (state["phase"], state["step"])
            return f"step {state['step']} of {state['phase']}"
        return f"after {self._done[-1]}" if self._done else ""

    def run(self, phases: Sequence[Phase]) -> None:
        """Run phases that are not done yet, in order.

        Raises:
            InterruptedRunError: A signal asked to stop; the state is saved.
            CheckFailedError: A loss is not finite.
        """
        for phase in phases:
            if phase.name not in self._done:
                self._run_phase(phase)

    def _run_phase(self, phase: Phase) -> None:
        phase.prepare()
        first = 0
        if self._partial and self._partial[0] == phase.name:
            first = self._partial[1]
            checkpoint.restore_optimizers(phase.optimizers, self._tensors, self._scalars)
        self._partial = None
        names = [p.name for p in self.phases]
        self.emit(
            PhaseStarted(
                phase=phase.name,
                title=phase.title,
                position=names.index(phase.name) + 1,
                count=len(names),
                steps=phase.steps,
            )
        )
        self._loop(phase, first)
        self._done.append(phase.name)
        self._save(None, 0)

    def _loop(self, phase: Phase, first: int) -> None:
        began = last_event = last_save = time.perf_counter()
        every = max(1, phase.steps // RECORDED_POINTS)
        for module in phase.networks.values():
            module.train()
        for step in range(first, phase.steps):
            phase.schedule(step)
            generator = torch_generator(self.seed, self.number, phase.name, step)
            losses = phase.step(step, generator)
            now = time.perf_counter()
            is_last = step + 1 == phase.steps or phase.is_done()
            is_due = now - last_event >= EVENT_INTERVAL_S or step % every == 0
            is_reported = is_last or is_due
            if is_reported or self._looks_at(losses, step):
                values = self._checked(phase, step, losses)
                if is_reported:
                    last_event = now
                    rate = (step + 1 - first) / max(now - began, 1e-9)
                    self._report(phase, step + 1, rate, values)
            if is_last:
                return
            if interruption.is_asked() or now - last_save >= CHECKPOINT_INTERVAL_S:
                last_save = now
                self._save(phase, step + 1)
                interruption.check(
                    f"stopped in round {self.number}, {phase.title}, step {step + 1} of "
                    f"{phase.steps}; everything is saved, 'dgaal train' goes on from there"
                )

    @staticmethod
    def _looks_at(losses: Mapping[str, Tensor], step: int) -> bool:
        on_gpu = any(value.is_cuda for value in losses.values())
        return not on_gpu or step % CUDA_CHECK_STEPS == 0

    def _checked(self, phase: Phase, step: int, losses: Mapping[str, Tensor]) -> dict[str, float]:
        values = {name: float(value.detach()) for name, value in losses.items()}
        for name, value in values.items():
            if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN
                raise CheckFailedError(
                    f"the loss '{name}' became {value} in round {self.number}, {phase.title}, "
                    f"step {step + 1}; lower its learning rate in [pretrain], [coevolve] or "
                    "[classifier] and run 'dgaal train --fresh'"
                )
        return values

    def _report(self, phase: Phase, step: int, rate: float, losses: dict[str, float]) -> None:
        later = self.phases[[p.name for p in self.phases].index(phase.name) + 1 :]
        work = (phase.steps - step) * phase.cost + sum(p.steps * p.cost for p in later)
        self.emit(
            StepDone(
                phase=phase.name,
                step=step,
                steps=phase.steps,
                rate=rate,
                left_s=work / (rate * phase.cost),
                losses=losses,
            )
        )

    def _save(self, phase: Phase | None, step: int) -> None:
        tensors: dict[str, Tensor] = checkpoint.module_tensors(self.modules)
        scalars: dict[str, Any] = {}
        if phase is not None:
            moments, scalars = checkpoint.optimizer_tensors(phase.optimizers)
            tensors |= moments
        checkpoint.save(
            self.folder / PROGRESS_NAME,
            tensors,
            {
                "identity": dict(self.identity),
                "done": list(self._done),
                "phase": phase.name if phase else "",
                "step": step,
                "scalars": scalars,
                "torch": torch.__version__,
            },
        )
        self.emit(CheckpointSaved(phase=phase.name if phase else self._done[-1], step=step))
