"""Checkpoints: saved atomically, and refused if damaged."""

import json

import pytest
import torch

from dgaal_cli.errors import CheckpointError
from dgaal_cli.training import checkpoint, checkpoint_folder
from dgaal_cli.training.seeding import initializing

TENSORS = {"module.a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(7)}


def test_load_returns_the_saved_tensors_and_state(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 3})
    tensors, state = checkpoint.load(tmp_path / "c")
    assert state["step"] == 3
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)


def test_saving_again_replaces_the_checkpoint_without_leftovers(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 3})
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 4})
    assert checkpoint.load(tmp_path / "c")[1]["step"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_old_checkpoint_is_loadable_after_kill_between_renames(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 3})
    (tmp_path / "c").rename(tmp_path / ".c.old")
    assert checkpoint.exists(tmp_path / "c")
    assert checkpoint.load(tmp_path / "c")[1]["step"] == 3


@pytest.mark.parametrize("name", [checkpoint.TENSORS_NAME, checkpoint.STATE_NAME])
@pytest.mark.parametrize("damage", ["flip", "truncate", "append", "remove"])
def test_damaged_checkpoint_is_refused(tmp_path, name, damage):
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 3})
    path = tmp_path / "c" / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif damage == "truncate":
        path.write_bytes(data[:-1])
    elif damage == "append":
        path.write_bytes(data + b"\0")
    else:
        path.unlink()
    with pytest.raises(CheckpointError) as refused:
        checkpoint.load(tmp_path / "c")
    assert refused.value.exit_code == 4


def test_checkpoint_of_a_later_version_is_refused(tmp_path):
    checkpoint.save(tmp_path / "c", TENSORS, {"version": 99})
    with pytest.raises(CheckpointError, match="version 99"):
        checkpoint.load(tmp_path / "c")


def test_missing_checkpoint_error_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match="dgaal train"):
        checkpoint.load(tmp_path / "c")


def test_different_shapes_are_refused_with_the_network_name():
    small, large = torch.nn.Linear(2, 3), torch.nn.Linear(4, 3)
    tensors = checkpoint.module_tensors({"net": small})
    with pytest.raises(CheckpointError, match="'net' does not fit"):
        checkpoint.restore_modules({"net": large}, tensors)


def test_optimizer_moments_are_restored():
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    tensors, scalars = checkpoint.optimizer_tensors({"adam": optimizer})
    fresh = torch.optim.Adam(layer.parameters(), lr=0.1)
    checkpoint.restore_optimizers({"adam": fresh}, tensors, json.loads(json.dumps(scalars)))
    before, after = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert before.keys() == after.keys()
    assert all(
        torch.equal(torch.as_tensor(before[i][key]), torch.as_tensor(after[i][key]))
        for i in before
        for key in before[i]
    )


def test_moments_are_restored_in_the_memory_format_of_their_parameter():
    """Files store contiguous tensors; fused steps read parameter and moment as flat memory."""

    def network_with_moments():
        with initializing(0, "test"):
            layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, fused=True)
        return layer, optimizer

    def step(layer, optimizer):
        optimizer.zero_grad()
        layer(torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))).sum().backward()
        optimizer.step()

    uninterrupted, sgd = network_with_moments()
    step(uninterrupted, sgd)
    tensors, scalars = checkpoint.optimizer_tensors({"sgd": sgd})
    saved = {name: tensor.contiguous() for name, tensor in tensors.items()}
    other, resumed = network_with_moments()
    other.load_state_dict(uninterrupted.state_dict())
    checkpoint.restore_optimizers({"sgd": resumed}, saved, scalars)
    step(uninterrupted, sgd)
    step(other, resumed)
    assert torch.equal(uninterrupted.weight, other.weight)


def test_checkpoint_that_cannot_be_removed_stays_loadable(tmp_path, monkeypatch):
    checkpoint.save(tmp_path / "progress", {"x": torch.zeros(2)}, {"step": 1})

    def refuse(path, missing_ok=False):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", refuse)
        checkpoint_folder.remove(tmp_path / "progress")
    assert checkpoint.load(tmp_path / "progress")[1]["step"] == 1
    checkpoint_folder.remove(tmp_path / "progress")
    assert not checkpoint.exists(tmp_path / "progress")
    assert list(tmp_path.iterdir()) == []
