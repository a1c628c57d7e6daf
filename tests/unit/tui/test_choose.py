"""The image mode depends on options and environment, not on replies of the terminal."""

import pytest

from dgaal_cli.tui.render.choose import Mode, choose_mode

TRUE = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        (TRUE, Mode.HALF),
        ({"TERM": "xterm-256color"}, Mode.HALF256),
        ({"TERM": "tmux-256color", "TMUX": "x"}, Mode.HALF256),
        ({"TERM": "tmux-256color", "TMUX": "x", "COLORTERM": "24bit"}, Mode.HALF),
        ({"TERM": "xterm-kitty"}, Mode.HALF),
        ({"TERM": "xterm-kitty", "TMUX": "x"}, Mode.HALF256),
        ({"TERM": "screen"}, Mode.HALF256),
        ({"TERM": "xterm-direct"}, Mode.HALF),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, Mode.HALF),
        ({"TERM": "dumb"}, Mode.ASCII),
        ({}, Mode.ASCII),
        ({**TRUE, "NO_COLOR": "1"}, Mode.GRAY),
        ({**TRUE, "NO_COLOR": ""}, Mode.HALF),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, Mode.GRAY256),
        ({"TERM": "dumb", "NO_COLOR": "1"}, Mode.ASCII),
    ],
)
def test_auto_mode_depends_on_the_environment(environment, mode):
    assert choose_mode("auto", environment) is mode


@pytest.mark.parametrize("option", ["half", "half5", "half256", "ascii"])
def test_option_overrides_the_environment(option):
    assert choose_mode(option, {"TERM": "dumb", "NO_COLOR": "1"}) == option


def test_gray_mode_depends_on_the_available_colors():
    assert choose_mode("gray", TRUE) is Mode.GRAY
    assert choose_mode("gray", {"TERM": "xterm"}) is Mode.GRAY256
