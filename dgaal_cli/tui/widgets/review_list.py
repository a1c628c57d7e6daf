"""The answer list of the review screen: its filter and its lines."""

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
    """Filter of the listed answers."""

    class_uid: ClassUid | None = None
    is_flagged: bool = False
    disagrees: bool = False
    is_hinted: bool = False
    """Answered while the guess was shown."""

    def keeps(self, answer: StandingAnswer) -> bool:
        """Return whether an answer passes the filter."""
        return (
            (self.class_uid is None or answer.names(self.class_uid))
            and (not self.is_flagged or answer.is_flagged)
            and (not self.disagrees or answer.disagrees)
            and (not self.is_hinted or answer.is_hinted)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewScene:
    """Content of the list."""

    shown: Sequence[StandingAnswer]
    answers: Sequence[StandingAnswer]
    """All answers, also those not shown."""
    at: int
    view: LabelView
    keymap: Keymap


def hint_state(answer: StandingAnswer) -> str:
    """Whether the guess was shown, hidden for a blind question, or off."""
    return "hinted" if answer.is_hinted else "blind" if answer.is_blind else "hints off"


def review_rows(scene: ReviewScene, width: int, height: int) -> list[Strip]:
    """Return the part of the list around the marked answer, in a box."""
    shown, room = scene.shown, height - 2
    first = max(0, min(scene.at - room // 2, len(shown) - room))
    rows = [box_top(width, ((" answers, newest first ", theme.TITLE),), theme.LINE)]
    for index, answer in enumerate(shown[first : first + room], start=first):
        rows.append(boxed(width, *_line(scene, answer, is_marked=index == scene.at, width=width)))
    if not shown:
        notice = "no answer fits the filter" if scene.answers else "no answer yet"
        rows.append(boxed(width, ((notice, theme.DIM),)))
    rows += [boxed(width, ())] * (height - 1 - len(rows))
    return [*rows, box_bottom(width, _agreement(scene.answers, width), theme.LINE)]


def _agreement(answers: Sequence[StandingAnswer], width: int) -> Pieces:
    """How often labels equal the guess, by hint state: shows how hints influence people."""
    counts: list[str] = []
    for name in ("blind", "hinted", "hints off"):
        compared = [
            answer
            for answer in answers
            if answer.kind == "label"
            and answer.predicted is not None
            and hint_state(answer) == name
        ]
        if compared:
            agreed = sum(answer.names(answer.predicted) for answer in compared)
            counts.append(f"{name} {agreed}/{len(compared)}")
    while counts:
        text = f" as guessed: {', '.join(counts)} "
        if len(text) + 4 <= width:
            return ((text, theme.DIM),)
        counts.pop()
    return ()


def _line(
    scene: ReviewScene, answer: StandingAnswer, *, is_marked: bool, width: int
) -> tuple[Pieces, Pieces]:
    code = scene.keymap.code_for(answer.label)
    name = show(scene.view.label_name(answer.label))
    text = "✗ can't tell" if answer.kind == "cannot_tell" else f"{code} {name}".strip()
    style = theme.STRONG if is_marked else theme.BASE
    left: list[Piece] = [("▸ " if is_marked else "  ", theme.GOOD_STRONG)]
    left += [("⚑ " if answer.is_flagged else "  ", theme.WARN), (pad(text, 14), style)]
    if answer.disagrees:
        left.append(
            (f" model: {show(scene.view.class_name(answer.newest_prediction))}", theme.WARN)
        )
    if width >= 50:
        left.append((f"  {show(answer.sample_id)}", theme.FAINT))
    if answer.given_by:
        left.append((f"  by {show(answer.given_by)}", theme.FAINT))
    number = f" r{answer.round}" if answer.round is not None else ""
    return tuple(left), ((number, theme.DIM),)
