"""Arguments and results of the label store: frozen values, standard library only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from dgaal_cli.ids import ClassUid, ItemId, SampleId

AnswerKind = Literal["label", "cannot_tell", "skip", "flag", "unflag", "adjudicate"]
"""Kinds of answers. ``adjudicate`` is the final decision of a reviewer."""

Verdict = Literal["label", "cannot_tell", "adjudicate", "inherit", "flag", "skip", "undo", "unflag"]
"""Kinds of imported lines. ``skip`` and ``undo``: no answer; ``unflag``: no flag."""

Provenance = Literal["human", "simulated", "imported", "inherited"]

FileProvenance = Literal["human", "simulated", "imported", "inherited", "predicted"]
"""Provenance in exports. ``predicted``: an accepted prediction of a model, which is no label; the
store holds none."""

ShownAs = Literal["hidden", "top1", "probs", "prefilled"]
"""How much of the model's prediction the annotator saw before answering."""

ItemState = Literal["ok", "quarantined", "missing", "changed"]
"""``quarantined``: unreadable or excluded synthetic image; ``changed``: the file has new bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRecord:
    """One class; its uid survives renaming and reordering."""

    uid: ClassUid
    name: str
    key: str
    """Key of the class in the terminal; empty lets the terminal choose."""
    position: int
    """Position in the list, from 0; for presentation only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What an answer states about an image, encoded by the workspace's task.

    The store saves, compares and counts labels, but never decodes the payload.
    """

    payload: bytes
    """Canonical bytes: labels with the same meaning have the same payload."""
    version: int
    """Version of the payload's encoding, from 1."""
    classes: tuple[ClassUid, ...]
    """Classes that the payload names, sorted, each once."""

    def __hash__(self) -> int:
        return hash(self.payload)  # Python stores the hash of bytes, but not that of a tuple

    def __post_init__(self) -> None:
        if list(self.classes) != sorted(set(self.classes)):
            raise ValueError("the classes of a label must be sorted and distinct")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """One readable image."""

    sample_id: SampleId
    sha256: bytes
    """Digest of the encoded bytes; images with equal bytes share one item."""
    size_bytes: int
    width: int
    height: int
    group: str = ""
    """What it shares with other images; not used if its bytes have a group already. Empty: it is a
    group of its own."""


class PoolFile(NamedTuple):
    """One name of a pool image. A tuple, because pools have millions of them."""

    sample_id: SampleId
    item_id: ItemId
    sha256: bytes
    """Digest of the image, which the file may no longer have."""
    state: ItemState
    """State of the image."""
    is_first: bool
    """Whether the image is read by this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChange:
    """How the images of the pool and their names change; labels and events stay as they are."""

    new: Sequence[NewItem] = ()
    """Images to add; a name may have shown another image before."""
    names: Sequence[tuple[SampleId, ItemId]] = ()
    """Names that show these images from now on."""
    firsts: Mapping[ItemId, SampleId] = field(default_factory=dict[ItemId, SampleId])
    """The name by which each of these images is read from now on; ``names`` contains it too."""
    states: Mapping[ItemId, ItemState] = field(default_factory=dict[ItemId, ItemState])
    """New states of images."""
    unreadable: Sequence[tuple[SampleId, str]] = ()
    """Files that cannot be read, with the reason."""
    readable: Sequence[SampleId] = ()
    """Files that are no longer unreadable, or no longer there."""
    groups: Mapping[ItemId, str] = field(default_factory=dict[ItemId, str])
    """Groups of images from now on; not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSynthetic(NewItem):
    """One synthetic image."""

    parent: ItemId | None
    """Parent item; None if it was synthesized from noise only."""
    round: int
    inherited: Label | None
    """Label of the parent; it counts only after ``LabelWriter.promote_synthetic``."""
    is_quarantined: bool = False
    """Excluded, for example because the task model doubts the inherited label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedItems:
    """Result of ``add_items``; the four counts add up to the number of images."""

    new: int = 0
    """New items."""
    duplicates: int = 0
    """New paths with the bytes of an earlier item."""
    known: int = 0
    """Known paths with unchanged bytes."""
    changed: int = 0
    """Known paths with other bytes; the labels stay with the old bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """One item: an image content."""

    item_id: ItemId
    sample_id: SampleId
    """First path of the content."""
    sha256: bytes
    is_synthetic: bool
    parent: ItemId | None
    round: int | None
    """Round that synthesized it; None for pool images."""
    inherited: Label | None
    state: ItemState


