"""Choose the image mode of a terminal from options and environment variables alone.

The terminal is never queried: a late reply would be read as key presses, that is, as labels.
"""

from collections.abc import Mapping
from enum import StrEnum

OPTIONS = ("auto", "half", "half5", "half256", "kitty", "gray", "ascii")
"""Values of ``--images``."""


class Mode(StrEnum):
    """How an image is converted to characters."""

    HALF = "half"
    """Half blocks, two pixels a cell, 24-bit color."""
    HALF5 = "half5"
    """Like ``HALF`` with 5 bits per channel: fewer color changes, so fewer bytes."""
    HALF256 = "half256"
    """Half blocks in the fixed 256-color palette."""
    GRAY = "gray"
    """Half blocks in 256 grays."""
    GRAY256 = "gray256"
    """Half blocks in the 26 grays of the 256-color palette."""
    ASCII = "ascii"
    """One character per cell by brightness; no escape sequences."""


_TRUECOLOR_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour")
_TRUECOLOR_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper")


def choose_mode(option: str, environment: Mapping[str, str]) -> Mode:
    """Pick the image mode.

    Args:
        option: One of ``OPTIONS``; only ``auto`` looks at the terminal type.
        environment: Usually ``os.environ``.
    """
    if option == "gray" or (option == "auto" and environment.get("NO_COLOR")):
        # NO_COLOR forbids colors; brightness is needed to show the image.
        if option == "auto" and is_dumb(environment):
            return Mode.ASCII
        return Mode.GRAY if has_truecolor(environment) else Mode.GRAY256
    if option == "kitty":
        return Mode.HALF  # under a dialog, for thumbnails and in the grid
    if option != "auto":
        return Mode(option)
    if is_dumb(environment):
        return Mode.ASCII
    return Mode.HALF if has_truecolor(environment) else Mode.HALF256


def is_dumb(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal cannot position a cursor."""
    return environment.get("TERM", "").lower() in ("", "dumb", "unknown")


def has_truecolor(environment: Mapping[str, str]) -> bool:
    """Return whether the environment declares 24-bit color."""
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return True
    term = environment.get("TERM", "")
    if term.endswith("-direct"):
        return True
    if environment.get("TMUX") or term.startswith(("tmux", "screen")):
        return False  # TERM_PROGRAM names the outer terminal; tmux or screen draws
    if environment.get("TERM_PROGRAM") in _TRUECOLOR_PROGRAMS:
        return True
    return term.startswith(_TRUECOLOR_TERMS)
