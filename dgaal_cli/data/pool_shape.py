"""What a pool's images decide: the side at which networks see them, and the order of classes."""

SIDES = (8, 16, 32, 64)
"""Sides that the networks are built for."""


def network_side(median_side: int, *, largest: int) -> int:
    """Choose the smallest side that shows the median image whole, at most ``largest``.

    Args:
        median_side: Of the shorter sides, in pixels.
        largest: Upper bound, ``network.max_image_size``.
    """
    return min(next((side for side in SIDES if side >= median_side), largest), largest)


def natural_order(name: str) -> tuple[int, int, str]:
    """Sort key that puts class ``10`` after class ``9``, and numbers before words."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
