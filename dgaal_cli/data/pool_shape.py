"""What a pool's images decide: the side at which networks see them, and the order of classes."""

from collections.abc import Collection


def stretch_note(sizes: Collection[tuple[int, int]], side: int) -> str:
    """Say that images are stretched to a square; empty where all are square and of one size.

    Args:
        sizes: Width and height of each image, in pixels.
        side: At which networks see them.
    """
    first, last = min(sizes, key=_area), max(sizes, key=_area)
    seen = f"networks see each whole, stretched to {side} x {side}"
    if len(set(sizes)) > 1:
        return f"images differ in size, from {_times(first)} to {_times(last)} pixels; {seen}"
    return f"images have {_times(first)} pixels; {seen}" if first[0] != first[1] else ""


def _area(size: tuple[int, int]) -> tuple[int, int, int]:
    return size[0] * size[1], *size


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def natural_order(name: str) -> tuple[int, int, str]:
    """Sort key that puts class ``10`` after class ``9``, and numbers before words."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)
