"""The review's list of answers: which are kept, and how each is told."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import LabelView, StandingAnswer
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.widgets.lines import Piece, Pieces, box_bottom, box_top, boxed, pad


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which answers are listed."""

    class_uid: ClassUid | None = None
    is_flagged: bool = False
    disagrees: bool = False
    is_hinted: bool = False
    """Given with the guess in sight."""

    def keeps(self, given: StandingAnswer) -> bool:
        """Tell whether an answer is listed."""
        return (
            (self.class_uid is None or given.class_uid == self.class_uid)
            and (not self.is_flagged or given.is_flagged)
            and (not self.disagrees or given.disagrees)
            and (not self.is_hinted or given.is_hinted)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewScene:
    """What the list shows."""

    shown: Sequence[StandingAnswer]
    answers: Sequence[StandingAnswer]
    """Shown or not."""
    at: int
    view: LabelView
    keymap: Keymap


def asked(given: StandingAnswer) -> str:
    """How the question was put."""
    return "hinted" if given.is_hinted else "blind" if given.is_blind else "hints off"


def review_rows(scene: ReviewScene, width: int, height: int) -> list[Strip]:
    """The list around the marked answer, in a box."""
    shown, room = scene.shown, height - 2
    first = max(0, min(scene.at - room // 2, len(shown) - room))
    rows = [box_top(width, ((" answers, newest first ", theme.TITLE),), theme.LINE)]
    for index, given in enumerate(shown[first : first + room], start=first):
        rows.append(boxed(width, *_line(scene, given, is_marked=index == scene.at, width=width)))
    if not shown:
        told = "no answer fits the filter" if scene.answers else "no answer yet"
        rows.append(boxed(width, ((told, theme.DIM),)))
    rows += [boxed(width, ())] * (height - 1 - len(rows))
    return [*rows, box_bottom(width, _agreement(scene.answers, width), theme.LINE)]


def _agreement(answers: Sequence[StandingAnswer], width: int) -> Pieces:
    """How often answers agree with the guess, blind and hinted: what hints do to people."""
    words: list[str] = []
    for name in ("blind", "hinted", "hints off"):
        compared = [
            given
            for given in answers
            if given.kind == "label" and given.predicted is not None and asked(given) == name
        ]
        if compared:
            agreed = sum(given.predicted == given.class_uid for given in compared)
            words.append(f"{name} {agreed}/{len(compared)}")
    while words:
        said = f" as guessed: {', '.join(words)} "
        if len(said) + 4 <= width:
            return ((said, theme.DIM),)
        words.pop()
    return ()


def _line(
    scene: ReviewScene, given: StandingAnswer, *, is_marked: bool, width: int
) -> tuple[Pieces, Pieces]:
    code = scene.keymap.code_of.get(given.class_uid, "") if given.class_uid else ""
    name = show(scene.view.class_name(given.class_uid))
    said = "✗ can't tell" if given.kind == "cannot_tell" else f"{code} {name}".strip()
    style = theme.STRONG if is_marked else theme.BASE
    left: list[Piece] = [("▸ " if is_marked else "  ", theme.GOOD_STRONG)]
    left += [("⚑ " if given.is_flagged else "  ", theme.WARN), (pad(said, 14), style)]
    if given.disagrees:
        left.append((f" model: {show(scene.view.class_name(given.model_says))}", theme.WARN))
    if width >= 50:
        left.append((f"  {show(given.sample_id)}", theme.FAINT))
    number = f" r{given.round}" if given.round is not None else ""
    return tuple(left), ((number, theme.DIM),)
