"""The caption of an image shows no class while guesses are hidden."""

import pytest
from digit_terminal import answer, label_app, make_workspace, press, ready

from dgaal_cli.tui.phrases import accuracy_text
from dgaal_cli.tui.widgets.image_view import Frame


def caption(app) -> str:
    return "\n".join(strip.text for strip in app.label_screen.query_one(Frame)._rows)


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


async def test_class_of_the_nearest_image_is_shown_only_with_guesses(workspace, clock):
    with label_app(workspace, clock, hints=False) as app:
        async with app.run_test(size=(200, 50)) as pilot:
            await ready(app, pilot)
            assert "nearest zero-0000.png " in caption(app)
            assert "nearest zero-0000.png zero" not in caption(app)
            await press(app, pilot, clock, "p")
            assert app.label_screen.shown.scene.is_guess_visible
            assert "nearest zero-0000.png zero" in caption(app)


async def test_blind_image_hides_the_class_of_its_nearest_image(workspace, clock):
    with label_app(workspace, clock) as app:
        async with app.run_test(size=(200, 50)) as pilot:
            await ready(app, pilot)
            while not app.label_screen.shown.image.is_blind:
                assert "nearest zero-0000.png zero" in caption(app)
                await answer(app, pilot, clock, 1)
            assert "nearest zero-0000.png " in caption(app)
            assert "nearest zero-0000.png zero" not in caption(app)


@pytest.mark.parametrize(
    ("accuracy", "measured", "text"),
    [
        (1 / 3, 3, "too few to tell: 3 measured"),
        (1.0, 29, "too few to tell: 29 measured"),
        (0.5, 30, "50.0% (33 to 67)"),
        (1.0, 100, "100.0% (96 to 100)"),
        (0.896, 500, "89.6% (87 to 92)"),
        (0.896, None, "89.6%"),
    ],
)
def test_accuracy_of_few_images_tells_nothing_else_it_has_an_interval(accuracy, measured, text):
    assert accuracy_text(accuracy, measured) == text
