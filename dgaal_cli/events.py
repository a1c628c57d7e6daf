"""Progress events of the library, received by the command line, the TUI or a file of JSON lines.

The library never prints. It calls an ``Emit`` function with one of these values. A training process
writes them as JSON lines, so that a crash of either process does not affect the other.
"""

from collections.abc import Callable
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """Base class of events."""


class RoundStarted(Event, frozen=True):
    """Training of a round has started."""

    round: int
    method: str
    labels: int
    """Number of labeled images of the pool in this round's training."""
    pool: int
    device: str
    resumed_at: str = ""
    """Position at which an interrupted run continues, as text; empty for a fresh start."""
    drawn_labels: int = 0
    """Number of synthetic images with a person's or an inherited label in this training."""
    held_out_labels: int = 0
    """Number of labels that the training does not use, because they measure its result."""


class PhaseStarted(Event, frozen=True):
    """A phase of the round has started; ``position`` of ``count`` starts at 1."""

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
    """Steps per second, smoothed."""
    left_s: float
    """Seconds left in the round at the current rate."""
    losses: dict[str, float] = {}


class CheckpointSaved(Event, frozen=True):
    """The training state up to this step has been saved."""

    phase: str
    step: int


class Warned(Event, frozen=True):
    """A warning for the user."""

    message: str


class RoundTrained(Event, frozen=True):
    """A round's networks have been trained, measured and saved."""

    round: int
    labels: int
    """Number of images of the pool and synthetic images that a person has labeled."""
    accuracy: float | None
    """0..1 on ``measured_on``; None without test images."""
    measured_on: str
    seconds: float
    metrics: dict[str, float] = {}


class QueryChosen(Event, frozen=True):
    """The next query has been stored."""

    round: int
    size: int
    synthetic: int
    strategy: str


class ArtifactWritten(Event, frozen=True):
    """An exported file has passed its parity check and has been written."""

    path: str
    role: str
    format: str
    size_bytes: int
    largest_difference: float
    seconds: float


class ReadProgress(Event, frozen=True):
    """Progress of reading the images of a pool; the last one has ``done`` equal to ``total``."""

    done: int
    total: int | None
    """None while the images are still being counted."""
    rate: float
    """Images per second."""
    unreadable: int = 0


class ScoreProgress(Event, frozen=True):
    """Progress of a scoring run."""

    done: int
    total: int | None
    rate: float
    """Images per second."""
    unreadable: int


class FeatureProgress(Event, frozen=True):
    """Progress of the computation of features."""

    done: int
    """Images that have features by now, or are unreadable."""
    total: int | None
    rate: float
    """Images read and encoded per second; those that had features already do not count."""
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
    | ReadProgress
    | ScoreProgress
    | FeatureProgress
)

Emit = Callable[[AnyEvent], None]

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    """Return the event as one JSON line without its newline."""
    return msgspec.json.encode(event)


def decode(line: bytes | str) -> AnyEvent:
    """Decode one JSON line.

    Raises:
        msgspec.DecodeError: The line is not an event of this version.
    """
    return _decoder.decode(line)


def ignore(_event: AnyEvent) -> None:
    """Ignore the event."""
