"""A loss that is not finite ends a training at once, and says what it learned from last."""

import math
from collections.abc import Mapping, Sequence

from dgaal_cli.errors import CheckFailedError
from dgaal_cli.escaping import show

SHOWN = 10
"""Images that a message names; a batch may hold hundreds."""


def broken(losses: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of the first loss that is not finite, or None."""
    for name, value in losses.items():
        if not math.isfinite(value):
            return name, value
    return None


def not_finite(
    name: str, value: float, *, where: str, images: Sequence[str], advice: str
) -> CheckFailedError:
    """Build the error: which loss, in which phase and step, on which images, and what to do.

    Args:
        name: Of the loss.
        value: What it became.
        where: Round, phase and step in words.
        images: Sample ids of the last batch; empty where they are not known.
        advice: What to do about it.
    """
    batch = ""
    if images:
        named = ", ".join(show(image) for image in images[:SHOWN])
        more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
        batch = f"; the batch held {named}{more}"
    return CheckFailedError(f"the loss '{name}' became {value} in {where}{batch}; {advice}")
