"""If a checkpoint is damaged, the newest intact one before it is used."""

from pathlib import Path

import pytest
import torch

from dgaal_cli.errors import CheckpointError
from dgaal_cli.events import Warned
from dgaal_cli.rounds import state as rounds
from dgaal_cli.training import checkpoint
from dgaal_cli.training.checkpoint_folder import is_sound
from dgaal_cli.workspace import Workspace

TENSORS = {"module.a.weight": torch.arange(6.0)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path)
    for number in range(3):
        folder = made.round_path(number) / rounds.CHECKPOINT_NAME
        checkpoint.save(folder, TENSORS, {"round": number})
    return made


def damage(workspace: Workspace, number: int) -> None:
    folder = workspace.round_path(number) / rounds.CHECKPOINT_NAME
    path = folder / checkpoint.TENSORS_NAME
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_last_trained_is_the_newest_intact_round(workspace):
    assert rounds.last_trained(workspace) == 2
    assert rounds.damage_report(workspace, newest=2) == ""
    damage(workspace, 2)
    assert rounds.last_trained(workspace) == 1
    assert rounds.last_trained(workspace, before=1) == 0
    damage(workspace, 0)
    assert rounds.last_trained(workspace) == 1
    # the metrics of damaged rounds are still valid
    assert rounds.trained_rounds(workspace) == [
        0,
        1,
        2,
    ]
    assert rounds.damage_report(workspace, newest=1) == (
        "the checkpoint of round 2 is damaged; round 1 is used instead"
    )


def test_last_trained_is_none_without_an_intact_round(workspace):
    for number in range(3):
        damage(workspace, number)
    assert rounds.last_trained(workspace) is None
    assert rounds.damage_report(workspace, newest=None) == (
        "the checkpoint of rounds 0, 1, 2 is damaged; there is no older one"
    )


def test_damage_after_a_check_is_detected_at_the_next_check(workspace):
    folder = workspace.round_path(2) / rounds.CHECKPOINT_NAME
    assert is_sound(folder)
    damage(workspace, 2)
    assert not is_sound(folder)


@pytest.mark.parametrize("is_new_damaged", [True, False])
def test_old_copy_is_loaded_if_the_new_checkpoint_is_damaged(tmp_path, is_new_damaged):
    checkpoint.save(tmp_path / "c", TENSORS, {"step": 3})
    (tmp_path / "c").rename(tmp_path / ".c.old")
    checkpoint.save(tmp_path / "c2", TENSORS, {"step": 4})
    (tmp_path / "c2").rename(tmp_path / "c")
    if is_new_damaged:
        (tmp_path / "c" / checkpoint.STATE_NAME).write_bytes(b"{}")
    assert checkpoint.load(tmp_path / "c")[1]["step"] == (3 if is_new_damaged else 4)
    (tmp_path / ".c.old" / checkpoint.STATE_NAME).unlink()
    (tmp_path / "c" / checkpoint.STATE_NAME).unlink()
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path / "c")


def test_damaged_progress_of_an_unfinished_round_restarts_it(tmp_path):
    from small_rounds import build, runner, small_config

    checkpoint.save(tmp_path / "progress", TENSORS, {"identity": {"labels": "a"}})
    (tmp_path / "progress" / checkpoint.TENSORS_NAME).write_bytes(b"none")
    events = []
    made = runner(build(small_config("random")), [], tmp_path, emit=events.append)
    assert made.resume() == ""
    assert [type(event) for event in events] == [Warned]
    assert "damaged" in events[0].message
    assert not checkpoint.exists(tmp_path / "progress")
