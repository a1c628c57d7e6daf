"""Model of the grid: pages of guesses to confirm, without a screen.

Images are sorted by class and confidence. Unmarked images are labeled with the guess, images marked
as wrong are asked on the label screen, and a class key assigns another class to the image under the
cursor, or to all selected images. A guess below the floor is not shown and never stored: such
images get a class by its key, or none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.tui.bridge import Press, QueryImage

MIN_CONFIDENCE = 0.6
"""Default floor: guesses below this confidence are not offered."""
MAX_PAGE = 60
"""Max images of a page: a person cannot check more at once."""

MarkKind = Literal["guess", "none", "wrong", "label", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What confirming the page does with one image."""

    kind: MarkKind
    class_uid: ClassUid | None = None


GUESS = Mark("guess")
NONE = Mark("none")
"""Nothing is stored: the image has no guess at or above the floor."""
WRONG = Mark("wrong")
CANNOT_TELL = Mark("cannot_tell")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmed page."""

    answered: frozenset[ItemId]
    wrong: frozenset[ItemId]


@dataclass(slots=True)
class GridMemory:
    """Confirmed pages of a round; an undo restores a page with its marks."""

    round: int | None = None
    marks: dict[ItemId, Mark] = field(default_factory=dict[ItemId, Mark])
    """Marks of images that were not confirmed with their guess."""
    pages: list[Confirmed] = field(default_factory=list[Confirmed])

    def begin(self, round_: int | None) -> None:
        """Clear the memory in a new round, where the same images may have other guesses."""
        if round_ != self.round:
            self.round = round_
            self.marks.clear()
            self.pages.clear()


class GridModel:
    """Pages, a cursor, and marks."""

    def __init__(self, memory: GridMemory | None = None, *, floor: float = MIN_CONFIDENCE) -> None:
        self._memory = memory or GridMemory()
        self._floor = floor
        self._selected: set[ItemId] = set()
        self._unsure: set[ItemId] = set()
        """Images without a guess at or above the floor."""
        self._offered: tuple[QueryImage, ...] = ()
        self._aside = {item for page in self._memory.pages for item in page.wrong}
        self._marks: dict[ItemId, Mark] = {}
        self._by_doubt: list[int] = []
        self._wrong_before: frozenset[ItemId] = frozenset()
        """Images that were marked as wrong one by one before the whole page was."""
        self.columns = 1
        self.rows = 1
        self.page = 0
        self.at = 0
        self.is_doubtful_shown = False

    def offer(self, images: Sequence[QueryImage]) -> None:
        """Set the images to confirm.

        Marks of removed images are dropped; images that return get their marks back.
        """
        if not self._offered:
            self.is_doubtful_shown = not any(map(self.has_guess, images))
        self._unsure = {image.item_id for image in images if not self.has_guess(image)}
        before = {image.item_id for image in self._offered}
        self._offered = tuple(images)
        known = {image.item_id for image in images}
        returned = self._memory.marks.keys() & known - before
        self._marks = {item: mark for item, mark in self._marks.items() if item in known}
        self._marks |= {item: self._memory.marks[item] for item in returned - self._aside}
        self._settle(0)

    def resize(self, columns: int, rows: int) -> None:
        """Set the page size; the cursor stays on its image."""
        first = self.page * self.size
        self.columns, self.rows = max(1, columns), max(1, rows)
        while self.columns * self.rows > MAX_PAGE and self.rows > 1:
            self.rows -= 1
        at = first + self.at
        self.page = at // self.size
        self._settle(at % self.size)

    @property
    def size(self) -> int:
        """Images per page."""
        return self.columns * self.rows

    @property
    def listed(self) -> list[QueryImage]:
        """Images of all pages."""
        return [
            image
            for image in self._offered
            if image.item_id not in self._aside
            and (self.is_doubtful_shown or self.has_guess(image))
        ]

    @property
    def left_out(self) -> int:
        """Number of images whose guess is too uncertain to be shown."""
        if self.is_doubtful_shown:
            return 0
        return sum(not self.has_guess(image) for image in self._offered)

    @property
    def pages(self) -> int:
        """Number of pages."""
        return -(-len(self.listed) // self.size)

    @property
    def cells(self) -> list[QueryImage]:
        """Images of the current page."""
        return self.listed[self.page * self.size :][: self.size]

    @property
    def next_cells(self) -> list[QueryImage]:
        """Images of the next page, to be decoded in advance."""
        return self.listed[(self.page + 1) * self.size :][: self.size]

    @property
    def marked(self) -> QueryImage | None:
        """The image under the cursor."""
        cells = self.cells
        return cells[self.at] if self.at < len(cells) else None

    def mark_of(self, item_id: ItemId) -> Mark:
        """Return what confirming the page does with an image."""
        return self._marks.get(item_id) or (NONE if item_id in self._unsure else GUESS)

    def has_guess(self, image: QueryImage) -> bool:
        """Return whether the guess of an image is sure enough to be shown and stored."""
        return image.predicted is not None and image.confidence >= self._floor

    def is_selected(self, item_id: ItemId) -> bool:
        """Return whether the next class key labels this image."""
        return item_id in self._selected

    @property
    def selected(self) -> int:
        """Number of selected images."""
        return len(self._selected)

    @property
    def corrected(self) -> int:
        """Number of images of the page that do not get their guess."""
        return sum(image.item_id in self._marks for image in self.cells)

    @property
    def unconfirmed(self) -> int:
        """Number of marks, on all pages, that are not stored."""
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

    def go_to(self, item_id: ItemId) -> None:
        """Move to the page and the cell of an image, if it is listed."""
        places = [image.item_id for image in self.listed]
        if item_id in places:
            self.page, at = divmod(places.index(item_id), self.size)
            self._settle(at)

    def to_doubt(self) -> None:
        """Move to the least certain image of the page, then to the next one, and so on."""
        cells = self.cells
        if not self._by_doubt:
            self._by_doubt = sorted(range(len(cells)), key=lambda i: cells[i].confidence)
        if self._by_doubt:
            self.at = self._by_doubt.pop(0)

    def toggle(self, mark: Mark) -> None:
        """Set or remove a mark of the image under the cursor."""
        image = self.marked
        if image and not (mark is WRONG and self.mark_of(image.item_id) is NONE):
            self._set(image, GUESS if self.mark_of(image.item_id) == mark else mark)

    def select(self) -> None:
        """Select the image under the cursor for a class, or not, and move to the next."""
        if image := self.marked:
            self._selected ^= {image.item_id}
            self.move(1, 0)

    def click(self, at: int) -> None:
        """Move the cursor to a cell of the page, and select its image for a class, or not."""
        if 0 <= at < len(self.cells):
            self.at = at
            self._selected ^= {self.cells[at].item_id}

    def select_all(self) -> None:
        """Select all images of the page for a class, or none."""
        items = {image.item_id for image in self.cells}
        self._selected = set() if items <= self._selected else items

    def relabel(self, uid: ClassUid) -> None:
        """Assign a class to the selected images, or to the one under the cursor and move on."""
        if self._selected:
            for image in self.cells:
                if image.item_id in self._selected:
                    self._assign(image, uid)
            self._selected.clear()
        elif image := self.marked:
            self._assign(image, uid)
            self.move(1, 0)

    def _assign(self, image: QueryImage, uid: ClassUid) -> None:
        is_guess = image.predicted == uid and self.has_guess(image)
        self._set(image, GUESS if is_guess else Mark("label", uid))

    def toggle_all(self) -> None:
        """Mark all guesses of the page as wrong; again: only those marked before, one by one."""
        cells = [s for s in self.cells if self.mark_of(s.item_id) in (GUESS, WRONG)]
        is_all = all(self.mark_of(image.item_id) is WRONG for image in cells)
        if not is_all:
            marked = (s.item_id for s in cells if self.mark_of(s.item_id) is WRONG)
            self._wrong_before = frozenset(marked)
        for image in cells:
            is_right = is_all and image.item_id not in self._wrong_before
            self._set(image, GUESS if is_right else WRONG)

    def _set(self, image: QueryImage, mark: Mark) -> None:
        if mark is GUESS:
            self._marks.pop(image.item_id, None)
        else:
            self._marks[image.item_id] = mark

    def turn(self, pages: int) -> None:
        """Show another page without confirming."""
        target = min(max(self.page + pages, 0), max(0, self.pages - 1))
        if target != self.page:
            self.page = target
            self._settle(0)

    def toggle_doubtful(self) -> None:
        """Show or hide uncertain guesses."""
        self.is_doubtful_shown = not self.is_doubtful_shown
        self.page = 0
        self._settle(0)

    def presses(self, elapsed_ms: int | None) -> list[Press]:
        """Return the answers of the page; the time is divided among its images."""
        made: list[Press] = []
        each = None if elapsed_ms is None else elapsed_ms // max(1, len(self.cells))
        for image in self.cells:
            mark = self.mark_of(image.item_id)
            if mark.kind in ("wrong", "none"):
                continue
            has_no_class = mark.kind == "cannot_tell"
            uid = None if has_no_class else mark.class_uid or image.predicted
            made.append(
                Press(
                    kind="cannot_tell" if has_no_class else "label",
                    item_id=image.item_id,
                    label=class_label(uid) if uid else None,
                    elapsed_ms=each,
                    ui="prefilled" if self.has_guess(image) else "hidden",
                )
            )
        return made

    def leave_out(self, items: Sequence[ItemId]) -> None:
        """Mark images that could not be shown as wrong, because no person has seen them."""
        for item in items:
            self._marks[item] = WRONG

    def put_aside(self) -> int:
        """Remove the images marked as wrong from the pages; return their number.

        The label screen asks them. The page counts as confirmed.
        """
        marks = {s.item_id: self.mark_of(s.item_id) for s in self.cells}
        marks = {item: mark for item, mark in marks.items() if mark is not NONE}
        wrong = frozenset(item for item, mark in marks.items() if mark is WRONG)
        for item, mark in marks.items():
            self._marks.pop(item, None)
            self._memory.marks.pop(item, None)
            if mark is not GUESS:
                self._memory.marks[item] = mark
        self._memory.pages.append(Confirmed(frozenset(marks) - wrong, wrong))
        self._aside |= wrong
        self._settle(0)
        return len(wrong)

    def bring_back(self, images: Sequence[QueryImage]) -> None:
        """Set the images to confirm after an undo; the page gets its marks back.

        So do later pages that stored nothing because all their images were marked as wrong.
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
        self._selected &= {image.item_id for image in self.cells}
        self._wrong_before = frozenset()
        self._by_doubt = []
