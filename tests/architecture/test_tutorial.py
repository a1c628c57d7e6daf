"""The commands of the tutorial work in their order, on small made images."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from documented import Command, blocks, shell_commands
from onnx_models import image_model
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import open_workspace

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "start.md"
IN_PLACE_OF = {"auto": "model.onnx"}
"""A tiny model takes the place of the pretrained encoder."""


def tutorial() -> list[Command]:
    return [command for block in blocks(PAGE, "console") for command in shell_commands(block)]


def make_photos(folder: Path, count: int) -> None:
    """Make dark and bright images, so that a model can learn the two classes."""
    folder.mkdir()
    rng = np.random.default_rng(count)
    for number in range(count):
        level = 60 if number % 2 else 180
        pixels = rng.integers(level - 40, level + 40, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    make_photos(tmp_path / "photos", 120)
    make_photos(tmp_path / "more-photos", 7)
    (tmp_path / "model.onnx").write_bytes(image_model())
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o022)
    yield tmp_path
    os.umask(mask)


def run(words: tuple[str, ...]) -> str:
    """Run one command of the tutorial; answers come line by line where a person would type."""
    arguments = [IN_PLACE_OF.get(word, word) for word in words]
    answers = None
    if arguments[0] == "label":
        arguments = ["label", "--plain"]
        answers = "cat\ndog\n" * 40
    done = CliRunner().invoke(app, arguments, input=answers, catch_exceptions=False)
    assert done.exit_code == 0, (arguments, done.output)
    return done.output


@pytest.mark.slow
def test_each_command_of_the_tutorial_works(base: Path):
    for command in tutorial():
        program, *words = command.words
        if program == "cd":
            os.chdir(words[0])
            continue
        assert program == "dgaal"
        run(tuple(words))
    assert Path.cwd() == base / "work"
    with open_store(open_workspace(base / "work")) as store:
        assert len(store.labels()) >= 3 * 24
    assert len((base / "work" / "labels.csv").read_text().splitlines()) > 3 * 24
    assert len((base / "work" / "ranked.csv").read_text().splitlines()) == 1 + 7


def test_control_a_command_that_fails_is_noticed(base: Path):
    with pytest.raises(AssertionError, match="--never"):
        run(("query", "--never"))
