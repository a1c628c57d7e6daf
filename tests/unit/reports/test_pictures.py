"""Pictures of reports: values, names and missing data."""

import io

import numpy as np
import pytest
from PIL import Image

from dgaal_cli.events import StepDone
from dgaal_cli.reports.confusion import draw_confusion
from dgaal_cli.reports.curves import Difference, Series, draw_curves, draw_differences, draw_health
from dgaal_cli.reports.figure import new_figure, plain, png_of
from dgaal_cli.reports.round_plots import loss_series
from dgaal_cli.reports.sheets import MAX_CELLS, query_sheet

NAMES = ["$\\frac{", "_hidden", "\x1b[31mred", "貓", "a" * 80]


def opened(png):
    return Image.open(io.BytesIO(png)).convert("RGB")


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_accepts_any_name(name):
    line = Series(name=name, labels=(1.0, 2.0), accuracies=(0.5, 0.6))
    assert opened(draw_curves([line], ylabel=name, level=0.9)).width > 500
    assert (
        opened(draw_differences([Difference(name=name, mean=0.0, low=-0.1, high=0.1)])).width > 500
    )
    assert opened(draw_confusion(np.eye(2, dtype=np.int64), [name, "b"], title=name)).width > 100
    assert opened(draw_health([(0, {name: 1.0})])).width > 100


def test_plain_escapes_markup_and_control_characters():
    assert plain("$x$") == r"\$x\$"
    assert plain("_x") == " _x"
    assert plain("\x1b") == "\\u{1b}"


def test_curve_height_follows_accuracy():
    def ink_of(height):
        series = Series(name="a", labels=(0.0, 10.0), accuracies=(height, height))
        scale = Series(name="b", labels=(0.0, 10.0), accuracies=(0.0, 1.0))
        pixels = np.asarray(opened(draw_curves([scale, series], ylabel="y"))).astype(int)
        is_blue = (pixels[..., 2] > 120) & (pixels[..., 0] < 60)
        return np.flatnonzero(is_blue.any(1)).mean()

    assert ink_of(0.9) < ink_of(0.5) < ink_of(0.1)


def test_losses_of_numbered_phases_share_a_series():
    def done(phase, step, value):
        losses = {"cross_entropy": value}
        return StepDone(phase=phase, step=step, steps=2, rate=1.0, left_s=0.0, losses=losses)

    steps = [("scout", 1, 0.5), ("fold-0", 1, 0.25), ("fold-1", 1, 2.0), ("fold-1", 2, 1.0)]
    assert loss_series([done(*each) for each in steps] + [done("fold-all", 1, 4.0)]) == {
        "scout": {"cross_entropy": [(1, 0.5)]},
        "fold": {"cross_entropy 0": [(1, 0.25)], "cross_entropy 1": [(1, 2.0), (2, 1.0)]},
        "fold-all": {"cross_entropy": [(1, 4.0)]},
    }


def test_confusion_matrix_is_dark_at_large_counts():
    right = opened(draw_confusion(np.diag([9, 9]), ["a", "b"], title="t"))
    wrong = opened(draw_confusion(np.diag([9, 9])[::-1], ["a", "b"], title="t"))
    assert right.size == wrong.size
    where = (int(right.width * 0.4), int(right.height * 0.3))
    assert sum(right.getpixel(where)) < sum(wrong.getpixel(where))


def test_confusion_matrix_accepts_class_without_test_images():
    png = draw_confusion(np.array([[0, 0], [1, 3]]), ["absent", "b"], title="t")
    assert opened(png).width > 100


def test_sheet_shows_images_in_order_at_one_size():
    images = [
        np.full((4, 4, 1), 250, np.uint8),
        np.full((300, 100, 3), (200, 0, 0), np.uint8),
        np.full((1, 90, 1), 120, np.uint8),
    ]
    sheet = opened(query_sheet(images, ["1: a", "2: \x1b[0m", "3: 貓"]))
    assert sheet.getpixel((6 + 32, 6 + 32)) == (250, 250, 250)
    assert sheet.getpixel((76 + 32, 6 + 32)) == (200, 0, 0)
    assert sheet.getpixel((76 + 4, 6 + 32)) == (24, 24, 24)  # tall images are not stretched
    assert sheet.getpixel((146 + 32, 6 + 31)) == (120, 120, 120)


def test_sheet_shows_at_most_max_cells_images():
    one = np.zeros((4, 4, 1), np.uint8)
    full = opened(query_sheet([one] * MAX_CELLS, ["x"] * MAX_CELLS))
    assert opened(query_sheet([one] * (MAX_CELLS + 40), ["x"] * (MAX_CELLS + 40))).size == full.size


def test_health_plot_accepts_missing_values():
    assert draw_health([(0, {}), (1, {})]) is None
    assert (
        opened(draw_health([(0, {"r2": None}), (1, {"r2": 0.4}), (2, {"other": 1.0})])).width > 100
    )


def test_missing_glyphs_cause_no_warning():
    figure = new_figure(width=2, height=1)
    figure.text(0.1, 0.5, "貓")
    assert opened(png_of(figure)).width > 100
