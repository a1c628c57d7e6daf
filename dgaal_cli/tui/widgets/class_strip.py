"""The classes in one line, for an image that has the whole screen."""

from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.tui import theme
from dgaal_cli.tui.keymap import spell_key
from dgaal_cli.tui.widgets.lines import Pieces, line, width_of
from dgaal_cli.tui.widgets.scene import Scene


def class_strip(scene: Scene, width: int) -> Strip:
    """Draw the visible guess, then as many classes as fit, each with its key."""
    codes = scene.keymap.code_of
    known = [c for c in scene.view.classes if codes.get(c.uid, "").startswith(scene.prefix)]
    tail = _tail(scene)
    room = width - width_of(tail)
    pieces: Pieces = ((f" {scene.prefix}… ", theme.BAR_WARN),) if scene.prefix else ()
    if scene.guess:
        name = show(scene.view.class_name(scene.guess[1]))
        pieces += ((f" ⏎ ▸ {name}{_share(scene)} ", theme.BAR_GOOD),)
    for at, record in enumerate(known):
        entry = _entry(record, codes.get(record.uid, ""))
        is_last = at == len(known) - 1
        if width_of((*pieces, *entry)) > room - (0 if is_last else 2):
            pieces += (("…", theme.BAR_DIM),)
            break
        pieces += entry
    return line(width, pieces, tail, theme.BAR_BASE)


def _entry(record: ClassRecord, code: str) -> Pieces:
    return ((f" {code}", theme.BAR_KEY), (f" {show(record.name)} ", theme.BAR_BASE))


def _share(scene: Scene) -> str:
    image = scene.image
    share = dict(image.probabilities).get(scene.guess[1]) if image and scene.guess else None
    return "" if share is None else f" {share:.0%}"


def _tail(scene: Scene) -> Pieces:
    keys = ((name, next(iter(scene.keymap.keys_of(name)), "")) for name in ("undo", "help"))
    alone = next(iter(scene.keymap.keys_of("alone")), "")
    entries = [(spell_key(key), name) for name, key in (*keys, ("panel", alone)) if key]
    return tuple(
        piece
        for key, title in entries
        for piece in ((f" {key}", theme.BAR_KEY), (f" {title.title()} ", theme.BAR_BASE))
    )
