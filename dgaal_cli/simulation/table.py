"""Format a simulation's result as plain text, as Markdown, and as a JSON document."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dgaal_cli.escaping import show
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.simulation.plan import Plan
from dgaal_cli.simulation.statistics import CONFIDENCE, Estimate
from dgaal_cli.simulation.summary import CLASSIC, ENOUGH_OF_FULL, Effect, Summary, baseline_verdict

PUBLISHED_TITLE = "Published, on the whole data and with other task models"

BASELINES_TITLE = (
    "Against the best classic baseline of these trials; differences in points of AUBC, by seed"
)

GUESSES_TITLE = "Guesses while labeling on the grid; without guesses a label takes one key"

Rows = list[list[str]]
"""A header and its rows, all of equal length."""


def accuracy_rows(summary: Summary) -> Rows:
    """Return each method's accuracy in percent at each label count, with the shared T."""
    return _accuracies([(show(m.name), m.selection) for m in summary.methods])


def system_accuracy_rows(summary: Summary) -> Rows:
    """Return accuracies in percent with the methods' own T, after random with plain T."""
    plain = [(show(m.name), m.selection) for m in summary.methods if m.name == REFERENCE]
    own = [(f"{show(m.name)} (system)", m.system) for m in summary.methods if m.system]
    return _accuracies([*plain, *own])


def _accuracies(effects: Sequence[tuple[str, Effect]]) -> Rows:
    """Return curves as columns, at the label counts of the arm that asked most.

    The accuracy of an arm that asked less is interpolated between two of its rounds.
    """
    rows: Rows = [["labels", *(name for name, _ in effects)]]
    longest = max((e for _, e in effects), key=lambda e: e.curve[-1].annotations, default=None)
    for point in longest.curve if longest else ():
        found = [effect.accuracy_at(point.annotations) for _, effect in effects]
        cells = ["" if value is None else _percent(value) for value in found]
        rows.append([f"{point.annotations:g}", *cells])
    return rows


def method_rows(summary: Summary) -> Rows:
    """Return one row per method: AUBC, difference to random, labels saved, cost."""
    # Ignore classes that are absent by chance from the start of only some seeds.
    has_absent = any(
        m.missing_class_enrichment and m.missing_class_enrichment.count == len(m.seeds)
        for m in summary.methods
    )
    header = ["method", "AUBC %", "vs random", "labels saved", "annotations / |L|", "sampling s"]
    rows: Rows = [[*header, "training s", *(["absent classes"] if has_absent else [])]]
    for m in summary.methods:
        last = m.selection.curve[-1]
        ratio = _with_interval(m.missing_class_enrichment, ".2f")
        rows.append(
            [
                show(m.name),
                _percent(m.selection.aubc),
                _points(m.selection.vs_random),
                _saved(m.selection),
                f"{last.annotations:.1f} / {last.labels:.1f}".replace(".0", ""),
                f"{m.sampling_s:.3f}",
                f"{m.training_s:.2f}",
                *([f"x {ratio}" if ratio else ""] if has_absent else []),
            ]
        )
    return rows


def system_rows(summary: Summary) -> Rows:
    """Return methods that train their own T in another way, compared with random with plain T."""
    rows: Rows = [["method", "system AUBC %", "vs random", "labels saved"]]
    for m in summary.methods:
        if m.system is not None:
            numbers = [_percent(m.system.aubc), _points(m.system.vs_random), _saved(m.system)]
            rows.append([show(m.name), *numbers])
    return rows


def baseline_rows(summary: Summary) -> Rows:
    """Compare other methods with the best classic baseline, and systems with it as a system."""
    rows: Rows = [["method", "best baseline", "difference", "in words"]]
    for m in summary.methods:
        selection = None if m.method in CLASSIC else m.selection
        for name, effect in ((m.name, selection), (f"{m.name} (system)", m.system)):
            best = None if effect is None else effect.vs_best_baseline
            if best is not None:
                words = baseline_verdict(best.difference)
                rows.append([show(name), show(best.name), _points(best.difference), words])
    return rows


