"""Caption and details of an image: plain sentences, and no class while guesses are hidden."""

import pytest
from digit_terminal import answer, label_app, make_workspace, press, ready, until
from PIL import ExifTags, Image, ImageFile
from textual.widgets import Static

from dgaal_cli.data.photo_facts import NO_FACTS, photo_facts
from dgaal_cli.tui.phrases import accuracy_text
from dgaal_cli.tui.screens.details import DetailsDialog
from dgaal_cli.tui.widgets.image_view import Frame


def caption(app) -> str:
    return "\n".join(strip.text for strip in app.label_screen.query_one(Frame)._rows)


@pytest.fixture
def workspace(tmp_path):
    return make_workspace(tmp_path)


SIZES = [(60, 18), (80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
async def test_caption_shows_a_sentence_without_figures_of_the_query(workspace, clock, size):
    with label_app(workspace, clock, hints=False) as app:
        async with app.run_test(size=size) as pilot:
            await ready(app, pilot)
            text = caption(app)
            assert "least like what is labeled so far" in text
            assert not any(word in text for word in ("score", "0.977", "99.8", "nearest", "model"))


@pytest.mark.parametrize("size", SIZES[2:])
async def test_doubt_of_the_model_is_shown_only_with_guesses(workspace, clock, size):
    with label_app(workspace, clock, hints=False) as app:
        async with app.run_test(size=size) as pilot:
            await answer(app, pilot, clock, 5)
            assert "three" not in caption(app)
            await press(app, pilot, clock, "p")
            await ready(app, pilot)
            assert "three 38% and five 34%" in caption(app)


async def test_blind_image_hides_what_the_model_says(workspace, clock):
    with label_app(workspace, clock) as app:
        async with app.run_test(size=(200, 50)) as pilot:
            await ready(app, pilot)
            while not app.label_screen.shown.image.is_blind:
                assert "the model " in caption(app)
                await answer(app, pilot, clock, 1)
            assert "the model " not in caption(app)


async def details(app, pilot, clock) -> str:
    await press(app, pilot, clock, "i")
    await until(pilot, lambda: isinstance(app.screen, DetailsDialog))
    text = "\n".join(str(part.content) for part in app.screen.query(Static))
    await press(app, pilot, clock, "escape")
    await until(pilot, lambda: app.screen is app.label_screen)
    return text


async def test_details_name_figures_and_file_and_hide_guesses_until_they_are_on(workspace, clock):
    with label_app(workspace, clock, hints=False) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await answer(app, pilot, clock, 5)
            text = await details(app, pilot, clock)
            for part in ("five-0102.png", "8 x 8", "number 6 of 30", "0.957", "99.3% of the pool"):
                assert part in text
            assert "zero-0000.png: the labeled" in text
            assert "hidden: p shows them" in text
            assert "three" not in text
            await press(app, pilot, clock, "p")
            await ready(app, pilot)
            text = await details(app, pilot, clock)
            assert "guesses   three 37.6%, five 33.9%" in text
            assert "zero-0000.png zero: the labeled" in text


async def test_details_of_a_blind_image_show_no_guess(workspace, clock):
    with label_app(workspace, clock) as app:
        async with app.run_test(size=(80, 24)) as pilot:
            await ready(app, pilot)
            while not app.label_screen.shown.image.is_blind:
                await answer(app, pilot, clock, 1)
            assert "hidden: to compare answers" in await details(app, pilot, clock)


def test_photo_facts_are_time_and_camera_of_exif(tmp_path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R6"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:31 14:05:59"
    Image.new("RGB", (4, 3)).save(path, exif=exif)
    facts = photo_facts(path)
    assert facts.camera == "Canon EOS R6"
    assert facts.taken_at == "2024-05-31 14:05:59"
    assert facts.size_bytes == path.stat().st_size


def test_photo_facts_are_read_without_decoding_pixels(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(path)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("pixels are decoded"))
    assert photo_facts(path).size_bytes == path.stat().st_size


def test_photo_facts_of_damaged_and_missing_files_are_empty(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff")
    assert photo_facts(path).camera == ""
    assert photo_facts(path).size_bytes == path.stat().st_size
    assert photo_facts(tmp_path / "gone.jpg") == NO_FACTS


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


@pytest.mark.parametrize("size", SIZES)
async def test_long_notice_is_wrapped_instead_of_cut(workspace, clock, size):
    notice = "nothing is trained yet: these images were chosen by thumbnails of the pool"
    with label_app(workspace, clock) as app:
        async with app.run_test(size=size) as pilot:
            await ready(app, pilot)
            app.label_screen.notices.inform(notice)
            shown = " ".join(caption(app).split())
            assert notice in shown
            assert "…" not in shown
