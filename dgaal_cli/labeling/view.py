"""What a front end shows of a labeling session, and the answers that it sends: values only."""

from dataclasses import dataclass
from typing import Literal

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.labeling.standing_answers import StandingAnswer
from dgaal_cli.rounds.learning_curve import CurvePoint
from dgaal_cli.store.records import (
    ClassRecord,
    Label,
    QueryProgress,
    ShownAs,
)

State = Literal["labeling", "answered", "waiting", "empty"]
"""``answered``: the query is done; ``waiting``: the rest is with others; ``empty``: no query."""
NextStep = Literal["train", "query"]
AnswerName = Literal["label", "cannot_tell", "skip"]
Guesses = tuple[tuple[ClassUid, float], ...]
"""Classes with their probabilities, the likeliest first."""
LearnerState = Literal["none", "off", "on"]
"""``none``: no exported sampler of this round, so the query's own guesses are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One answer as the operator gave it; kept until it is saved, so that a retry is the same."""

    op_id: str
    kind: AnswerName
    item_id: ItemId
    label: Label | None = None
    elapsed_ms: int | None = None
    ui: ShownAs = "hidden"
    is_blind: bool = False
    """Hints were on and this image was asked without, to measure what they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryImage:
    """The image a person looks at, and what is known about it."""

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
    """What that one was labeled: a guess, and to be seen only where guesses are."""
    predicted: ClassUid | None = None
    probabilities: Guesses = ()
    is_flagged: bool = False
    is_blind: bool = False
    """Asked without hints even when hints are on."""
    is_learned: bool = False
    """The guess is the terminal's own learner's, not the one that came with the query."""

    @property
    def confidence(self) -> float:
        """Probability of the guess; 0 without one."""
        return dict(self.probabilities).get(self.predicted, 0.0) if self.predicted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelView:
    """Everything the terminal draws, as of the last COMMIT."""

    name: str
    annotator: str
    state: State
    round: int | None
    strategy: str
    classes: tuple[ClassRecord, ...]
    image: QueryImage | None
    before: StandingAnswer | None
    """The answer that was just taken back from this very image."""
    upcoming: tuple[QueryImage, ...]
    """What follows the image, as far as it can be foreseen."""
    progress: QueryProgress
    by_class: dict[ClassUid, int]
    labeled: int
    spent: int
    """Answers that count against the budget: labels and can't tell, of anybody."""
    next_step: NextStep
    """What comes after this query."""
    budget: int
    """0: no limit."""
    items: int
    history: tuple[StandingAnswer, ...]
    """Newest first."""
    agreed: tuple[int, int]
    """Of the labels given where the model had a guess: how many equal it, how many there are."""
    answer_s: float | None
    """Mean seconds an answer, over the last 20; None before the second."""
    curve: tuple[CurvePoint, ...]
    learner: LearnerState = "none"
    ranked_ahead: int = 0
    """Images ranked already to be asked while the next round trains."""
    extended: int = 0
    """Images that this session added to the query to keep labeling while the next round trains."""
    serial: int = 0
    """Counts the views of a session: a smaller number is older news."""
    note: str = ""
    """What the last call did, in words, where it is not plain from the rest."""
    is_refused: bool = False
    """The last answer was not stored, for the reason in ``note``; it is not to be sent again."""

    def class_name(self, uid: ClassUid | None) -> str:
        """Name of a class, or ``?`` if it is gone."""
        return next((c.name for c in self.classes if c.uid == uid), "?")

    def label_name(self, label: Label | None) -> str:
        """Names of the classes that a label names, or ``?`` without one."""
        return ", ".join(map(self.class_name, label.classes)) if label else "?"


def join_notices(*notices: str) -> str:
    """Several notices as one."""
    return "; ".join(filter(None, notices))
