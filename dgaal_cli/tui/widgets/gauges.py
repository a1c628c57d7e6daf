"""Training losses with their recent trend, and the sampler's health, as lines of text."""

import math
from collections.abc import Mapping, Sequence

from dgaal_cli.escaping import show

MAX_LOSSES = 4
_STEPS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float]) -> str:
    """Draw a sparkline between the lowest and the highest value; '' if it is not defined."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return ""
    low, high = min(values), max(values)
    if high <= low:
        return _STEPS[0] * len(values)
    return "".join(_STEPS[round((v - low) / (high - low) * (len(_STEPS) - 1))] for v in values)


def loss_lines(losses: Mapping[str, float], trails: Mapping[str, Sequence[float]]) -> list[str]:
    """One line per loss: name, value, sparkline."""
    shown = list(losses.items())[:MAX_LOSSES]
    width = max((len(_plain(name)) for name, _ in shown), default=0)
    return [
        f"{_plain(name):<{width}} {value:8.3f}  {spark(trails.get(name, ()))}".rstrip()
        for name, value in shown
    ]


def health_lines(metrics: Mapping[str, float | None]) -> list[str]:
    """The health metrics of a round, each with its meaning."""
    known = {name: value for name, value in metrics.items() if value is not None}
    lines: list[str] = []
    active, units = known.pop("active_units", None), known.pop("latent_units", None)
    if active is not None and units is not None:
        lines.append(f"latent units in use {active:.0f} of {units:.0f}")
    quality = known.pop("reconstruction_r2", None)
    if quality is not None:
        lines.append(f"reconstruction R² {quality:.2f}")
    for name, meaning in (
        ("discriminator_auc", "labeled vs pool"),
        ("discriminator_auc_seen", "labeled vs pool, on images it was trained on"),
        ("redrawn_auc", "reconstructed vs real"),
        ("copies_auc", "synthetic copies vs pool"),
    ):
        value = known.pop(name, None)
        error = known.pop(f"{name}_error", None)
        if value is not None:
            spread = "" if error is None else f" ± {error:.2f}"
            note = " (0.50 is chance)" if abs(value - 0.5) < 0.1 else ""
            lines.append(f"AUC {value:.2f}{spread}: {meaning}{note}")
    lines += [f"{_plain(name)} {value:.3g}" for name, value in known.items()]
    return lines


def _plain(name: str) -> str:
    return show(name.replace("_", " "))
