"""Texts of the label screen: captions, the last answer, and the next step without a query."""

import statistics
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import LabelView, Press, QueryImage, StandingAnswer
from dgaal_cli.tui.keymap import Keymap, spell_key
from dgaal_cli.tui.phrases import answer_text, labels
from dgaal_cli.tui.widgets.lines import Piece, Pieces, width_of

HASTY_MS = 300
"""Faster answers are counted as hasty."""


def key_of(keymap: Keymap, command: str) -> str:
    """Return the key of a command as text; the command's name if it has no key."""
    return next((spell_key(key) for key in keymap.keys_of(command)), command)


def why_lines(
    image: QueryImage | None, view: LabelView, *, count: int, width: int, is_guess_visible: bool
) -> list[Pieces]:
    """Return which image this is and why it is asked, in ``count`` lines: one or two.

    Figures are in the details. What the model doubts is a guess: it is shown only with guesses.
    """
    if image is None:
        return [()] * count
    name = show(image.sample_id)
    if cell_len(name) > width // 3:
        name = show(image.sample_id.rpartition("/")[2])
    head: list[Piece] = [(f" #{image.rank}", theme.STRONG)] if image.rank else []
    head.append((f" {name}", theme.BASE))
    reason = reason_of(image, view)
    verb, classes = doubt_of(image, view) if is_guess_visible else ("", "")
    doubt = f"the model {verb} {classes}" if classes else ""
    if count > 1:
        return [(*head, (f"  {reason}", theme.BASE)), ((f" {doubt}", theme.DIM),)]
    forms = (f"{reason}; {doubt}", f"{reason}; {classes}") if classes else ()
    room = width - width_of(head) - 2
    if cell_len(reason) > room and image.rank:
        head = head[:1]  # the details show the name
    fitting = next((form for form in forms if cell_len(form) <= room), reason)
    return [(*head, (f"  {fitting}", theme.DIM))]


def reason_of(image: QueryImage, view: LabelView) -> str:
    """Return why an image is asked."""
    by_method = f"asked by {show(view.strategy)}" if view.strategy else ""
    return show(image.reason) or by_method


def doubt_of(image: QueryImage, view: LabelView) -> tuple[str, str]:
    """Return what the model does, and the class that it says or between which it hesitates.

    It hesitates if the second class is at least half as probable as the first.
    """
    shares = sorted(image.probabilities, key=lambda pair: -pair[1])[:2]
    names = [f"{show(view.class_name(uid))} {share:.0%}" for uid, share in shares]
    if not names:
        return "", ""
    if len(shares) > 1 and 2 * shares[1][1] >= shares[0][1]:
        return "hesitates between", " and ".join(names)
    return "says", names[0]


def answer_caption(answer: Press | StandingAnswer, view: LabelView, keymap: Keymap) -> str:
    """Return an answer as short text."""
    name = show(view.label_name(answer.label))
    return answer_text(answer.kind, keymap.code_for(answer.label), name)


def resumed(count: int) -> Pieces:
    """First line of a resumed session."""
    text = f"resumed after {count} answer{'s' if count != 1 else ''}"
    return ((" ✔ ", theme.GOOD_STRONG), (text, theme.BASE))


def saved_line(answer: StandingAnswer | None, view: LabelView, keymap: Keymap) -> Pieces:
    """Return the last saved answer."""
    undo = key_of(keymap, "undo")
    if answer is None:
        return ((" every answer is saved as you give it", theme.FAINT),)
    text = answer_caption(answer, view, keymap)
    took = f"  {answer.elapsed_ms / 1000:.2f} s" if answer.elapsed_ms else ""  # 0: a redo
    return (
        (" ✔ ", theme.GOOD_STRONG),
        (text, theme.STRONG),
        (f"{took} · ", theme.DIM),
        (undo, theme.WARN),
        (" undoes", theme.DIM),
    )


