"""The commands of each tutorial work in their order, on small made images."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from documented import Command, blocks, shell_commands
from feature_workspaces import feature_workspace
from onnx_models import image_model
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import open_workspace

ROOT = Path(__file__).parents[2]
IN_PLACE_OF = {"auto": "model.onnx"}
"""A tiny model takes the place of the pretrained encoder."""


def tutorial(name: str) -> list[Command]:
    page = ROOT / "docs" / name
    return [command for block in blocks(page, "console") for command in shell_commands(block)]


def make_photos(folder: Path, count: int) -> None:
    """Make dark and bright images, so that a model can learn the two classes."""
    folder.mkdir()
    rng = np.random.default_rng(count)
    for number in range(count):
        level = 60 if number % 2 else 180
        pixels = rng.integers(level - 40, level + 40, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")


def make_stacks(folder: Path, count: int) -> None:
    """Make stacks of three planes of 12 bits in files of 16, in six wells."""
    tifffile = pytest.importorskip("tifffile", reason="needs the extra scientific")
    folder.mkdir()
    rng = np.random.default_rng(count)
    for number in range(count):
        level = 900 if number % 2 else 2500
        planes = rng.integers(level - 300, level + 300, (3, 20, 20)).astype(np.uint16)
        path = folder / f"A{number % 6 + 1:02d}_site{number // 6 + 3:02d}.tif"
        tifffile.imwrite(path, planes, photometric="minisblack")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
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
        answers = "1\n2\n" * 40  # keys of the first two classes
    done = CliRunner().invoke(app, arguments, input=answers, catch_exceptions=False)
    allowed = {0, 5} if "--until" in arguments else {0}  # 5: the goal is not reached
    assert done.exit_code in allowed, (arguments, done.output)
    return done.output


def follow(name: str) -> None:
    for command in tutorial(name):
        program, *words = command.words
        if program == "cd":
            os.chdir(words[0])
        else:
            assert program == "dgaal"
            run(tuple(words))


@pytest.mark.slow
def test_tutorial_on_photographs_works(base: Path):
    make_photos(base / "photos", 120)
    make_photos(base / "more-photos", 7)
    follow("start.md")
    with open_store(open_workspace(base / "work")) as store:
        assert len(store.labels()) >= 3 * 24
    assert len((base / "work" / "labels.csv").read_text().splitlines()) > 3 * 24
    assert len((base / "work" / "ranked.csv").read_text().splitlines()) == 1 + 7


@pytest.mark.slow
def test_tutorial_on_microscopy_works(base: Path):
    make_stacks(base / "plates", 90)
    make_stacks(base / "more-plates", 7)
    follow("microscopy.md")
    workspace = open_workspace(base / "cells")
    assert configuration(workspace).pool.range == (0, 4095)
    with open_store(workspace) as store:
        assert len(store.labels()) >= 24 + 12 + 20
        assert len(set(store.groups().values())) == 6
    assert len((base / "cells" / "ranked.csv").read_text().splitlines()) == 1 + 7


@pytest.mark.slow
def test_commands_of_the_operations_page_work(base: Path):
    made = feature_workspace(base / "work")
    os.chdir(made.root)
    follow("operations.md")
    with open_store(made) as store:
        assert len(store.labels()) == 8


def test_control_a_command_that_fails_is_noticed(base: Path):
    with pytest.raises(AssertionError, match="--never"):
        run(("query", "--never"))