class ItemKey(NamedTuple):
    """What identifies one item."""

    item_id: ItemId
    sample_id: SampleId
    """First path of the content."""
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryEntry:
    """One image of a query, with the reasons why it is asked."""

    item_id: ItemId
    rank: int
    """From 1; rank 1 is asked first."""
    score: float | None = None
    """Higher = ask first."""
    percentile: float | None = None
    """Percentage of the pool with a lower score, 0 to 100."""
    nearest: ItemId | None = None
    """Nearest labeled item."""
    predicted: ClassUid | None = None
    probabilities: tuple[tuple[ClassUid, float], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The ordered images that one round asks."""

    round: int
    strategy: str
    model_sha: bytes | None
    """Digest of the model that ranked the pool; None without a model."""
    entries: tuple[QueryEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryProgress:
    """Number of answered and open items of a query."""

    size: int
    labeled: int
    cannot_tell: int
    skipped: int
    """Items of ``left`` that an annotator skipped."""
    left: int
    """Readable items that still need an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Reservation of an item for one annotator until ``expires`` (seconds since the boot)."""

    token: str
    fence: int
    """Increases with each lease of the item; identifies late answers."""
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """One of the annotator's next images, without a lease, so that it can be decoded early."""

    item: ItemRecord
    entry: QueryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An image that a terminal shows for an answer."""

    lease: Lease
    item: ItemRecord
    entry: QueryEntry | None
    flagged: bool
    """Whether this annotator flagged the image for a second look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the annotator saw, so that the influence of hints can be measured later."""

    shown_id: str
    item_id: ItemId
    round: int | None = None
    model_sha: bytes | None = None
    predicted: ClassUid | None = None
    probability: float | None = None
    ui: ShownAs = "hidden"
    used_learner: bool = False
    """The prediction is from the terminal's learner, not from the query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One key press."""

    op_id: str
    """Unique id of the key press; a retry with the same id is not stored again."""
    kind: AnswerKind
    item_id: ItemId
    label: Label | None = None
    """Set for ``label`` and ``adjudicate``, None for all other kinds."""
    shown: Shown | None = None
    elapsed_ms: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Result of a stored answer; the answer is on the disk."""

    event_id: int
    is_counted: bool
    """False if other annotators finished the item after the lease expired: history only."""
    next_task: Task | None
    """The next image; for ``flag`` and ``unflag`` the same image again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Result of ``undo`` or ``redo``."""

    item: ItemRecord
    kind: AnswerKind
    label: Label | None
    event_id: int
    """Number of the undo or redo event."""
    is_counted: bool
    """False if other annotators finished the item meanwhile, so that redo changed nothing."""
    is_superseded: bool
    """Whether a newer imported answer or undo counts for the image, so that nothing changed."""
    task: Task | None
    """The image to show: after undo the item itself if it needs an answer, else the next image."""


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


class AnswerRecord(NamedTuple):
    """The current answer of one annotator to one item, as exchange files store it.

    A tuple, since an export makes one for each answer: a frozen data class takes 3 times as long.
    """

    kind: Verdict
    item_id: ItemId
    sample_id: SampleId
    sha256: bytes
    width: int
    height: int
    label: Label | None
    provenance: FileProvenance
    annotator: str
    round: int | None
    event_id: int
    at: str
    """ISO 8601, UTC, microseconds."""
    op_id: str
    """Id of the annotator's newest answer, undo or redo of this image."""
    changed_at: str | None
    """Time of that event; None if it equals ``at``."""
    elapsed_ms: int | None
    note: str
    is_effective: bool
    """Whether this answer is the item's effective verdict."""
    is_synthetic: bool
    parent: SampleId | None


class ImportedLabel(NamedTuple):
    """One line of an import, with its classes resolved.

    A tuple, because an import makes two for each line.
    """

    sample_id: SampleId
    label: Label | None
    annotator: str
    at: str | None = None
    """ISO 8601 with offset; None uses the time of the import."""
    provenance: Provenance = "imported"
    kind: Verdict = "label"
    round: int | None = None
    elapsed_ms: int | None = None
    note: str = ""
    op_id: str | None = None
    """Id of the event in the workspace that exported it; None: the annotator states it now."""
    changed_at: str | None = None
    """Time of that event, ISO 8601 with offset; None if it equals ``at``."""
    is_translated: bool = False
    """The class has another uid there than here, or was added for the import."""
    decided_by: str | None = None
    """Who decides that this is the label of the image, whatever other annotators answered; None:
    one answer of several."""
    where: str = ""
    """File and position for error messages, escaped."""
    item_id: ItemId | None = None
    """The image, if it was found before; None: it is found by ``sample_id``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedAnswer:
    """One annotator's answer to one image, or none, and since when."""

    kind: Verdict
    label: Label | None
    at: str
    """Time of the answer, undo or redo: ISO 8601, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeConflict:
    """Two different answers of one annotator to one image, in two copies of a workspace."""

    sample_id: SampleId
    annotator: str
    kept: DatedAnswer
    """The newer one, which counts."""
    dropped: DatedAnswer
    """The older one, which stays in the history."""


OverruledBecause = Literal["decided", "outvoted", "later", "source"]
"""Why an answer is not the label: a decision counts, more annotators gave another answer, an
earlier answer counts, or it is a label of the source and another answer counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverruledAnswer:
    """An imported answer that is not the label of its image."""

    sample_id: SampleId
    annotator: str
    because: OverruledBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """Result of an import; the four counts add up to the number of lines."""

    added: int = 0
    replaced: int = 0
    """Lines that replaced another answer of the same annotator."""
    unchanged: int = 0
    """Lines that do not change the current answer of the same annotator."""
    older: int = 0
    """Lines older than another answer of the same annotator, stored in the history only."""
    conflicts: tuple[MergeConflict, ...] = ()
    """Differences between copies, in the order of the lines."""
    overruled: tuple[OverruledAnswer, ...] = ()
    """Answers of the lines that are stored but are not the label of their image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of pool items, unless noted otherwise."""

    newest_event: int
    """Number of the newest event that was counted."""
    items: int
    """Distinct readable images of the pool."""
    labeled: int
    cannot_tell: int
    unlabeled: int
    synthetic: int
    """Synthetic images, labeled or not."""
    synthetic_labeled: int
    """Synthetic images with an effective label, inherited or by an annotator."""
    annotations: int
    """Current answers (label or cannot-tell) of all oracles, for pool and synthetic images."""
    flagged: int
    quarantined: int
    """Unreadable files of the pool."""
    by_class: dict[ClassUid, int]
    """Pool items whose label names the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTally:
    """Counts of current answers, synthetic images included."""

    by_annotator: tuple[tuple[str, int], ...]
    """Current answers of each annotator but skips and inherited labels, highest count first."""
    by_provenance: tuple[tuple[str, int], ...]
    """Effective labels by provenance, highest count first."""
    disagreements: int
    """Images with different answers that are not adjudicated."""
    median_ms: int | None
    """Median time of the timed answers in milliseconds; None without a timed answer."""


class DisputedItem(NamedTuple):
    """One image with different answers and no decision; a tuple, since there may be many."""

    item_id: ItemId
    sample_id: SampleId
    answers: tuple[tuple[str, str | None], ...]
    """Annotator and text of the label, None for "cannot tell"; oldest first."""
    current: str | None
    """Label of the majority, else of the earliest answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event of the history; never changed, never deleted."""

    event_id: int
    op_id: str
    kind: str
    says: str
    """``kind``, or the kind of an imported line."""
    item_id: ItemId
    sample_id: SampleId
    annotator: str
    label: Label | None
    note: str
    refers_to: int | None
    """Event id of the answer that an undo or redo reverses."""
    is_counted: bool
    provenance: Provenance
    round: int | None
    elapsed_ms: int | None
    at: str
    session: str
    predicted: ClassUid | None
    """The model's prediction at that time, visible or not."""
    ui: ShownAs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Result of restoring a backup."""

    backup: Path
    set_aside: Path | None
    """The renamed old store; None if there was none."""
    events: int
    missing: int | None
    """Events that newer backups have and this one lacks; None if the newest one does not say."""
