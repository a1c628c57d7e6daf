"""The right column: classes with keys, guess and count; round; learning curve; last answers."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.labeling.neighbors import MAX_NEIGHBORS
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import StandingAnswer
from dgaal_cli.tui.keymap import spell_key
from dgaal_cli.tui.phrases import accuracy_text, is_measurable
from dgaal_cli.tui.widgets.curve import curve_lines
from dgaal_cli.tui.widgets.lines import (
    Piece,
    Pieces,
    bar,
    box,
    box_bottom,
    box_top,
    boxed,
    boxed_segments,
    duration,
    line,
    pad,
    width_of,
)
from dgaal_cli.tui.widgets.scene import Scene

THUMB_GAP = 2
MAX_CAPTION = 16
"""Cells of a thumbnail's caption: longer class names are cut."""
MAX_CAPTIONS = 6
"""Answers whose names decide how wide captions are."""
MIN_NEIGHBOR_ROWS, MAX_NEIGHBOR_ROWS = 3, 8
_NAME_ONLY = 20
"""Columns up to which a class line has room for the name alone."""
_MIN_COLUMN = 10
"""Narrower columns would cut every class name."""
_MAX_BAR = 22
"""Longer bars would be too far from their percentages."""
Thumb = list[list[Segment]]


Thumbs = Callable[[ItemId, int], Thumb | None]
"""Returns the thumbnail of an item, ``rows`` high and ``2 * rows`` wide; None if not ready."""


def panel_rows(
    scene: Scene, thumbs: Thumbs, neighbor_thumbs: Thumbs, *, width: int, height: int
) -> list[Strip]:
    """Draw the panel, at most ``height`` strips of ``width`` >= 16 cells."""
    rows = _class_rows(scene, width, height)
    left = height - len(rows)
    is_roomy = width >= 36
    round_rows = _round_rows(scene, width, is_short=left < 18) if is_roomy else []
    if len(round_rows) <= left:
        rows += round_rows
        left -= len(round_rows)
    else:
        p = scene.view.progress
        text = f" labeled {p.labeled} · can't {p.cannot_tell} · left {p.left}"
        if width < cell_len(text):
            text = f" {p.labeled} done, {p.left} left"
        return rows + [line(width, ((text, theme.DIM),))][:left]
    near = _neighbor_rows(scene, neighbor_thumbs, width, left) if is_roomy else []
    rows += near
    left -= len(near)
    history = _history_rows(scene, thumbs, width, left) if is_roomy and scene.view.history else []
    left -= len(history)
    has_curve = any(is_measurable(point.measured) for point in scene.view.curve)
    if is_roomy and left >= 6 and has_curve:
        rows += _curve_rows(scene, width, left)
    rows += history
    return rows[:height]


