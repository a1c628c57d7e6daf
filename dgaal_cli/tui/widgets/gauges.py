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
    """The health metrics of a round, each with its meaning.

    An AUC is shown as the share of pairs that the discriminator orders correctly.
    """
    known = {name: value for name, value in metrics.items() if value is not None}
    lines: list[str] = []
    active, units = known.pop("active_units", None), known.pop("latent_units", None)
    if active is not None and units is not None:
        lines.append(f"the encoder uses {active:.0f} of its {units:.0f} latent values")
    quality = known.pop("reconstruction_r2", None)
    if quality is not None:
        lines.append(f"the decoder restores {quality:.0%} of what distinguishes images (R²)")
    for name, meaning in (
        ("discriminator_auc", "labeled and pool images"),
        ("discriminator_auc_seen", "labeled and pool images of its training"),
        ("redrawn_auc", "reconstructed and real images"),
        ("copies_auc", "synthetic copies and pool images"),
    ):
        value = known.pop(name, None)
        error = known.pop(f"{name}_error", None)
        if value is not None:
            spread = "" if error is None else f" ± {error:.0%}"
            note = " (50% is chance)" if abs(value - 0.5) < 0.1 else ""
            lines.append(f"{value:.0%}{spread} told apart: {meaning}{note}")
    lines += [f"{_plain(name)} {value:.3g}" for name, value in known.items()]
    return lines


def _plain(name: str) -> str:
    return show(name.replace("_", " "))
