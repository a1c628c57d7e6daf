"""The table and the learning curve of the round screen."""

import textwrap

from textual.strip import Strip

from dgaal_cli.escaping import show
from dgaal_cli.tui import theme
from dgaal_cli.tui.bridge import LabelView, RoundRow, RoundsReport
from dgaal_cli.tui.phrases import MIN_MEASURED, is_measurable
from dgaal_cli.tui.widgets.curve import curve_lines
from dgaal_cli.tui.widgets.gauges import health_lines
from dgaal_cli.tui.widgets.lines import Piece, Pieces, box, pad

MAX_GAUGES = 6
_COLUMNS = (
    ("round", 5),
    ("asked", 6),
    ("labels", 7),
    ("can't", 6),
    ("junk", 7),
    ("s each", 7),
    ("accuracy", 9),
    ("gain", 7),
    ("random", 7),
    ("method", 12),
)


def table_rows(
    report: RoundsReport, view: LabelView, width: int, height: int, note: str
) -> list[Strip]:
    """Rounds, newest last; below, unlabelable synthetic images by class and the next step."""
    below = _below(report, view, width - 4, note, has_gauges=height >= 24 + len(report.rows))
    room = max(1, height - 3 - len(below))
    shown = report.rows[-room:]
    lines: list[Pieces] = [((_cells([name for name, _ in _COLUMNS], width - 4), theme.DIM),)]
    before: RoundRow | None = None
    for row in report.rows:
        if row in shown:
            lines.append(_row(row, before, width - 4))
        has_accuracy = row.accuracy is not None and is_measurable(row.measured)
        before = row if has_accuracy else before
    if not report.rows:
        lines.append((("no round yet", theme.DIM),))
    lines += [()] * (height - 2 - len(lines) - len(below))
    return box(width, ((" rounds ", theme.TITLE),), [*lines, *below])[:height]


def curve_rows(report: RoundsReport, view: LabelView, width: int, height: int) -> list[Strip]:
    """Accuracy against labels, with the random baseline if it was measured."""
    points = [(p.labels, p.accuracy) for p in view.curve if is_measurable(p.measured)]
    room = min(height - 4, 22)
    lines: list[Pieces] = [(("appears after the first training", theme.DIM),)]
    if points:
        drawn = curve_lines(
            points,
            width=width - 4,
            height=room,
            max_labels=view.budget,
            baseline=report.baseline.points,
        )
        lines = [tuple(pieces) for pieces in drawn]
    # The methods that were measured; the next round may use another one.
    measured = [row.method for row in report.rows if row.accuracy is not None and row.method]
    methods = ", then ".join(map(show, dict.fromkeys(measured or [report.method])))
    legend: list[Piece] = [("● ", theme.CURVE_POINT), (f"{methods}   ", theme.BASE)]
    if report.baseline.points:
        legend += [("○ ", theme.WARN), (f"random, {report.baseline.origin}", theme.BASE)]
    else:
        legend += [("○ random: not measured", theme.FAINT)]
    lines += [()] * (height - 3 - len(lines))
    title = ((" accuracy against labels ", theme.TITLE),)
    return box(width, title, [*lines, tuple(legend)])[:height]


def _row(row: RoundRow, before: RoundRow | None, width: int) -> Pieces:
    gain = ""
    accuracy = "" if row.accuracy is None else "too few"
    if row.accuracy is not None and is_measurable(row.measured):
        accuracy = f"{row.accuracy:.1%}"
        if before is not None and before.accuracy is not None:
            gain = f"{100 * (row.accuracy - before.accuracy):+.1f}"
    cells = [
        ("▸ " if row.is_open else "  ") + str(row.number),
        str(row.asked) if row.asked else "",
        f"{row.labeled}" if row.asked else "",
        f"{row.cannot_tell}" if row.asked else "",
        f"{row.junk}/{row.synthetic}" if row.synthetic else "",
        "" if row.median_s is None else f"{row.median_s:.1f}",
        accuracy,
        gain,
        "" if row.random is None else f"{row.random:.1%}",
        show(row.method),
    ]
    style = theme.STRONG if row.is_open else theme.BASE
    return ((_cells(cells, width), style),)


def _cells(cells: list[str], width: int) -> str:
    text = ""
    for cell, (name, size) in zip(cells, _COLUMNS, strict=True):
        piece = (
            f"  {pad(cell, size).rstrip()}" if name == "method" else pad(cell, size, is_right=True)
        )
        if len(text) + len(piece) > width:
            break
        text += piece
    return text


def _below(
    report: RoundsReport, view: LabelView, width: int, note: str, *, has_gauges: bool
) -> list[Pieces]:
    lines: list[Pieces] = []
    gauges = dict(view.curve[-1].health) if view.curve and has_gauges else {}
    health = health_lines(gauges)[:MAX_GAUGES]
    if health:
        lines.append(((f"sampler of round {view.curve[-1].round}", theme.TITLE),))
        lines += [((f"  {text}", theme.DIM),) for text in health]
        lines.append(())
    if not all(is_measurable(row.measured) for row in report.rows):
        text = f"too few: measured on fewer than {MIN_MEASURED} images, which tells nothing"
        lines.append(((text, theme.DIM),))
    judged = [row for row in report.junk if row.judged]
    if judged:
        shares = [
            f"{show(row.name) or 'no guess'} {row.junk}/{row.judged}"
            for row in sorted(judged, key=lambda row: -row.junk / row.judged)
        ]
        wrapped = textwrap.wrap("synthetic junk by class: " + ", ".join(shares), width)[:3]
        lines += [((part, theme.BASE),) for part in wrapped]
    if report.is_paused:
        text = f"synthesis pauses for one query: over {report.max_junk:.0%} junk in this one"
        lines.append(((text, theme.WARN),))
    if view.extended:
        lines.append(((f"{view.extended} images were labeled during a training", theme.DIM),))
    p = view.progress
    if view.state == "labeling":
        lines.append(((f"⏎ continue round {view.round}: {p.left} of {p.size} left", theme.GOOD),))
    else:
        step = "choose new images" if report.next_step == "query" else "train the next round"
        lines.append(((f"⏎ {step}", theme.GOOD),))
    if note:
        lines += [((part, theme.WARN),) for part in textwrap.wrap(note, width)[:3]]
    return [(), *lines]
