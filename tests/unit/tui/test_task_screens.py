"""Every task has a label screen that app and palette can use."""

import pytest
from textual.screen import Screen

from dgaal_cli.tasks.registry import TASKS
from dgaal_cli.tui.screens.registry import SCREENS, TaskScreen, load_screen

NEEDED = ("commands", "do", "painted", "release_held", "stop_processes")


def lacks(screen: type) -> list[str]:
    return [name for name in NEEDED if not hasattr(screen, name)]


def test_every_task_has_a_screen():
    assert SCREENS.keys() == set(TASKS)


@pytest.mark.parametrize("task", sorted(SCREENS))
def test_a_screen_offers_what_app_and_palette_need(task):
    screen = load_screen(task)
    assert issubclass(screen, Screen)
    assert lacks(screen) == []


def test_a_screen_without_its_duties_is_found():
    assert lacks(Screen) == list(NEEDED)
    assert not isinstance(Screen(), TaskScreen)
