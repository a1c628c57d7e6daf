"""An operator who knows every class and counts the keys per label in the terminal.

Keys are those of the label screen and of the grid: class key or Enter for a single image, ``g`` and
``Esc`` to change screens, arrows and class keys for wrong cells, Enter for a page.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from dgaal_cli.ids import ClassUid, SampleId
from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import LabelView, Press
from dgaal_cli.tui.grid import GridModel
from tests.support.class_labels import as_label

MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(kw_only=True)
class Effort:
    """Keys and labels of the whole query."""

    keys: int = 0
    labels: int = 0
    right: int = 0
    guessed: int = 0
    guessed_right: int = 0
    by_page: int = 0

    @property
    def keys_per_correct_label(self) -> float:
        return self.keys / max(1, self.right)

    @property
    def guess_accuracy(self) -> float:
        return self.guessed_right / max(1, self.guessed)


def label_everything(
    session: LabelSession,
    truth: Mapping[SampleId, ClassUid],
    *,
    uses_grid: bool,
    singly_first: int = 60,
    singly_between: int = 40,
    page: tuple[int, int] = (6, 3),
) -> Effort:
    """Answer the whole open query; ``truth`` has the class of every image."""
    effort = Effort()
    view = session.view()
    until_grid = singly_first
    while view.image is not None:
        if uses_grid and until_grid <= 0:
            view = _confirm_pages(session, view, truth, effort, page)
            until_grid = singly_between
            continue
        view = _answer_singly(session, view, truth, effort)
        until_grid -= 1
    return effort


def _answer_singly(
    session: LabelSession, view: LabelView, truth: Mapping[SampleId, ClassUid], effort: Effort
) -> LabelView:
    image = view.image
    assert image is not None
    uid = truth[image.sample_id]
    _note_guess(effort, image.predicted, uid)
    effort.keys += 1  # Enter if the shown guess is correct, else the key of the class
    effort.labels += 1
    effort.right += 1
    ui = "hidden" if image.is_blind else "probs"
    press = Press(
        op_id=new_op_id(), kind="label", item_id=image.item_id, label=as_label(uid), ui=ui
    )
    return session.answer(press)


def _confirm_pages(
    session: LabelSession,
    view: LabelView,
    truth: Mapping[SampleId, ClassUid],
    effort: Effort,
    page: tuple[int, int],
) -> LabelView:
    model = GridModel()
    model.offer(session.grid())
    model.resize(*page)
    if len(model.listed) < model.size:
        return _answer_singly(session, view, truth, effort)
    effort.keys += 2  # g, and Esc at the end
    while len(model.listed) >= model.size // 2:
        for at, image in enumerate(model.cells):
            uid = truth[image.sample_id]
            _note_guess(effort, image.predicted, uid)
            if image.predicted != uid:
                effort.keys += _steps(model, at) + 1
                model.at = at
                model.relabel(uid)
        presses = model.presses(None)
        effort.keys += 1
        effort.labels += len(presses)
        effort.by_page += len(presses)
        effort.right += len(presses)  # every wrong cell was relabeled
        view = session.answer_page(presses)
        model.offer(session.grid())
    return view


def _note_guess(effort: Effort, guess: ClassUid | None, uid: ClassUid) -> None:
    if guess is not None:
        effort.guessed += 1
        effort.guessed_right += guess == uid


def _steps(model: GridModel, target: int) -> int:
    """Return the minimum number of arrow keys from the cursor to a cell."""
    start = model.at
    reached = {start: 0}
    waiting = deque([start])
    while waiting:
        at = waiting.popleft()
        if at == target:
            break
        for move in MOVES:
            model.at = at
            model.move(*move)
            if model.at not in reached:
                reached[model.at] = reached[at] + 1
                waiting.append(model.at)
    model.at = start
    return reached[target]