def _class_rows(scene: Scene, width: int, height: int) -> list[Strip]:
    view = scene.view
    code_of, prefix = scene.keymap.code_of, scene.prefix
    classes = [c for c in view.classes if code_of.get(c.uid, "").startswith(prefix)]
    room = max(1, height - 2)
    title: list[Piece] = [(" class ", theme.TITLE)]
    if scene.prefix:
        title = [(f" {scene.prefix}… second key ", theme.WARN)]
    elif scene.is_guess_visible and 36 <= width < 42:
        title = [(" class · guess · labeled ", theme.TITLE)]
    elif scene.is_guess_visible and width >= 42:
        title = [(" class · model's guess · labeled ", theme.TITLE)]
    elif width >= 28:
        title = [(" class · labeled ", theme.TITLE)]
    label: Pieces = ((" ⏎ accepts ▸ ", theme.GOOD),) if scene.is_guess_visible else ()
    if not view.classes:
        key = spell_key(next(iter(scene.keymap.keys_of("add")), "a"))
        press = (("press ", theme.BASE), (f" {key} ", theme.KEYCAP), (" to add one", theme.BASE))
        lines = ((("no classes yet", theme.STRONG),), press)
        return box(width, tuple(title), lines)[: max(2, height)]
    most = max(1, (width - 4) // _MIN_COLUMN)
    columns = min(4, most, -(-len(classes) // room)) if classes else 1
    if columns > 1 and scene.keymap.is_two_key and not scene.prefix:
        lines = _group_lines(scene, width)
    elif columns == 1:
        max_count = max([*view.by_class.values(), 1])
        max_width = max(cell_len(show(c.name)) for c in view.classes)
        lines = [
            _class_line(scene, c, width, max_count=max_count, max_width=max_width) for c in classes
        ]
    else:
        lines = _class_columns(scene, classes, width, room, columns)
        label = _accepts(scene, width)  # by name: its class may be hidden
    if width <= _NAME_ONLY:
        below = (line(width, _accepts(scene, width + 6)),) if label else ()
        return [line(width, tuple(title)), *lines[: room + 1 - len(below)], *below]
    top = box_top(width, tuple(title), theme.LINE)
    return [top, *lines[:room], box_bottom(width, label, theme.LINE)]


def _accepts(scene: Scene, width: int) -> Pieces:
    """The class that Enter accepts, by name."""
    if not scene.guess:
        return ()
    name = show(scene.view.class_name(scene.guess[1]))
    return ((f" ⏎ ▸ {pad(name, min(cell_len(name), width - 10))} ", theme.GOOD),)


def _class_line(
    scene: Scene, c: ClassRecord, width: int, *, max_count: int, max_width: int
) -> Strip:
    image = scene.image
    share = dict(image.probabilities).get(c.uid) if image else None
    return _class_strip(
        width,
        code=scene.keymap.code_of.get(c.uid, " "),
        name=show(c.name),
        max_width=max_width,
        count=scene.view.by_class.get(c.uid, 0),
        max_count=max_count,
        share=share if scene.is_guess_visible else None,
        is_guess_visible=scene.is_guess_visible,
        marker=(" ▸ ", theme.GOOD_STRONG) if scene.is_guessed(c.uid) else _mark_of(scene, c.uid),
    )


@lru_cache(maxsize=4096)
def _class_strip(  # noqa: PLR0913 - all inputs of a line, as the cache key
    width: int,
    *,
    code: str,
    name: str,
    max_width: int,
    count: int,
    max_count: int,
    share: float | None,
    is_guess_visible: bool,
    marker: Piece,
) -> Strip:
    inner, is_top = width - 4, marker[0] == " ▸ "
    cap = theme.KEYCAP_TOP if is_top else theme.KEYCAP
    name_style = theme.GOOD_STRONG if is_top else theme.BASE
    left: list[Piece] = [(f" {code} ", cap), marker]
    counted = str(count).rjust(5)
    used = width_of(left) + len(counted)
    if width <= _NAME_ONLY:  # the name matters more than its count and a border
        left = [(f" {code} ", cap), (marker[0].strip() or " ", marker[1])]
        return line(width, (*left, (pad(name, width - width_of(left)), name_style)))
    if inner < 32:
        left.append((pad(name, inner - used), name_style))
        return boxed(width, tuple(left), ((counted, theme.DIM),))
    max_name = max(8, inner - used - 1 - (6 if is_guess_visible else 0))
    name_width = min(max_width, max_name)
    left.append((pad(name, name_width) + " ", name_style))
    room = max(0, inner - used - name_width - 1)
    if not is_guess_visible:
        room = min(max(0, room - 1), _MAX_BAR)
        left.append((bar(count / max_count, room), theme.COUNT_BAR))
        return boxed(width, tuple(left), ((counted, theme.DIM),))
    room = min(max(0, room - 6), _MAX_BAR)
    bar_style = theme.GUESS_TOP if is_top else theme.GUESS_BAR
    left.append((bar(share or 0.0, room) if share is not None else " " * room, bar_style))
    percent = f"{share:.0%}".rjust(5) if share is not None else " " * 5
    percent_style = theme.STRONG if is_top else theme.DIM
    return boxed(width, tuple(left), ((percent, percent_style), (counted, theme.DIM)))


def _mark_of(scene: Scene, uid: ClassUid) -> Piece:
    """Return ``↶`` at the class of an undone answer."""
    before = scene.view.before
    image = scene.image
    if before and image and before.names(uid) and before.item_id == image.item_id:
        return " ↶ ", theme.WARN
    return "   ", theme.BASE


def _group_lines(scene: Scene, width: int) -> list[Strip]:
    """One line per first key of a two-key code, with its classes; the guess is the first line."""
    groups: dict[str, list[ClassRecord]] = {}
    for c in scene.view.classes:
        groups.setdefault(scene.keymap.code_of.get(c.uid, "")[:1], []).append(c)
    lines: list[Strip] = []
    if scene.guess:
        code = scene.keymap.code_of.get(scene.guess[1], "")
        name = show(scene.view.class_name(scene.guess[1]))
        cap: Piece = (f" {code} ", theme.KEYCAP_TOP)
        lines.append(boxed(width, (cap, (" ▸ ", theme.GOOD_STRONG), (name, theme.GOOD_STRONG))))
    room = max(4, (width - 4 - 4 - 5) // 2)
    for key, members in groups.items():
        first, last = (pad(show(c.name), room).rstrip() for c in (members[0], members[-1]))
        if not key:
            search = spell_key(next(iter(scene.keymap.keys_of("search")), "/"))
            notice = f"{len(members)} more: {search} finds a class"
            lines.append(boxed(width, ((notice, theme.WARN),)))
            continue
        span = first if len(members) == 1 else f"{first} … {last}"
        lines.append(boxed(width, ((f" {key}… ", theme.KEYCAP), (f" {span}", theme.BASE))))
    return lines


def _class_columns(
    scene: Scene, classes: list[ClassRecord], width: int, room: int, columns: int
) -> list[Strip]:
    """Several columns of key and name, ordered by column."""
    inner = width - 4
    size = inner // columns
    height = min(room, -(-len(classes) // columns))
    lines: list[Strip] = []
    for y in range(height):
        pieces: list[Piece] = []
        for x in range(columns):
            index = x * height + y
            if index >= len(classes):
                break
            c = classes[index]
            code = scene.keymap.code_of.get(c.uid, "")
            is_top = scene.is_guessed(c.uid)
            cap = theme.KEYCAP_TOP if is_top else theme.KEYCAP
            if code:
                pieces.append((f" {code} ", cap))
            room_for_name = size - (len(code) + 2 if code else 0) - 1
            style = theme.GOOD_STRONG if is_top else theme.BASE
            pieces.append((" " + pad(show(c.name), room_for_name), style))
        lines.append(boxed(width, tuple(pieces)))
    hidden = len(classes) - columns * height
    if hidden > 0 and lines:
        key = spell_key(next(iter(scene.keymap.keys_of("search")), "/"))
        lines[-1] = boxed(width, ((f"… {hidden + columns} more: {key} finds a class", theme.WARN),))
    return lines


def _round_rows(scene: Scene, width: int, *, is_short: bool) -> list[Strip]:
    view = scene.view
    if view.round is None:
        return []
    p = view.progress
    facts: list[Pieces] = [
        (("labeled ", theme.DIM), (f"{p.labeled}", theme.STRONG)),
        (("can't tell ", theme.DIM), (f"{p.cannot_tell}", theme.STRONG)),
        (("skipped ", theme.DIM), (f"{p.skipped}", theme.STRONG)),
    ]
    left: Pieces = (("left ", theme.DIM), (f"{p.left}", theme.STRONG))
    if view.answer_s is not None and p.left:
        left += ((f" ≈ {duration(p.left * view.answer_s)}", theme.STRONG),)
    facts.append(left)
    agreed, compared = view.agreed
    if compared and not is_short:
        share = (f"{agreed}/{compared}", theme.STRONG)
        facts.append((("agree with the model ", theme.DIM), share))
    if view.estimate:
        known = f"{view.estimate.value:.1%} ({view.estimate.low:.0%} to {view.estimate.high:.0%})"
        facts.append((("accuracy on the pool ", theme.DIM), (known, theme.STRONG)))
    elif view.curve:
        newest = view.curve[-1]
        text = accuracy_text(newest.accuracy, newest.measured)
        facts.append((("accuracy ", theme.DIM), (text, theme.STRONG)))
    return box(width, ((" this round ", theme.TITLE),), _wrap(facts, width - 4))


def _wrap(facts: Sequence[Pieces], width: int) -> list[Pieces]:
    """Return the facts in lines of at most ``width`` cells, without breaks inside a fact."""
    lines: list[Pieces] = []
    for fact in facts:
        longer = (*lines[-1], ("   ", theme.BASE), *fact) if lines else fact
        if lines and width_of(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(fact)
    return lines


def _curve_rows(scene: Scene, width: int, height: int) -> list[Strip]:
    view = scene.view
    height = min(height, 16)
    points = [(p.labels, p.accuracy) for p in view.curve if is_measurable(p.measured)]
    lines = curve_lines(points, width=width - 4, height=height - 2, max_labels=view.budget)
    title = ((" accuracy against labels ", theme.TITLE),)
    return box(width, title, map(tuple, lines), height=height)


def _neighbor_rows(scene: Scene, thumbs: Thumbs, width: int, left: int) -> list[Strip]:
    """Draw the nearest labeled images with their classes, which hint at the answer."""
    cell = (width - 4 + THUMB_GAP) // MAX_NEIGHBORS
    thumb_rows = min((cell - THUMB_GAP) // 2, MAX_NEIGHBOR_ROWS, left - 3)
    if not scene.is_guess_visible or not scene.neighbors or thumb_rows < MIN_NEIGHBOR_ROWS:
        return []
    drawn = [thumbs(each.item_id, thumb_rows) if each else None for each in scene.neighbors]
    names = [show(scene.view.class_name(each.uid)) if each else "" for each in scene.neighbors]
    title = ((" labeled images most alike ", theme.TITLE),)
    captions = [(pad(name, cell - THUMB_GAP), theme.BASE) for name in names]
    return _gallery(width, title, drawn, captions, cell=cell, thumb_rows=thumb_rows)


def _history_rows(scene: Scene, thumbs: Thumbs, width: int, left: int) -> list[Strip]:
    thumb_rows = 5 if left >= 17 and width >= 66 else 4 if left >= 7 and width >= 48 else 3
    if left < thumb_rows + 3:
        return []
    names = (show(scene.view.label_name(g.label)) for g in scene.view.history[:MAX_CAPTIONS])
    longest = max((cell_len(name) for name in names), default=0) + 2  # with its key
    cell = max(2 * thumb_rows, min(longest, MAX_CAPTION)) + THUMB_GAP
    count = max(1, (width - 4 + THUMB_GAP) // cell)
    answers = scene.view.history[:count]
    title = ((" last answers, newest left ", theme.TITLE),)
    if not answers:
        hint = (("your last answers appear here", theme.DIM),)
        return box(width, title, [hint], height=thumb_rows + 3)
    drawn = [thumbs(g.item_id, thumb_rows) for g in answers]
    captions = [_caption(scene, g, cell - THUMB_GAP) for g in answers]
    return _gallery(width, title, drawn, captions, cell=cell, thumb_rows=thumb_rows)


def _gallery(
    width: int,
    title: Pieces,
    drawn: Sequence[Thumb | None],
    captions: Sequence[Piece],
    *,
    cell: int,
    thumb_rows: int,
) -> list[Strip]:
    """Draw a box of thumbnails in columns of ``cell``, with one line of captions below them."""
    blank = [Segment(" " * 2 * thumb_rows, theme.BASE)]
    fill = [Segment(" " * (cell - 2 * thumb_rows), theme.BASE)]
    rows: list[Strip] = []
    for y in range(thumb_rows):
        parts: list[Segment] = []
        for thumb in drawn:
            parts += [*(thumb[y] if thumb else blank), *fill]
        inner = Segment.adjust_line_length(parts, width - 4, theme.BASE)
        rows.append(boxed_segments(width, inner))
    gap: Piece = (" " * THUMB_GAP, theme.BASE)
    spaced = [piece for caption in captions for piece in (caption, gap)]
    top, *rest = box(width, title, [tuple(spaced[:-1])])
    return [top, *rows, *rest]


def _caption(scene: Scene, answer: StandingAnswer, width: int) -> Piece:
    if answer.kind == "label":
        code = scene.keymap.code_for(answer.label)
        name = show(scene.view.label_name(answer.label))
        text = name if code == name else f"{code} {name}".strip()
        style = theme.BASE
    else:
        text, style = (
            ("✗ can't", theme.WARN) if answer.kind == "cannot_tell" else ("↷ skip", theme.DIM)
        )
    if cell_len(text) > width:
        text = text.split(" ", 1)[0] if answer.kind != "label" else set_cell_size(text, width)
    return pad(text, width), style
