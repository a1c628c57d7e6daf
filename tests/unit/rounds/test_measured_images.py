"""Images that T is measured on are not used for training, and neither are copies of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli.errors import UsageError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.reports.sheets import encode_png
from dgaal_cli.rounds import boundary_synthesis as boundary
from dgaal_cli.rounds.engine import synthesize_copies
from dgaal_cli.rounds.held_out import MIN_HELD_OUT
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import NewSynthetic, PoolChange
from dgaal_cli.tasks.classification.label import class_of
from dgaal_cli.tasks.oracle import answer_items
from dgaal_cli.training.runtime import Runtime
from dgaal_cli.workspace import Workspace

CPU = torch.device("cpu")
COUNT = 60
NAMES = [f"{i:03d}.png" for i in range(COUNT)]
TRUTH = {name: ("cat", "dog")[i % 2] for i, name in enumerate(NAMES)}


class RecordingMethod:
    """A method that synthesizes no copies and records the requested parents."""

    name = "redrawer"
    classifier = None

    def __init__(self):
        self.parents = []

    def synthesize(self, data, parents, seed):
        self.parents = list(parents)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(make_workspace(tmp_path / "w", NAMES))


def gathered(workspace, store, *assignments):
    config = configuration(workspace, "threads=1", "evaluation.held_out=0.4", *assignments)
    return gather(workspace, config, store, number=1, device=CPU)


def label(store, items):
    answer_items(store, [item.item_id for item in items], TRUTH)


def add_copies(workspace, store):
    """Add one copy of each labeled image and promote every second copy."""
    labels = {record.item_id: class_of(record.label) for record in store.labels()}
    folder = workspace.rounds_path / "000/synthetic"
    folder.mkdir(parents=True)
    new = []
    for item_id, uid in labels.items():
        name = f"copy-{item_id:06d}.png"
        content = encode_png(np.full((8, 8, 1), item_id, np.uint8), dgaal=name)
        (folder / name).write_bytes(content)
        new.append(
            NewSynthetic(
                sample_id=f"synthetic/000/{name}",
                sha256=int(item_id).to_bytes(32),
                size_bytes=len(content),
                width=8,
                height=8,
                parent=item_id,
                round=0,
                inherited=as_label(uid),
            )
        )
    copies = store.add_synthetic(new)
    store.promote_synthetic(copies[::2], 0)


def test_copies_are_not_synthesized_of_images_to_measure(workspace):
    with open_store(workspace.store_path) as store:
        items = store.items()
        for done, count in ((0, MIN_HELD_OUT - 2), (MIN_HELD_OUT - 2, COUNT)):
            label(store, items[done:count])
            found = gathered(workspace, store)
            is_held_out = found.data.is_held_out
            assert is_held_out.any() == (count == COUNT)  # few labels are all used for training
            method = RecordingMethod()
            synthesize_copies(found, method, Runtime(device=CPU))
            expected = set(np.flatnonzero(~found.dataset.is_to_measure)) & set(range(count))
            assert set(method.parents) == expected
            assert 0 < len(expected) < count


def test_earlier_copies_of_held_out_images_are_not_used(workspace):
    with open_store(workspace.store_path) as store:
        items = store.items()
        label(store, items[: MIN_HELD_OUT - 2])
        add_copies(workspace, store)
        before = gathered(workspace, store).data.synthetic
        assert before.is_labeled.tolist() == [True, False] * 9
        assert before.is_candidate.tolist() == [False, True] * 9
        label(store, items[MIN_HELD_OUT - 2 :])
        data = gathered(workspace, store).data
        after = data.synthetic
    is_measured = data.is_held_out[after.parents]
    for before_mask, after_mask in (
        (before.is_labeled, after.is_labeled),
        (before.is_candidate, after.is_candidate),
    ):
        assert (before_mask & is_measured).any()
        assert after_mask.tolist() == (before_mask & ~is_measured).tolist()


def set_groups(store, count):
    """Put the images into this many groups, in turn."""
    items = store.items()
    groups = {item.item_id: f"p{number % count}" for number, item in enumerate(items)}
    store.change_pool(PoolChange(groups=groups))
    return np.array([int(groups[item.item_id][1:]) for item in items])


@pytest.mark.parametrize("count", [2, 3, 12])
def test_whole_groups_are_held_out_and_never_all(workspace, count):
    with open_store(workspace.store_path) as store:
        label(store, store.items())
        single = gathered(workspace, store).data.is_held_out
        groups = set_groups(store, count)
        is_held_out = gathered(workspace, store).data.is_held_out
        measured = set(groups[is_held_out].tolist())
        assert measured
        assert len(measured) < count
        assert not measured & set(groups[~is_held_out].tolist())
        # Without groups, images of each would be on both sides.
        assert set(groups[single].tolist()) & set(groups[~single].tolist())


def test_nothing_is_held_out_of_a_single_group(workspace):
    with open_store(workspace.store_path) as store:
        label(store, store.items())
        set_groups(store, 1)
        assert not gathered(workspace, store).data.is_held_out.any()


def test_groups_stay_held_out_when_they_grow_and_images_go_missing(workspace):
    with open_store(workspace.store_path) as store:
        label(store, store.items())
        groups = set_groups(store, 12)
        before = set(groups[gathered(workspace, store).data.is_held_out].tolist())
        first = [item for item in store.items() if item.item_id <= 12]
        for item in first:
            (workspace.root / "pool" / item.sample_id).unlink()
        found = gathered(workspace, store).data
    kept = groups[12:]
    assert len(found.item_ids) == COUNT - 12
    assert set(kept[found.is_held_out].tolist()) == before


def test_every_copy_is_used_with_a_test_source(workspace):
    test = workspace.root / "test"
    for name in ("cat", "dog"):
        (test / name).mkdir(parents=True)
        (test / name / "1.png").write_bytes((workspace.root / "pool" / NAMES[0]).read_bytes())
    with open_store(workspace.store_path) as store:
        label(store, store.items())
        add_copies(workspace, store)
        found = gathered(workspace, store, "pool.test=test")
    assert not found.dataset.is_to_measure.any()
    assert found.data.synthetic.is_labeled.tolist() == [True, False] * (COUNT // 2)
    assert found.data.synthetic.is_candidate.tolist() == [False, True] * (COUNT // 2)


def test_boundary_copies_are_not_synthesized_of_images_to_measure(workspace, monkeypatch):
    def fake_predict(network, pixels, device):
        return SimpleNamespace(probabilities=np.full((len(pixels), 2), 0.5))

    monkeypatch.setattr(boundary, "predict", fake_predict)
    method = RecordingMethod()
    with open_store(workspace.store_path) as store:
        label(store, store.items()[:30])
        found = gathered(workspace, store)
        with pytest.raises(UsageError, match="'redrawer' synthesizes no copies of images"):
            boundary.synthesize_at_boundary(method, found.dataset, count=COUNT, seed=0)
    assert sorted(method.parents) == np.flatnonzero(~found.dataset.is_to_measure).tolist()
