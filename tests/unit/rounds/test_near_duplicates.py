"""``dgaal pool duplicates``: images that show nearly the same, in groups."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.pool import pool_duplicates, share_answers, withdraw_shared_answers
from dgaal_cli.cli import app
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds import near_duplicates as module
from dgaal_cli.rounds.near_duplicates import hash_points, leader_groups
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.workspace import Workspace


def scene(seed: int) -> Image.Image:
    """Return a picture of smooth random colors."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Return a workspace of 30 scenes; of the first three, copies that a person would not tell."""
    folder = tmp_path_factory.mktemp("near")
    pool = folder / "pool"
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
    request = InitRequest(root=folder / "w", pool="pool", base=folder, method="random")
    workspace = init(request).workspace
    pool_duplicates(workspace, configuration(workspace))  # makes the thumbnails once
    return workspace


@pytest.fixture
def made(template, tmp_path):
    return Workspace(Path(shutil.copytree(template.root, tmp_path / "w")))


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
    assert "3 groups of near duplicates among 36 images (up to 12 bits of the hash)" in told.stdout
    document = json.loads(
        CliRunner().invoke(app, ["-C", root, "--json", "pool", "duplicates"]).stdout
    )
    assert {frozenset(group) for group in document["groups"]} == EXPECTED
    assert (document["by"], document["threshold"]) == ("hash", 12)


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


def answer(workspace, **given):
    """Let a person answer images: names without suffix to classes."""
    with open_store(workspace) as store:
        uids = {record.name: record.uid for record in store.classes()}
        labels = [
            ImportedLabel(
                sample_id=f"{name.strip('_')}.png", label=class_label(uids[kind]), annotator="ann"
            )
            for name, kind in given.items()
        ]
        store.import_labels(labels)


def labels(workspace):
    with open_store(workspace, read_only=True) as store:
        names = store.class_names()
        return {r.sample_id: (names[r.label.classes[0]], r.provenance) for r in store.labels()}


@pytest.fixture
def labeled(made):
    with open_store(made) as store:
        store.add_classes(["cat", "dog"])
    answer(made, _00="cat", _01="dog", _05="dog")
    return made


SHARED = {
    "00-strong.jpg": ("cat", "inherited"),
    "00-small.png": ("cat", "inherited"),
    "01-bright.png": ("dog", "inherited"),
}


def test_one_answer_counts_for_a_group_and_is_withdrawn_in_one_step(labeled):
    before = labels(labeled)
    done = share_answers(labeled, configuration(labeled))
    assert (done.shared, done.withdrawn, done.contradictions) == (3, 0, 0)
    assert labels(labeled) == {**before, **SHARED}
    with open_store(labeled, read_only=True) as store:
        assert store.counts().annotations == 0  # imports are none, and neither are shared labels
        assert store.check() == []
    assert withdraw_shared_answers(labeled) == 3
    assert labels(labeled) == before
    assert withdraw_shared_answers(labeled) == 0


def test_answers_of_people_beat_shared_labels_and_corrections_are_followed(labeled):
    share_answers(labeled, configuration(labeled))
    answer(labeled, **{"_01-bright": "cat"})
    assert labels(labeled)["01-bright.png"] == ("cat", "imported")
    answer(labeled, _00="dog")
    done = share_answers(labeled, configuration(labeled))
    assert (done.shared, done.withdrawn, done.contradictions) == (2, 1, 1)
    found = labels(labeled)
    assert found["00-small.png"] == ("dog", "inherited")
    assert found["01-bright.png"] == ("cat", "imported")


def test_images_of_different_groups_share_no_label(labeled):
    with open_store(labeled) as store:
        ids = [store.item_by_sample(name).item_id for name in ("01.png", "01-bright.png")]
        store.change_pool(module.PoolChange(groups=dict(zip(ids, ("p1", "p2"), strict=True))))
    assert share_answers(labeled, configuration(labeled)).shared == 2
    assert "01-bright.png" not in labels(labeled)


def test_shared_labels_are_not_measured_on_and_not_learned_beside_such_a_label(labeled):
    answer(labeled, **{f"_{n:02d}": ("cat", "dog")[n % 2] for n in range(30)})
    share_answers(labeled, configuration(labeled))
    copies = {"00-strong.jpg", "00-small.png", "01-bright.png", "02-cut.png"}
    for share in (0.05, 0.5, 0.95):
        config = configuration(labeled, "threads=1", f"evaluation.held_out={share}")
        with open_store(labeled) as store:
            names = {item.item_id: item.sample_id for item in store.items()}
            data = gather(labeled, config, store, number=0, device=torch.device("cpu")).data
        held = {names[data.item_ids[row]] for row in np.flatnonzero(data.is_held_out)}
        known = {names[data.item_ids[row]] for row in np.flatnonzero(data.is_labeled)}
        assert not held & copies
        for copy in copies:
            assert (copy in known) is (f"{copy[:2]}.png" not in held)
