"""Describe how images are stretched for the networks, and sort class names."""

from collections.abc import Collection


def stretch_note(sizes: Collection[tuple[int, int]], side: int) -> str:
    """Describe how images are stretched to a square; empty if all are square and of equal size.

    Args:
        sizes: Width and height of each image, in pixels.
        side: Image side of the networks, in pixels.
    """
    first, last = min(sizes, key=_area), max(sizes, key=_area)
    note = f"for the networks each is stretched to {side} x {side}"
    if len(set(sizes)) > 1:
        return f"images differ in size, from {_times(first)} to {_times(last)} pixels; {note}"
    return f"images have {_times(first)} pixels; {note}" if first[0] != first[1] else ""


def _area(size: tuple[int, int]) -> tuple[int, int, int]:
    return size[0] * size[1], *size


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def natural_order(name: str) -> tuple[int, int, str]:
    """Return a sort key that orders class ``10`` after class ``9``, and numbers before words."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
