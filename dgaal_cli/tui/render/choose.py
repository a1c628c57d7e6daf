"""Which kind of image a terminal gets, decided by options and environment alone.

A terminal is never asked: an answer that arrives late reads as key presses, that is as labels.
"""

from collections.abc import Mapping
from enum import StrEnum

OPTIONS = ("auto", "half", "half5", "half256", "kitty", "gray", "ascii")
"""What ``--images`` takes."""


class Mode(StrEnum):
    """How one image becomes characters."""

    HALF = "half"
    """Half blocks, two pixels a cell, 24-bit color."""
    HALF5 = "half5"
    """The same with 5 bits a channel: fewer color changes, so fewer bytes on a slow line."""
    HALF256 = "half256"
    """Half blocks in the fixed 256-color palette."""
    GRAY = "gray"
    """Half blocks in 256 grays."""
    GRAY256 = "gray256"
    """Half blocks in the 26 grays of the 256-color palette."""
    ASCII = "ascii"
    """One character a cell by brightness; no escape sequence at all."""


_TRUECOLOR_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour")
_TRUECOLOR_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper")


def choose_mode(option: str, environment: Mapping[str, str]) -> Mode:
    """Pick the image mode.

    Args:
        option: One of ``OPTIONS``; anything but ``auto`` is obeyed as it stands.
        environment: Usually ``os.environ``.
    """
    if option == "gray" or (option == "auto" and environment.get("NO_COLOR")):
        # NO_COLOR asks for no hue; brightness is what the image is made of.
        if option == "auto" and is_dumb(environment):
            return Mode.ASCII
        return Mode.GRAY if has_truecolor(environment) else Mode.GRAY256
    if option == "kitty":
        return Mode.HALF  # for what lies under a dialog, thumbnails and the grid
    if option != "auto":
        return Mode(option)
    if is_dumb(environment):
        return Mode.ASCII
    return Mode.HALF if has_truecolor(environment) else Mode.HALF256


def is_dumb(environment: Mapping[str, str]) -> bool:
    """Tell whether the terminal cannot place a cursor."""
    return environment.get("TERM", "").lower() in ("", "dumb", "unknown")


def has_truecolor(environment: Mapping[str, str]) -> bool:
    """Tell whether the environment promises 24-bit color."""
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return True
    term = environment.get("TERM", "")
    if term.endswith("-direct"):
        return True
    if environment.get("TMUX") or term.startswith(("tmux", "screen")):
        return False  # the program outside is not the one that draws
    if environment.get("TERM_PROGRAM") in _TRUECOLOR_PROGRAMS:
        return True
    return term.startswith(_TRUECOLOR_TERMS)