def undone_line(before: StandingAnswer, view: LabelView, keymap: Keymap) -> Pieces:
    """Return the answer that was undone."""
    text = answer_caption(before, view, keymap)
    redo = key_of(keymap, "redo")
    return (
        (" ↶ ", theme.WARN),
        ("taken back: ", theme.DIM),
        (text, theme.STRONG),
        (" · ", theme.DIM),
        (redo, theme.WARN),
        (" brings it back", theme.DIM),
    )


def wrapped(notice: Pieces, width: int, count: int) -> list[Pieces]:
    """Return a notice in at most ``count`` lines; its last piece is broken between words."""
    if not notice or width_of(notice) <= width:
        return [notice]
    *marks, (text, style) = notice
    indent = width_of(marks)
    parts = textwrap.wrap(text, max(10, width - indent))
    parts = [*parts[: count - 1], " ".join(parts[count - 1 :])]
    first: Pieces = (*marks, (parts[0], style))
    return [first, *(((" " * indent, theme.BASE), (part, style)) for part in parts[1:] if part)]


def round_summary(view: LabelView) -> list[str]:
    """Return a summary of the round in a few lines, for the training dialog."""
    p = view.progress
    lines: list[str] = []
    if view.round is not None:
        lines.append(
            f"Round {view.round}: {labels(p.labeled)}, {p.cannot_tell} can't tell"
            + (f", {p.left} unanswered" if p.left else "")
        )
    times = [g.elapsed_ms for g in view.history if g.elapsed_ms is not None]
    if times:
        hasty = sum(t < HASTY_MS for t in times)
        text = f"Median {statistics.median(times) / 1000:.1f} s an answer"
        if hasty:
            text += f"; {hasty} faster than 0.3 s: r reviews them"
        lines.append(text)
    synthetic = [g for g in view.history if g.is_synthetic and g.kind != "skip"]
    if synthetic:
        junk = sum(g.kind == "cannot_tell" for g in synthetic)
        lines.append(f"Synthetic images: {junk} of {len(synthetic)} could not be labeled")
    if view.agreed[1]:
        lines.append(f"You and the model agree on {view.agreed[0]} of {view.agreed[1]}")
    if view.ranked_ahead:
        lines.append(f"{view.ranked_ahead} more are ranked: label them while it trains")
    if view.budget:
        lines.append(f"Budget: {view.spent} of {view.budget} answers")
    return lines or [f"{labels(view.labeled)}, {view.items} images in the pool"]


def empty_lines(view: LabelView, keymap: Keymap) -> Sequence[Pieces]:
    """Return the text of the frame while there is no image to answer."""
    head: Pieces = (("No open query.", theme.STRONG),)
    detail = f"{labels(view.labeled)}, {view.items} images in the pool"
    then = "to choose images" if view.next_step == "query" else "to train and ask"
    if view.state == "waiting":
        head = (("Nothing left for you in this round.", theme.STRONG),)
        detail, then = f"{view.progress.left} images are with other people.", "to look again"
    elif view.state == "answered":
        head = (("✔ ", theme.GOOD_STRONG), (f"Round {view.round} is answered.", theme.STRONG))
        detail = f"{labels(view.progress.labeled)}, {view.progress.cannot_tell} can't tell"
        then = "to train the next round"
    go: Pieces = (
        *(("press ", theme.BASE), (" ⏎ ", theme.KEYCAP), (" or ", theme.BASE)),
        *((f" {key_of(keymap, 'train')} ", theme.KEYCAP), (f" {then}", theme.BASE)),
    )
    gap: tuple[Pieces, ...] = () if view.state == "waiting" else ((),)
    return (head, ((detail, theme.DIM),), *gap, go)


def unreadable(reason: str, width: int, keymap: Keymap) -> list[Pieces]:
    """Return the text of the frame for an image that cannot be decoded."""
    key = key_of(keymap, "cannot_tell")
    room = max(10, width - 4)
    lines: list[Pieces] = [(("this image cannot be shown", theme.BAD),)]
    wrapped = textwrap.wrap(reason, room)[:4]
    lines += [((part, theme.DIM),) for part in wrapped]
    lines += [(), ((f" {key} ", theme.KEYCAP), (" can't tell", theme.BASE))]
    return lines
