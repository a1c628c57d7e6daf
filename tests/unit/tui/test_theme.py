"""Colors of the dark and the light theme: readable, complete, and used by every screen."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.style import Style

import dgaal_cli.tui
from dgaal_cli.tui import theme

FOLDER = Path(dgaal_cli.tui.__file__).parent
NOT_TEXT = {"LINE", "COUNT_BAR", "GUESS_BAR", "BAR_TROUGH"}
"""Styles of lines and bars, which contrast by 3:1 or repeat what a number says."""
TEXTS = {
    name: style
    for name, style in vars(theme).items()
    if isinstance(style, Style) and name not in NOT_TEXT
}


def luminance(color: str) -> float:
    """Return the relative luminance by WCAG 2.2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio by WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_known_colors():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#4c5866", "#0e1116") < 4.5  # a gray that is too dark for text


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("is_light", [False, True])
def test_text_has_the_contrast_that_wcag_asks_for(name, is_light):
    style = TEXTS[name]
    colors = [color.get_truecolor().hex for color in (style.color, style.bgcolor)]
    if is_light:
        colors = [theme.LIGHT[color] for color in colors]
    assert contrast(*colors) >= 4.5


def test_every_color_of_the_screens_has_a_light_one():
    files = [*FOLDER.glob("*.tcss"), *(FOLDER / "screens").glob("*.py"), FOLDER / "theme.py"]
    text = "".join(path.read_text("utf-8").partition("LIGHT:")[0] for path in files)
    assert set(re.findall("#[0-9a-f]{6}", text)) <= theme.LIGHT.keys()
    assert len(set(theme.LIGHT.values())) == len(theme.LIGHT)


def light_colors(code: str) -> set[str]:
    """Run code in a new process after ``use_light``; return the words that it prints."""
    start = "from dgaal_cli.tui import theme; theme.use_light()\n"
    command = [sys.executable, "-c", start + code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_light_theme_reaches_styles_lines_dialogs_images_and_the_style_sheet():
    printed = light_colors(
        "from dgaal_cli.tui.app import LabelApp\n"
        "from dgaal_cli.tui.screens.dialogs import text\n"
        "from dgaal_cli.tui.widgets.lines import line\n"
        "print(theme.DIM.color.name, theme.BACK_RGB == (255, 255, 255))\n"
        "print(*(s.style.bgcolor.name for s in line(9, ())))\n"
        "print(*(str(s.style) for s in text(('a', '#8a95a3')).spans))\n"
        "print(LabelApp.CSS)\n"
    )
    assert {"#566270", "True", "#ffffff"} <= printed
    dark = set(theme.LIGHT) - set(theme.LIGHT.values())
    assert not [color for color, word in itertools.product(dark, printed) if color in word]


def test_screens_are_imported_after_the_theme_is_chosen():
    modules = light_colors(
        "import sys, dgaal_cli.tui.start, dgaal_cli.tui.bridge\nprint(*sys.modules)\n"
    )
    assert not [name for name in modules if name.startswith("dgaal_cli.tui.widgets")]
