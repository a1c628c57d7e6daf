"""``dgaal pool duplicates``: images that show nearly the same, in groups."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.pool import pool_duplicates
from dgaal_cli.cli import app
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds import near_duplicates as module
from dgaal_cli.rounds.near_duplicates import hash_points, leader_groups
from dgaal_cli.store.open import open_store


def scene(seed: int) -> Image.Image:
    """Return a picture of smooth random colors."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def made(tmp_path):
    """Return a workspace of 30 scenes; of the first three, copies that a person would not tell."""
    pool = tmp_path / "pool"
    pool.mkdir()
    for seed in range(30):
        scene(seed).save(pool / f"{seed:02d}.png")
    scene(0).save(pool / "00-strong.jpg", quality=30)
    scene(0).resize((60, 60)).save(pool / "00-small.png")
    pixels = np.asarray(scene(1)).astype(int) + 6
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(pool / "01-bright.png")
    scene(2).crop((1, 1, 96, 96)).save(pool / "02-cut.png")
    for name, level in (("black", 0), ("white", 255)):
        Image.new("RGB", (96, 96), (level,) * 3).save(pool / f"{name}.png")
    request = InitRequest(root=tmp_path / "w", pool="pool", base=tmp_path, method="random")
    return init(request).workspace


EXPECTED = {
    frozenset(("00.png", "00-strong.jpg", "00-small.png")),
    frozenset(("01.png", "01-bright.png")),
    frozenset(("02.png", "02-cut.png")),
}


def names(found):
    return {frozenset(item.sample_id for item in group) for group in found.groups}


def test_copies_in_other_sizes_formats_and_brightness_are_found_and_no_others(made):
    found, grouped = pool_duplicates(made, configuration(made))
    assert names(found) == EXPECTED
    assert (found.by, found.compared, grouped) == ("hash", 36, 0)
    assert [group[0].item_id for group in found.groups] == sorted(
        min(item.item_id for item in group) for group in found.groups
    )


def test_plain_images_of_other_colors_are_not_duplicates_although_their_bits_are(made, monkeypatch):
    def bits(thumbnails):
        return hash_points(thumbnails)[:, :112]

    monkeypatch.setattr(module, "hash_points", bits)
    found, _ = pool_duplicates(made, configuration(made))
    assert frozenset(("black.png", "white.png")) in names(found)


def test_threshold_of_zero_finds_only_equal_thumbnails(made):
    found, _ = pool_duplicates(made, configuration(made), threshold=0)
    assert found.groups == ()


def test_duplicates_are_kept_together_and_known_groups_stay(made):
    with open_store(made) as store:
        item = store.item_by_sample("01.png").item_id
        store.change_pool(module.PoolChange(groups={item: "p1"}))
    _, grouped = pool_duplicates(made, configuration(made), keeps_together=True)
    assert grouped == 6
    with open_store(made, read_only=True) as store:
        groups = store.groups()
        found = {store.item(item_id).sample_id: name for item_id, name in groups.items()}
    assert found["01.png"] == found["01-bright.png"] == "p1"
    assert found["02.png"] == found["02-cut.png"]
    assert len(set(found.values())) == 3
    assert pool_duplicates(made, configuration(made), keeps_together=True)[1] == 0


def test_command_lists_groups(made):
    root = str(made.root)
    told = CliRunner().invoke(app, ["-C", root, "pool", "duplicates"])
    assert "3 groups of near duplicates among 36 images (up to 8 bits of the hash)" in told.stdout
    document = json.loads(
        CliRunner().invoke(app, ["-C", root, "--json", "pool", "duplicates"]).stdout
    )
    assert {frozenset(group) for group in document["groups"]} == EXPECTED
    assert (document["by"], document["threshold"]) == ("hash", 8)


@pytest.mark.parametrize("options", [{"threshold": -1}, {"by": "features"}])
def test_options_that_cannot_work_are_refused(made, options):
    with pytest.raises(UsageError):
        pool_duplicates(made, configuration(made), **options)


def test_chain_of_small_changes_is_not_one_group():
    points = np.arange(10, dtype=np.float32)[:, None]
    assert leader_groups(points, 1.0) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_many_equal_points_are_one_group():
    points = np.repeat(np.eye(3, dtype=np.float32), 100, axis=0)
    assert [len(rows) for rows in leader_groups(points, 0.5)] == [100, 100, 100]
    assert leader_groups(points[:1], 0.5) == []
