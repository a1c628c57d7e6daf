"""Colors and styles of the label terminal; states also differ in shape or text."""

from rich.style import Style

BACK = "#0e1116"
BACK_RGB = (0x0E, 0x11, 0x16)
BAR = "#1a2431"

BASE = Style.parse(f"#d7dde5 on {BACK}")
STRONG = Style.parse(f"bold #ffffff on {BACK}")
DIM = Style.parse(f"#8a95a3 on {BACK}")
FAINT = Style.parse(f"#4c5866 on {BACK}")
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
AXIS = Style.parse(f"#4f7d63 on {BACK}")
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
