"""The answer list of the review screen: its filter and its lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import LabelView, StandingAnswer
from dgaal_cli.tui.keymap import Keymap
from dgaal_cli.tui.widgets.lines import (
    Piece,
    Pieces,
    box_bottom,
    box_top,
    boxed,
    cut,
    pad,
    width_of,
)
from dgaal_cli.tui.widgets.review_search import ALL, Search


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Filter of the listed answers."""

    class_uid: ClassUid | None = None
    is_flagged: bool = False
    disagrees: bool = False
    is_hinted: bool = False
    """Answered while the guess was shown."""
    words: str = ""
    """What was typed for ``search``."""
    search: Search = ALL

    def keeps(self, answer: StandingAnswer) -> bool:
        """Return whether an answer passes the filter."""
        return (
            (self.class_uid is None or answer.names(self.class_uid))
            and (not self.is_flagged or answer.is_flagged)
            and (not self.disagrees or answer.disagrees)
            and (not self.is_hinted or answer.is_hinted)
            and self.search.keeps(answer)
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


_MIN_ANSWER, _MAX_ANSWER = 12, 28
"""Columns of an answer; 12 hold ``✗ can't tell``."""
_MIN_FILE = 8
"""Fewer columns show nothing of a file's name."""
_SHOWN, _HIDDEN, _OFF = "guess shown", "guess hidden", "guesses off"


def hint_state(answer: StandingAnswer) -> str:
    """Whether the guess was shown, hidden to compare both, or not asked for."""
    return _SHOWN if answer.is_hinted else _HIDDEN if answer.is_blind else _OFF


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
    counts: list[tuple[int, int, str]] = []
    for name in (_SHOWN, _HIDDEN, _OFF):
        compared = [
            answer
            for answer in answers
            if answer.kind == "label"
            and answer.predicted is not None
            and hint_state(answer) == name
        ]
        if compared:
            agreed = sum(answer.names(answer.predicted) for answer in compared)
            counts.append((agreed, len(compared), name))
    while counts:
        long = ", ".join(f"{agreed} of {total} with {name}" for agreed, total, name in counts)
        short = ", ".join(f"{agreed}/{total} {name}" for agreed, total, name in counts)
        for text in (f" as guessed: {long} ", f" as guessed: {short} ", f" {short} "):
            if len(text) + 4 <= width:
                return ((text, theme.DIM),)
        counts.pop()
    return ()


def _line(
    scene: ReviewScene, answer: StandingAnswer, *, is_marked: bool, width: int
) -> tuple[Pieces, Pieces]:
    """Answer and file in columns at the left; model, annotator and round at the right."""
    style = theme.STRONG if is_marked else theme.BASE
    left: list[Piece] = [("▸ " if is_marked else "  ", theme.GOOD_STRONG)]
    left.append(("⚑ " if answer.is_flagged else "  ", theme.WARN))
    number = f" r{answer.round}" if answer.round is not None else ""
    room = width - 4 - width_of(left) - cell_len(number)
    column = min(_answer_width(scene), room)
    left.append((pad(_answer_text(scene, answer), column), style))
    facts: list[Piece] = []
    if answer.disagrees:
        guess = show(scene.view.class_name(answer.newest_prediction))
        facts.append((f" model: {guess} ", theme.WARN))
    if answer.given_by:
        facts.append((f" by {show(answer.given_by)} ", theme.FAINT))
    facts = cut(facts, room - column)
    room -= column + width_of(facts) + 1
    name = show(answer.sample_id)
    if cell_len(name) > room:
        name = show(answer.sample_id.rpartition("/")[2])
    if room >= _MIN_FILE:
        left.append((f" {pad(name, room).rstrip()}", theme.FAINT))
    return tuple(left), (*facts, (number, theme.DIM))


def _answer_text(scene: ReviewScene, answer: StandingAnswer) -> str:
    if answer.kind == "cannot_tell":
        return "✗ can't tell"
    code = scene.keymap.code_for(answer.label)
    return f"{code} {show(scene.view.label_name(answer.label))}".strip()


def _answer_width(scene: ReviewScene) -> int:
    """Columns of the answers: the longest name of a class with its keys."""
    codes = scene.keymap.code_of
    named = (f"{codes.get(c.uid, '')} {show(c.name)}".strip() for c in scene.view.classes)
    return min(max([_MIN_ANSWER, *map(cell_len, named)]), _MAX_ANSWER)
