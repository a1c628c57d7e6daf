"""The status line and the key bar: first and last line of the label screen."""

from collections.abc import Sequence
from itertools import chain

from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.keymap import Action, Keymap, spell_key
from dgaal_cli.tui.phrases import labels
from dgaal_cli.tui.widgets.lines import Piece, line, pad, progress_bar, width_of
from dgaal_cli.tui.widgets.scene import SaveState, Scene

MIN_BRAND_WIDTH = 56
"""Columns from which the status line shows the program's name."""
_MAX_NAME = 24
_FREQUENT = (
    "accept",
    "cannot_tell",
    "skip",
    "undo",
    "help",
    "grid",
    "hints",
    "alone",
    "zoom_in",
    "flag",
    "train",
)
_RARE = (
    "quit",
    "rounds",
    "review",
    "search",
    "learner",
    "add",
    "outside",
    "details",
    "invert",
    "glyphs",
)
_MUST_SHOW = ("help", "undo", "quit", "leave", "label")
_MORE: Piece = (" …", theme.BAR_DIM)
"""At the end of a key bar that has no room for all keys: help shows the rest."""
_WITHOUT_IMAGE = ("undo", "help", "add", "train", "quit", "review", "rounds")


def save_mark(state: SaveState) -> Piece:
    """Return the save state as one word."""
    return {
        "saved": (" ✔ saved ", theme.BAR_GOOD),
        "saving": (" … saving ", theme.BAR_WARN),
        "unsaved": (" ✖ NOT SAVED ", theme.BAR_BAD),
    }[state]


def status_line(scene: Scene, width: int) -> Strip:
    """Name, round, progress, budget, rate and save state, as space allows."""
    view = scene.view
    left: list[Piece] = [(" dgaal label ", theme.BRAND)] if width >= MIN_BRAND_WIDTH else []
    name = show(view.name)
    left.append(
        (f"  {pad(name, _MAX_NAME).rstrip() if len(name) > _MAX_NAME else name} ", theme.BAR_STRONG)
    )
    right = [save_mark(scene.save_state)]
    if view.round is None:
        activity: Piece = (f"  {scene.background or 'no open query'}", theme.BAR_DIM)
        return line(width, (*left, activity), tuple(right), theme.BAR_BASE)
    p = view.progress
    answered = p.size - p.left
    left.append((f" round {view.round} ", theme.BAR_BASE))
    optional = _optional(scene)
    counter: Piece = (f" {answered}/{p.size} ", theme.BAR_STRONG)
    free = width - width_of(left) - width_of(right) - width_of([counter])
    for piece in optional:
        if free - width_of([piece]) >= 12:
            right.insert(len(right) - 1, piece)
            free -= width_of([piece])
    room = min(free - 1, 60)
    if room >= 4:
        done, head, rest = progress_bar(answered / p.size if p.size else 1.0, room)
        left += [(" ", theme.BAR_BASE), (done + head, theme.BAR_GOOD), (rest, theme.BAR_TROUGH)]
    left.append(counter)
    return line(width, tuple(left), tuple(right), theme.BAR_BASE)


def _optional(scene: Scene) -> list[Piece]:
    view = scene.view
    pieces: list[Piece] = []
    if scene.background:
        pieces.append((f" {scene.background} ", theme.BAR_KEY))
    if view.budget:
        is_spent = view.spent >= view.budget
        style = theme.BAR_WARN if is_spent else theme.BAR_BASE
        pieces.append((f" budget {view.spent}/{view.budget} ", style))
    else:
        pieces.append((f" {labels(view.labeled)} ", theme.BAR_BASE))
    if view.answer_s:
        pieces.append((f" {60 / view.answer_s:.0f}/min ", theme.BAR_BASE))
    return pieces


def key_bar(keymap: Keymap, width: int, *, is_guess_visible: bool, is_labeling: bool) -> Strip:
    """The active keys, most used first, as many as fit; help, undo and quit are always shown."""
    entries: list[tuple[str, str, str]] = []
    class_keys = keymap.class_keys()
    if is_labeling and class_keys:
        entries.append(("label", class_keys, "Label"))
    for name in _FREQUENT + _RARE:
        keys = keymap.keys_of(name)
        if not keys or (name == "accept" and not is_guess_visible):
            continue
        if not is_labeling and name not in _WITHOUT_IMAGE:
            continue
        entries.append((name, spell_key(keys[0]), keymap.commands[keys[0]].title))
    entries.append(("palette", "^p", "Palette"))
    return _bar(entries, width)


def action_bar(actions: Sequence[Action], width: int, *, first: Sequence[tuple[str, str]]) -> Strip:
    """The keys of another screen, as many as fit; help and leave are always shown."""
    entries = [(title, key, title) for key, title in first if key]
    entries += [(a.name, a.spoken or spell_key(a.keys[0]), a.title) for a in actions if a.keys]
    return _bar(entries, width)


def _bar(entries: Sequence[tuple[str, str, str]], width: int) -> Strip:
    """Draw names, keys and titles; without room, drop the last names that need not be shown.

    An ellipsis at the end says that keys are left out.
    """
    kept = {
        name: ((f" {key}", theme.BAR_KEY), (f" {title} ", theme.BAR_BASE))
        for name, key, title in entries
    }
    if sum(map(width_of, kept.values())) <= width:
        return line(width, tuple(chain.from_iterable(kept.values())), (), theme.BAR_BASE)
    for name in reversed([*kept]):
        if name not in _MUST_SHOW and sum(map(width_of, kept.values())) > width - width_of([_MORE]):
            del kept[name]
    return line(width, tuple(chain.from_iterable(kept.values())), (_MORE,), theme.BAR_BASE)
