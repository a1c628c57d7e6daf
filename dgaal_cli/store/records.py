"""What goes into the label store and what comes out: plain frozen values, standard library only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dgaal_cli.ids import ClassUid, ItemId, SampleId

AnswerKind = Literal["label", "cannot_tell", "skip", "flag", "unflag", "adjudicate"]
"""What one key press can say. ``adjudicate`` is a reviewer's last word over other annotators."""

Verdict = Literal["label", "cannot_tell", "adjudicate", "inherit", "flag"]
"""What an imported line can say."""

Provenance = Literal["human", "simulated", "imported", "inherited"]

ShownAs = Literal["hidden", "top1", "probs", "prefilled"]
"""How much of the model's guess the operator saw before answering."""

ItemState = Literal["ok", "quarantined", "missing", "changed"]
"""``quarantined``: unreadable, or a synthetic image set aside; ``changed``: other bytes by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRecord:
    """One class; its uid survives renaming and reordering."""

    uid: ClassUid
    name: str
    key: str
    """Key that stands for the class in the terminal; empty lets the terminal choose."""
    position: int
    """From 0; presentation only, never the identity of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What an answer states about an image, encoded by the workspace's task.

    The store keeps, compares and counts labels without looking into the payload.
    """

    payload: bytes
    """Canonical: two labels that mean the same have the same bytes."""
    version: int
    """Version of the payload's encoding, from 1."""
    classes: tuple[ClassUid, ...]
    """Classes that the payload names, sorted, each once."""

    def __post_init__(self) -> None:
        if list(self.classes) != sorted(set(self.classes)):
            raise ValueError("the classes of a label must be sorted and distinct")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """One readable image of the pool."""

    sample_id: SampleId
    sha256: bytes
    """Digest of the encoded bytes; images with equal bytes share one item."""
    size_bytes: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSynthetic:
    """One generated image."""

    sample_id: SampleId
    sha256: bytes
    size_bytes: int
    width: int
    height: int
    parent: ItemId | None
    """Item it was made from; None if it was made from noise alone."""
    round: int
    inherited: Label | None
    """Label of the parent, not yet its own: see ``LabelWriter.promote_synthetic``."""
    is_quarantined: bool = False
    """Set aside, for instance because the task model doubts the inherited class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedItems:
    """What became of the images given to ``add_items``; the four counts add up to their number."""

    new: int
    """Items made."""
    duplicates: int
    """New paths whose bytes an earlier item already has."""
    known: int = 0
    """Paths and bytes that were there before."""
    changed: int = 0
    """Paths that now hold other bytes; their labels stay with the old bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """One image's content."""

    item_id: ItemId
    sample_id: SampleId
    """The path under which the content was first seen."""
    sha256: bytes
    is_synthetic: bool
    parent: ItemId | None
    round: int | None
    """Round that made it; None for the pool's own images."""
    inherited: Label | None
    state: ItemState


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEntry:
    """Why one image is asked."""

    item_id: ItemId
    rank: int
    """From 1, asked first."""
    score: float | None = None
    """Higher = ask first."""
    percentile: float | None = None
    """Share of the pool with a lower score, 0..100."""
    nearest: ItemId | None = None
    """Nearest labeled item."""
    predicted: ClassUid | None = None
    probabilities: tuple[tuple[ClassUid, float], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The ordered images sent to the oracle in one round."""

    round: int
    strategy: str
    model_sha: bytes | None
    """Digest of the model that ranked; None where none did."""
    entries: tuple[QueryEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryProgress:
    """How far a query is answered."""

    size: int
    labeled: int
    cannot_tell: int
    skipped: int
    """Part of ``left`` that somebody put off."""
    left: int
    """Items that still want an answer; those that became unreadable are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A promise that nobody else is offered the item until ``expires`` (Unix seconds)."""

    token: str
    fence: int
    """Grows with each lease of the item; tells a late answer from one in time."""
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """One image that the annotator will be asked, without a lease: for decoding ahead."""

    item: ItemRecord
    entry: QueryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a terminal shows and waits for an answer to."""

    lease: Lease
    item: ItemRecord
    entry: QueryEntry | None
    flagged: bool
    """This annotator asked for a second look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the operator saw, so that anchoring by hints can be measured later."""

    shown_id: str
    item_id: ItemId
    round: int | None = None
    model_sha: bytes | None = None
    predicted: ClassUid | None = None
    probability: float | None = None
    ui: ShownAs = "hidden"
    used_learner: bool = False
    """The guess was the terminal's own learner's, updated within the round, not the query's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One key press."""

    op_id: str
    """Made once when the key is pressed and kept for retries: the same answer is stored once."""
    kind: AnswerKind
    item_id: ItemId
    label: Label | None = None
    """Given for ``label`` and ``adjudicate``, None for all others."""
    shown: Shown | None = None
    elapsed_ms: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that COMMIT returned: the answer survives a power cut."""

    event_id: int
    is_counted: bool
    """False: kept in the history only, because others finished the item after the lease ran out."""
    next_task: Task | None
    """For ``flag`` and ``unflag`` the same item again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What ``undo`` took back or ``redo`` brought back."""

    item: ItemRecord
    kind: AnswerKind
    label: Label | None
    event_id: int
    """The undo or redo event."""
    is_counted: bool
    """False: others finished the item meanwhile, so bringing the answer back changed nothing."""
    task: Task | None
    """What to show next: after undo the item itself if it wants an answer again, else the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRecord:
    """The effective label of one item."""

    item_id: ItemId
    sample_id: SampleId
    label: Label
    provenance: Provenance
    annotator: str
    round: int | None
    event_id: int
    at: str
    """ISO 8601, UTC."""
    is_synthetic: bool
    parent: ItemId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRecord:
    """The present answer of one annotator to one item: what an exchange file carries."""

    kind: Verdict
    item_id: ItemId
    sample_id: SampleId
    sha256: bytes
    width: int
    height: int
    label: Label | None
    provenance: Provenance
    annotator: str
    round: int | None
    event_id: int
    at: str
    """ISO 8601, UTC, microseconds."""
    elapsed_ms: int | None
    note: str
    is_effective: bool
    """This answer is the item's effective verdict."""
    is_synthetic: bool
    parent: SampleId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLabel:
    """One line of an import, already resolved against the class list."""

    sample_id: SampleId
    label: Label | None
    annotator: str
    at: str | None = None
    """ISO 8601 with offset; None takes the time of the import."""
    provenance: Provenance = "imported"
    kind: Verdict = "label"
    round: int | None = None
    elapsed_ms: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import changed; the three counts add up to the lines given."""

    added: int
    replaced: int
    """The same annotator had answered otherwise."""
    unchanged: int
    """The same annotator had answered the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many of what; pool items only unless the name says otherwise."""

    items: int
    """Distinct readable images of the pool."""
    labeled: int
    cannot_tell: int
    unlabeled: int
    synthetic: int
    """Generated images in the store, labeled or not."""
    synthetic_labeled: int
    """Generated images with an effective label, inherited or by a person."""
    annotations: int
    """Answers that cost an oracle work: each annotator's present label or cannot-tell, pool or
    synthetic, human or simulated."""
    flagged: int
    quarantined: int
    """Unreadable files of the pool."""
    by_class: dict[ClassUid, int]
    """Pool items whose label names the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line of the history; never changed, never deleted."""

    event_id: int
    op_id: str
    kind: str
    item_id: ItemId
    sample_id: SampleId
    annotator: str
    label: Label | None
    note: str
    refers_to: int | None
    """The answer that an undo or redo is about."""
    is_counted: bool
    provenance: Provenance
    round: int | None
    elapsed_ms: int | None
    at: str
    session: str
    predicted: ClassUid | None
    """The model's guess at that time, whether or not it was on the screen."""
    ui: ShownAs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What restoring a backup did."""

    backup: Path
    set_aside: Path | None
    """The store that was there before; None if there was none."""
    events: int
