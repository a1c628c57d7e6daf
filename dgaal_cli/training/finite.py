"""A loss that is not finite ends a training; the error names the last batch."""

import math
from collections.abc import Mapping, Sequence

from dgaal_cli.errors import CheckFailedError
from dgaal_cli.escaping import show

SHOWN = 10
"""Maximum number of images that a message names."""


def find_non_finite(losses: Mapping[str, float]) -> tuple[str, float] | None:
    """Return name and value of the first loss that is not finite, or None."""
    for name, value in losses.items():
        if not math.isfinite(value):
            return name, value
    return None


def non_finite_error(
    name: str, value: float, *, where: str, images: Sequence[str], advice: str
) -> CheckFailedError:
    """Return the error for a loss that is not finite.

    ``where`` names round, phase and step, ``images`` the sample ids of the last batch if known.
    """
    batch = ""
    if images:
        named = ", ".join(show(image) for image in images[:SHOWN])
        more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
        batch = f"; the batch held {named}{more}"
    return CheckFailedError(f"the loss '{name}' became {value} in {where}{batch}; {advice}")