def guess_rows(summary: Summary) -> Rows:
    """Return accuracy and keys of T's guesses and of the learner's."""
    rows: Rows = [["method", "guess right %", "with learner", "keys a label", "with learner"]]
    for m in summary.methods:
        if m.guesses is not None:
            shares = (m.guesses.accuracy, m.guesses.accuracy_live)
            keys = (m.guesses.keys_per_label, m.guesses.keys_per_label_live)
            rows.append(
                [show(m.name), *(f"{100 * s:.1f}" for s in shares), *(f"{k:.2f}" for k in keys)]
            )
    return rows


def sentences(summary: Summary) -> list[str]:
    """Describe the result of each method in sentences."""
    lines: list[str] = []
    max_asked = max((m.selection.curve[-1].annotations for m in summary.methods), default=0.0)
    for m in summary.methods:
        if m.verdict:
            points = _points(m.selection.vs_random)
            evidence = f" ({points} points of AUBC)" if points else ""
            lines.append(f"{show(m.name)} {m.verdict}{evidence}.")
        if m.system is not None:
            lines.append(
                f"{show(m.name)} with its own training of T, against random with plain T: "
                f"{_points(m.system.vs_random) or 'nothing to compare with'} points."
            )
        if m.cannot_tell:
            lines.append(f"{show(m.name)}: the oracle could not name {m.cannot_tell} images.")
        asked = m.selection.curve[-1].annotations
        if asked < max_asked - 0.5:
            lines.append(
                f"{show(m.name)} asked {asked:.0f} labels, others {max_asked:.0f}; it is "
                "compared with random over the counts that both have."
            )
    if len(summary.methods) > 2:
        lines.append(
            f"{len(summary.methods) - 1} comparisons at {CONFIDENCE:.0%} each: one may look like "
            "a win or a loss by chance."
        )
    lines += _full_data(summary)
    return lines


def text(plan: Plan, summary: Summary, *, test_images: int) -> str:
    """Return the whole result for a terminal."""
    plural = "" if len(plan.seeds) == 1 else "s"
    parts = [
        f"accuracy in % on {test_images} test images, mean of {len(plan.seeds)} seed{plural} "
        f"± half of the {CONFIDENCE:.0%} interval",
        _aligned(accuracy_rows(summary)),
        "selection: T is trained in the same way for all methods; differences in points, by seed",
        _aligned(method_rows(summary)),
    ]
    for title, _, tables in _optional_parts(summary):
        parts += [title, *map(_aligned, tables)]
    return "\n\n".join([*parts, "\n".join(sentences(summary))])


def _optional_parts(summary: Summary) -> Iterator[tuple[str, str, list[Rows]]]:
    """Yield the title in a terminal, the heading of a page, and the tables of each part."""
    if len(rows := system_rows(summary)) > 1:
        title = "system: T as the method itself trains it"
        yield title, "Systems (T as the method trains it)", [system_accuracy_rows(summary), rows]
    if len(rows := baseline_rows(summary)) > 1:
        yield BASELINES_TITLE, BASELINES_TITLE, [rows]
    if len(rows := guess_rows(summary)) > 1:
        yield GUESSES_TITLE, GUESSES_TITLE, [rows]


def markdown_table(rows: Rows) -> str:
    """Return a Markdown table; bars in names are escaped."""
    safe = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in safe]
    rule = f"| {' | '.join(['---', *['---:'] * (len(rows[0]) - 1)])} |"
    return "\n".join([lines[0], rule, *lines[1:]])


