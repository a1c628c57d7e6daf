"""Colors and styles of the label terminal; states also differ in shape or text.

The colors are those of the dark theme. ``use_light`` replaces each by its counterpart.
"""

import re
from collections.abc import Mapping

from rich.style import Style

BACK = "#0e1116"
BACK_RGB = (0x0E, 0x11, 0x16)
BAR = "#1a2431"

BASE = Style.parse(f"#d7dde5 on {BACK}")
STRONG = Style.parse(f"bold #ffffff on {BACK}")
DIM = Style.parse(f"#8a95a3 on {BACK}")
FAINT = Style.parse(f"#7a8694 on {BACK}")
LINE = Style.parse(f"#3b4858 on {BACK}")
TITLE = Style.parse(f"#c3ccd6 on {BACK}")
GOOD = Style.parse(f"#8be04a on {BACK}")
GOOD_STRONG = Style.parse(f"bold #8be04a on {BACK}")
WARN = Style.parse(f"#ffb454 on {BACK}")
BAD = Style.parse(f"bold #ff6b6b on {BACK}")
POOL = Style.parse(f"#4aa3ff on {BACK}")
POOL_TITLE = Style.parse(f"bold #7cbcff on {BACK}")
SYNTHETIC = Style.parse(f"#e38bff on {BACK}")
SYNTHETIC_TITLE = Style.parse(f"bold #efb3ff on {BACK}")
CURVE = Style.parse(f"#3fbf74 on {BACK}")
CURVE_POINT = Style.parse(f"bold #5fe08f on {BACK}")
AXIS = Style.parse(f"#5b8f72 on {BACK}")
GUESS_BAR = Style.parse(f"#7f8b99 on {BACK}")
GUESS_TOP = Style.parse(f"#8be04a on {BACK}")
COUNT_BAR = Style.parse(f"#2f4a63 on {BACK}")
KEYCAP = Style.parse("bold #0e1116 on #d7dde5")
KEYCAP_TOP = Style.parse("bold #0e1116 on #8be04a")

DIALOG = Style.parse("#d7dde5 on #141a22")

BAR_BASE = Style.parse(f"#c9d2dc on {BAR}")
BAR_STRONG = Style.parse(f"bold #ffffff on {BAR}")
BAR_DIM = Style.parse(f"#8593a3 on {BAR}")
BAR_KEY = Style.parse(f"bold #ffb454 on {BAR}")
BAR_GOOD = Style.parse(f"#8be04a on {BAR}")
BAR_WARN = Style.parse(f"bold #ffb454 on {BAR}")
BAR_BAD = Style.parse("bold #ffffff on #b3261e")
BAR_TROUGH = Style.parse(f"#4c5866 on {BAR}")
BRAND = Style.parse("bold #0e1116 on #d7dde5")

LIGHT: Mapping[str, str] = {
    "#05070a": "#8a94a0",
    "#0e1116": "#ffffff",
    "#141a22": "#f3f6f9",
    "#1a2431": "#e3e9f0",
    "#2f4a63": "#b9cbdd",
    "#3b4858": "#b3bdc8",
    "#3fbf74": "#1e7a44",
    "#4aa3ff": "#0b5cad",
    "#4c5866": "#a9b4c0",
    "#5b8f72": "#3f6a50",
    "#5fe08f": "#146336",
    "#7a8694": "#66717e",
    "#7cbcff": "#0a4f96",
    "#7f8b99": "#8793a1",
    "#8593a3": "#4f5b68",
    "#8a95a3": "#566270",
    "#8be04a": "#2f6b00",
    "#b3261e": "#ffb4ab",
    "#c3ccd6": "#2f3944",
    "#c9d2dc": "#26303b",
    "#d7dde5": "#1b232d",
    "#e38bff": "#8a1fb0",
    "#efb3ff": "#7a159e",
    "#ff6b6b": "#b3001b",
    "#ffb454": "#8a4b00",
    "#ffffff": "#000000",
}
"""The light color of each dark one."""
_COLOR = re.compile("#[0-9a-f]{6}")
_of_theme: dict[str, str] = {}
"""The colors in use, by the dark ones; empty: the dark theme."""


def recolor(text: str) -> str:
    """Replace the dark colors in a style or a style sheet by those of the theme in use."""
    return _COLOR.sub(lambda found: _of_theme.get(found[0], found[0]), text)


def is_light() -> bool:
    """Return whether the light theme is in use."""
    return bool(_of_theme)


def use_light() -> None:
    """Use the light theme; call it before the screens are imported, which keep styles."""
    _of_theme.update(LIGHT)
    styles = {name: style for name, style in globals().items() if isinstance(style, Style)}
    globals().update({name: Style.parse(recolor(str(style))) for name, style in styles.items()})
    back = recolor(BACK)
    globals().update(BACK_RGB=tuple(bytes.fromhex(back.removeprefix("#"))))
