"""A page of guesses to confirm at a glance: the rules, without a screen.

Images come sorted by class and confidence. What is not marked becomes a label with the guess; what
is marked wrong is asked on the label screen; a class key says the right class at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tui.bridge import Press, QueryImage

SURE = 0.6
"""Guesses below this are not offered by default: confirming is for the easy ones."""
MAX_PAGE = 60
"""Nobody takes in more at a glance."""

MarkKind = Literal["guess", "wrong", "label", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What confirming the page will do with one image."""

    kind: MarkKind
    class_uid: ClassUid | None = None


GUESS = Mark("guess")
WRONG = Mark("wrong")
CANNOT_TELL = Mark("cannot_tell")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A page that was confirmed."""

    answered: frozenset[ItemId]
    wrong: frozenset[ItemId]


@dataclass(slots=True)
class GridMemory:
    """What was said on the pages of a round: an undo brings a page back as it was confirmed."""

    round: int | None = None
    said: dict[ItemId, Mark] = field(default_factory=dict[ItemId, Mark])
    """Marks of images that were confirmed otherwise than guessed."""
    pages: list[Confirmed] = field(default_factory=list[Confirmed])

    def begin(self, round_: int | None) -> None:
        """Forget other rounds: their images may be asked again, with other guesses."""
        if round_ != self.round:
            self.round = round_
            self.said.clear()
            self.pages.clear()


class GridModel:
    """Pages, a cursor, and marks."""

    def __init__(self, memory: GridMemory | None = None) -> None:
        self._memory = memory or GridMemory()
        self._offered: tuple[QueryImage, ...] = ()
        self._aside = {item for page in self._memory.pages for item in page.wrong}
        self._marks: dict[ItemId, Mark] = {}
        self._by_doubt: list[int] = []
        self.columns = 1
        self.rows = 1
        self.page = 0
        self.at = 0
        self.is_doubtful_shown = False

    def offer(self, images: Sequence[QueryImage]) -> None:
        """Take what there is to confirm now.

        Marks of images that are gone are dropped; images that come back have theirs again.
        """
        before = {image.item_id for image in self._offered}
        self._offered = tuple(images)
        known = {image.item_id for image in images}
        back = self._memory.said.keys() & known - before
        self._marks = {item: mark for item, mark in self._marks.items() if item in known}
        self._marks |= {item: self._memory.said[item] for item in back - self._aside}
        self._settle(0)

    def resize(self, columns: int, rows: int) -> None:
        """Fit pages to the screen; the image under the cursor stays under it."""
        first = self.page * self.size
        self.columns, self.rows = max(1, columns), max(1, rows)
        while self.columns * self.rows > MAX_PAGE and self.rows > 1:
            self.rows -= 1
        at = first + self.at
        self.page = at // self.size
        self._settle(at % self.size)

    @property
    def size(self) -> int:
        """Images a page."""
        return self.columns * self.rows

    @property
    def listed(self) -> list[QueryImage]:
        """Everything on all pages."""
        return [
            image
            for image in self._offered
            if image.item_id not in self._aside
            and (self.is_doubtful_shown or image.confidence >= SURE)
        ]

    @property
    def left_out(self) -> int:
        """Images with a guess that is too unsure to be offered."""
        return sum(s.confidence < SURE for s in self._offered) if not self.is_doubtful_shown else 0

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-len(self.listed) // self.size)

    @property
    def cells(self) -> list[QueryImage]:
        """Images of the page."""
        first = self.page * self.size
        return self.listed[first : first + self.size]

    @property
    def next_cells(self) -> list[QueryImage]:
        """Images of the following page, for decoding ahead."""
        first = (self.page + 1) * self.size
        return self.listed[first : first + self.size]

    @property
    def marked(self) -> QueryImage | None:
        """The image under the cursor."""
        cells = self.cells
        return cells[self.at] if self.at < len(cells) else None

    def mark_of(self, item_id: ItemId) -> Mark:
        """What confirming would do with an image."""
        return self._marks.get(item_id, GUESS)

    @property
    def corrected(self) -> int:
        """Images of the page that are not confirmed as guessed."""
        return sum(self.mark_of(image.item_id) is not GUESS for image in self.cells)

    @property
    def unconfirmed(self) -> int:
        """Images of any page with a mark that no confirmed page has stored."""
        return len(self._marks)

    # What keys do

    def move(self, right: int, down: int) -> None:
        """Move the cursor; it stays on the page."""
        count = len(self.cells)
        if not count:
            return
        column = min(max(self.at % self.columns + right, 0), self.columns - 1)
        target = self.at // self.columns * self.columns + column + down * self.columns
        if right and not down:
            target = min(max(self.at + right, 0), count - 1)
        if 0 <= target < count:
            self.at = target

    def to_doubt(self) -> None:
        """Move to the least sure image of the page, then the next least sure, and so on."""
        cells = self.cells
        if not self._by_doubt:
            self._by_doubt = sorted(range(len(cells)), key=lambda i: cells[i].confidence)
        if self._by_doubt:
            self.at = self._by_doubt.pop(0)

    def toggle(self, mark: Mark) -> None:
        """Set a mark on the image under the cursor, or take it off."""
        image = self.marked
        if image is None:
            return
        if self._marks.get(image.item_id) == mark:
            del self._marks[image.item_id]
        else:
            self._marks[image.item_id] = mark

    def relabel(self, uid: ClassUid) -> None:
        """Say the class of the image under the cursor and move on."""
        image = self.marked
        if image is None:
            return
        if image.predicted == uid:
            self._marks.pop(image.item_id, None)
        else:
            self._marks[image.item_id] = Mark("label", uid)
        self.move(1, 0)

    def toggle_all(self) -> None:
        """Mark the whole page wrong, or nothing of it."""
        items = [image.item_id for image in self.cells]
        is_all = all(self.mark_of(item) is WRONG for item in items)
        for item in items:
            if is_all:
                self._marks.pop(item, None)
            else:
                self._marks[item] = WRONG

    def turn(self, pages: int) -> None:
        """Look at another page; nothing is confirmed."""
        target = min(max(self.page + pages, 0), max(0, self.pages - 1))
        if target != self.page:
            self.page = target
            self._settle(0)

    def toggle_doubtful(self) -> None:
        """Offer unsure guesses too, or no longer."""
        self.is_doubtful_shown = not self.is_doubtful_shown
        self.page = 0
        self._settle(0)

    def presses(self, new_op_id: Callable[[], str], elapsed_ms: int | None) -> list[Press]:
        """The answers that confirming the page gives; time is shared by its images."""
        made: list[Press] = []
        each = None if elapsed_ms is None else elapsed_ms // max(1, len(self.cells))
        for image in self.cells:
            mark = self.mark_of(image.item_id)
            if mark.kind == "wrong":
                continue
            is_junk = mark.kind == "cannot_tell"
            made.append(
                Press(
                    op_id=new_op_id(),
                    kind="cannot_tell" if is_junk else "label",
                    item_id=image.item_id,
                    class_uid=None if is_junk else mark.class_uid or image.predicted,
                    elapsed_ms=each,
                    ui="prefilled",
                )
            )
        return made

    def leave_out(self, items: Sequence[ItemId]) -> None:
        """Mark images that could not be shown: nobody confirms what nobody saw."""
        for item in items:
            self._marks[item] = WRONG

    def put_aside(self) -> int:
        """Take what is marked wrong off the pages: the label screen asks it; return how many.

        The page counts as confirmed from now on.
        """
        said = {s.item_id: self._marks.pop(s.item_id, GUESS) for s in self.cells}
        wrong = frozenset(item for item, mark in said.items() if mark is WRONG)
        for item, mark in said.items():
            self._memory.said.pop(item, None)
            if mark is not GUESS:
                self._memory.said[item] = mark
        self._memory.pages.append(Confirmed(frozenset(said) - wrong, wrong))
        self._aside |= wrong
        self._settle(0)
        return len(wrong)

    def bring_back(self, images: Sequence[QueryImage]) -> None:
        """Take what there is to confirm after an undo: the page comes back as it was confirmed.

        So do pages after it of which nothing was stored, as all of them was wrong.
        """
        known = {image.item_id for image in images}
        pages = self._memory.pages
        undone = next((at for at, page in enumerate(pages) if page.answered & known), len(pages))
        for page in pages[undone:]:
            self._aside -= page.wrong
            self._marks |= dict.fromkeys(page.wrong & known, WRONG)
        del pages[undone:]
        self.offer(images)

    def _settle(self, at: int) -> None:
        self.page = min(self.page, max(0, self.pages - 1))
        self.at = min(at, max(0, len(self.cells) - 1))
        self._by_doubt = []