def markdown(
    summary: Summary, *, title: str, facts: Sequence[str], published: Sequence[str] = ()
) -> str:
    """Return the whole result as a Markdown page.

    ``facts`` are lines about host, data and command, ``published`` numbers of the same experiment.
    """
    parts = [f"# {title}", "\n".join(f"- {fact}" for fact in facts)]
    parts += [
        f"## Accuracy in % (± half of the {CONFIDENCE:.0%} interval)",
        markdown_table(accuracy_rows(summary)),
        "## Methods (T trained in the same way for all; differences in points, paired by seed)",
        markdown_table(method_rows(summary)),
    ]
    for _, heading, tables in _optional_parts(summary):
        parts += [f"## {heading}", *map(markdown_table, tables)]
    parts += ["## In words", "\n".join(f"- {line}" for line in sentences(summary))]
    if published:
        lines = "\n".join(f"- {show(line)}" for line in published)
        parts += [f"## {PUBLISHED_TITLE}", lines]
    return "\n\n".join(parts) + "\n"


def documents(summary: Summary) -> list[dict[str, Any]]:
    """Return the ``methods`` of the JSON document; shares are 0..1, intervals ``[low, high]``."""
    return [
        {
            "method": m.name,
            **_effect(m.selection),
            **estimate_document("missing_class_enrichment", m.missing_class_enrichment),
            "sampling_s": m.sampling_s,
            "training_s": m.training_s,
            "seeds": list(m.seeds),
            "cannot_tell": m.cannot_tell,
            "guesses": None if m.guesses is None else asdict(m.guesses),
            "verdict": m.verdict,
            "system": None if m.system is None else _effect(m.system),
        }
        for m in summary.methods
    ]


def _effect(effect: Effect) -> dict[str, Any]:
    best = effect.vs_best_baseline
    return {
        **estimate_document("aubc", effect.aubc),
        **estimate_document("vs_random", effect.vs_random),
        "best_baseline": None if best is None else best.name,
        **estimate_document("vs_best_baseline", None if best is None else best.difference),
        "labels_saved": effect.labels_saved,
        "enough_at": effect.enough_at,
        "curve": [
            {
                "annotations": point.annotations,
                "labels": point.labels,
                **estimate_document("accuracy", point.accuracy),
                "seeds": point.accuracy.count,
            }
            for point in effect.curve
        ],
    }


def estimate_document(name: str, value: Estimate | None) -> dict[str, float | list[float] | None]:
    """Return the mean and, as ``NAME_ci``, the interval of an estimate."""
    if value is None:
        return {name: None, f"{name}_ci": None}
    return {name: value.mean, f"{name}_ci": list(value.interval) if value.interval else None}


def _percent(value: Estimate) -> str:
    if value.interval is None:
        return f"{100 * value.mean:.1f}"
    return f"{100 * value.mean:.1f} ±{50 * (value.interval[1] - value.interval[0]):.1f}"


def _points(value: Estimate | None) -> str:
    return _with_interval(value, "+.1f", scale=100)


def _saved(effect: Effect) -> str:
    return "" if effect.labels_saved is None else f"{effect.labels_saved:+.0f}"


def _with_interval(value: Estimate | None, digits: str, *, scale: float = 1) -> str:
    if value is None:
        return ""
    ends = ", ".join(format(scale * end, digits) for end in value.interval or ())
    return format(scale * value.mean, digits) + (f" [{ends}]" if ends else "")


def _full_data(summary: Summary) -> list[str]:
    full = summary.full_data
    if full is None:
        return []
    lines = [f"T on all labels of the pool reaches {_percent(full)} %."]
    for m in summary.methods:
        for effect, suffix in ((m.selection, ""), (m.system, " (system)")):
            if effect is None:
                continue
            name, target = f"{show(m.name)}{suffix}", f"{ENOUGH_OF_FULL:.0%} of that"
            if effect.enough_at is None:
                lines.append(f"{name} does not reach {target} within this budget.")
            else:
                lines.append(f"{name} reaches {target} at {effect.enough_at:.0f} labels.")
    return lines


def _aligned(rows: Rows) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
