"""Every task has a label screen with the members that app and palette use."""

import pytest
from textual.screen import Screen

from dgaal_cli.tasks.registry import TASKS
from dgaal_cli.tui.screens.registry import SCREENS, TaskScreen, load_screen

REQUIRED = ("commands", "newest_view", "do", "painted", "release_held", "stop_processes")


def missing_members(screen: type) -> list[str]:
    return [name for name in REQUIRED if not hasattr(screen, name)]


def test_every_task_has_a_label_screen():
    assert SCREENS.keys() == set(TASKS)


@pytest.mark.parametrize("task", sorted(SCREENS))
def test_label_screen_has_the_members_that_app_and_palette_use(task):
    screen = load_screen(task)
    assert issubclass(screen, Screen)
    assert missing_members(screen) == []


def test_screen_without_required_members_is_detected():
    assert missing_members(Screen) == list(REQUIRED)
    assert not isinstance(Screen(), TaskScreen)
