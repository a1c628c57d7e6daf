"""Guesses by features: after the first labels, without a training and without torch."""

import numpy as np
import pytest
from class_labels import as_label
from label_workspaces import make_workspace
from onnx_models import image_model
from PIL import Image

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.labeling.learner import load_guesses
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.task_heads.fit import FeatureModel

NAMES = [f"{number:03d}.png" for number in range(40)]
CLASSES = ("cat", "dog")


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with a tiny ONNX encoder: dark images are cats, striped ones dogs."""
    root = make_workspace(tmp_path / "w", NAMES, side=16)
    generator = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        pixels = generator.integers(20, 60, (16, 16), np.uint8)
        if number % 2:
            pixels[:, ::4] += 180
        Image.fromarray(pixels).save(root / "pool" / name)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    (root / "model.onnx").write_bytes(image_model())
    request = InitRequest(
        root=root,
        pool=str(root / "pool"),
        base=root,
        classes=CLASSES,
        query_size=4,
        encoder="model.onnx",
    )
    return init(request).workspace


def label(workspace, numbers):
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(sample_id=NAMES[n], label=as_label(uids[n % 2]), annotator="a")
                for n in numbers
            ]
        )


def ask(workspace):
    return query(workspace, configuration(workspace))


def guessed_right(workspace, result):
    with open_store(workspace, read_only=True) as store:
        names = store.class_names()
    return [
        names[entry.predicted] == CLASSES[NAMES.index(item.sample_id) % 2]
        for entry, item in zip(result.entries, result.items, strict=True)
    ]


def test_asked_images_have_guesses_once_two_classes_have_labels(workspace):
    label(workspace, [0, 1, 2, 3])
    result = ask(workspace)
    assert guessed_right(workspace, result) == [True] * 4
    assert "neighbor graph" in result.guessed_by
    assert all(sum(p for _, p in e.probabilities) == pytest.approx(1) for e in result.entries)


@pytest.mark.parametrize("numbers", [[], [0, 2]])
def test_without_two_classes_nothing_is_guessed(workspace, numbers):
    label(workspace, numbers)
    result = ask(workspace)
    assert [entry.predicted for entry in result.entries] == [None] * 4
    assert result.guessed_by == ""


def test_session_guesses_the_class_of_every_image_of_the_pool(workspace):
    label(workspace, [0, 1, 2, 3])
    number = ask(workspace).round
    assert guesses_of_session(workspace, number) == [True] * 40
    assert guesses_of_session(workspace, number + 1) == []


def guesses_of_session(workspace, number):
    """Return which guesses of a session of a round are right; empty without a learner."""
    with open_store(workspace, read_only=True) as store:
        uids = [record.uid for record in store.classes()]
        items = store.items()
    guesses = load_guesses(workspace, round=number, classes=uids)
    if guesses is None:
        return []
    found = guesses.guesses([item.item_id for item in items])
    return [found[item.item_id][0][0] == uids[NAMES.index(item.sample_id) % 2] for item in items]


def test_control_shuffled_model_guesses_wrong(workspace, monkeypatch):
    def shuffled(model):
        kept = probabilities(model)
        return kept[np.random.default_rng(0).permutation(len(kept))]

    probabilities = FeatureModel.pool_probabilities
    monkeypatch.setattr(FeatureModel, "pool_probabilities", shuffled)
    label(workspace, [0, 1, 2, 3])
    assert not all(guesses_of_session(workspace, ask(workspace).round))
