"""Values exchanged with a front end: views of a session and answers."""

from dataclasses import dataclass, field
from typing import Literal

from dgaal_cli.audit.estimate import Interval
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.standing_answers import StandingAnswer
from dgaal_cli.rounds.learning_curve import CurvePoint
from dgaal_cli.store.records import ClassRecord, Label, QueryProgress, ShownAs

State = Literal["labeling", "answered", "waiting", "empty"]
"""``answered``: the query is done; ``waiting``: the rest is with others; ``empty``: no query."""
NextStep = Literal["train", "query"]
AnswerName = Literal["label", "cannot_tell", "skip"]
Guesses = tuple[tuple[ClassUid, float], ...]
"""Classes with probabilities, most probable first."""
LearnerState = Literal["none", "off", "on"]
"""``none``: no exported sampler of this round, so the query's own guesses are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One answer of the operator; kept until it is saved, so that a retry is identical."""

    kind: AnswerName
    item_id: ItemId
    op_id: str = field(default_factory=new_op_id)
    label: Label | None = None
    elapsed_ms: int | None = None
    ui: ShownAs = "hidden"
    is_blind: bool = False
    """Asked without a hint although hints were on, to measure their effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryImage:
    """An image to answer, with its score and guess."""

    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    rank: int = 0
    reason: str = ""
    score: float | None = None
    percentile: float | None = None
    nearest: str = ""
    """Sample id of the nearest labeled image; empty if unknown."""
    nearest_class: str = ""
    """Class of that image; it is a guess, shown only with guesses."""
    predicted: ClassUid | None = None
    probabilities: Guesses = ()
    is_flagged: bool = False
    is_blind: bool = False
    """Asked without hints even when hints are on."""
    is_audited: bool = False
    """Asked to measure the model: it has no guess."""
    is_learned: bool = False
    """The guess is of the learner, not of the query."""

    @property
    def confidence(self) -> float:
        """Probability of the guess; 0 without one."""
        return dict(self.probabilities).get(self.predicted, 0.0) if self.predicted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """State of a session after the last COMMIT."""

    name: str
    state: State
    round: int | None
    strategy: str
    classes: tuple[ClassRecord, ...]
    image: QueryImage | None
    before: StandingAnswer | None
    """The answer of this image that was just undone."""
    upcoming: tuple[QueryImage, ...]
    """Expected next images."""
    progress: QueryProgress
    by_class: dict[ClassUid, int]
    labeled: int
    spent: int
    """Answers that count against the budget: labels and can't tell, of all annotators."""
    next_step: NextStep
    """Step after this query."""
    budget: int
    """0: no limit."""
    items: int
    history: tuple[StandingAnswer, ...]
    """Newest first."""
    agreed: tuple[int, int]
    """Number of labels equal to the model's guess, and of labels with a guess."""
    answer_s: float | None
    """Mean seconds of the last 20 answers; None before the second answer."""
    curve: tuple[CurvePoint, ...]
    estimate: Interval | None = None
    """Accuracy on the pool by audited images, as it was when the learner was loaded: one that
    changed with each answer would tell whether the model is right on an audited image."""
    learner: LearnerState = "none"
    ranked_ahead: int = 0
    """Images ranked to be asked while the next round trains."""
    extended: int = 0
    """Images that this session added to the query to keep labeling while the next round trains."""
    serial: int = 0
    """Number of the view; a smaller number is older."""
    note: str = ""
    """Notice of the last call."""
    is_refused: bool = False
    """The last answer was not stored, for the reason in ``note``; do not send it again."""

    def class_name(self, uid: ClassUid | None) -> str:
        """Name of a class, or ``?`` if it is gone."""
        return next((c.name for c in self.classes if c.uid == uid), "?")

    def label_name(self, label: Label | None) -> str:
        """Names of the classes that a label names, or ``?`` without one."""
        return ", ".join(map(self.class_name, label.classes)) if label else "?"


def join_notices(*notices: str) -> str:
    """Join several notices."""
    return "; ".join(filter(None, notices))
