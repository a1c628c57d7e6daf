"""What the library tells whoever listens: one stream, three listeners (progress, TUI, JSON lines).

The library never prints. It calls an ``Emit`` function with one of these values; a training process
writes them as JSON lines, so that a crash of either side costs the other nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """Something that happened."""


class RoundStarted(Event, frozen=True):
    """Training of a round began."""

    round: int
    method: str
    labels: int
    """Labeled images of the pool that this round learns from."""
    pool: int
    device: str
    resumed_at: str = ""
    """Where an interrupted run goes on, in words; empty for a fresh start."""
    drawn_labels: int = 0
    """Labeled drawings that it learns from: people named them, or they inherited a label."""


class PhaseStarted(Event, frozen=True):
    """One named phase of the round began; ``position`` of ``count`` counts from 1."""

    phase: str
    title: str
    position: int
    count: int
    steps: int


class StepDone(Event, frozen=True):
    """Progress within a phase; sent a few times a second, not at every step."""

    phase: str
    step: int
    steps: int
    rate: float
    """Steps a second, smoothed."""
    left_s: float
    """Seconds left in the whole round at the present rate."""
    losses: dict[str, float] = {}


class CheckpointSaved(Event, frozen=True):
    """The training state up to here survives a kill."""

    phase: str
    step: int


class Warned(Event, frozen=True):
    """Something the user should know, in plain words."""

    message: str


class RoundTrained(Event, frozen=True):
    """A round's networks are trained, measured and saved."""

    round: int
    labels: int
    """Images of the pool and drawings that somebody had named."""
    accuracy: float | None
    """0..1 on ``measured_on``; None where there is nothing to measure on."""
    measured_on: str
    seconds: float
    metrics: dict[str, float] = {}


class QueryChosen(Event, frozen=True):
    """The next images to label are stored."""

    round: int
    size: int
    synthetic: int
    strategy: str


class ArtifactWritten(Event, frozen=True):
    """An export passed its parity check and took its name."""

    path: str
    role: str
    format: str
    size_bytes: int
    largest_difference: float
    seconds: float


class ScoreProgress(Event, frozen=True):
    """Progress of an offline scoring run."""

    done: int
    total: int | None
    rate: float
    """Images a second."""
    unreadable: int


AnyEvent = (
    RoundStarted
    | PhaseStarted
    | StepDone
    | CheckpointSaved
    | Warned
    | RoundTrained
    | QueryChosen
    | ArtifactWritten
    | ScoreProgress
)

Emit = Callable[[AnyEvent], None]

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """Return the event as one JSON line without its newline."""
    return msgspec.json.encode(event)


def decode(line: bytes | str) -> AnyEvent:
    """Read one JSON line back.

    Raises:
        msgspec.DecodeError: The line is no event of this version.
    """
    return _decoder.decode(line)


def ignore(_event: AnyEvent) -> None:
    """Listen to nothing."""
