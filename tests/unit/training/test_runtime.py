"""Training in two processes: averaged gradients, equal weights, and the end of one process."""

import hashlib

import numpy as np
import pytest
import torch
import two_processes
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.config.load import build_config
from dgaal_cli.errors import ConfigError, UsageError
from dgaal_cli.training import checkpoint
from dgaal_cli.training.launch import is_first_process, world_of
from dgaal_cli.training.runtime import (
    Runtime,
    divide_batches,
    start_runtime,
)
from dgaal_cli.training.seeding import torch_generator


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Return the results of two training processes and their folder."""
    folder = tmp_path_factory.mktemp("pair")
    return two_processes.results(folder, two_processes.start(folder, "train")), folder


@pytest.mark.slow
def test_gradients_are_averaged_over_processes(pair):
    (first, second), _ = pair
    mean = (np.array(first["own"]) + np.array(second["own"])) / 2
    assert np.abs(np.array(first["own"]) - np.array(second["own"])).max() > 0.1
    assert np.allclose(first["weights"], -mean, rtol=0, atol=1e-15)
    assert first["bias"] == [-1.5] * 3
    assert (first["weights"], first["bias"]) == (second["weights"], second["bias"])


@pytest.mark.slow
def test_two_processes_have_equal_weights_after_every_step(pair):
    (first, second), folder = pair
    assert len(first["digests"]) > 30
    assert first["digests"] == second["digests"]
    assert first["final"] == second["final"]
    assert not set(first["draws"]) & set(second["draws"])  # each process trains on different images
    assert checkpoint.exists(folder / "round" / "progress")


@pytest.mark.slow
def test_no_thread_of_the_process_group_remains_after_training(pair):
    """A remaining thread that acquires the GIL during shutdown would abort the process."""
    (first, second), _ = pair
    assert (first["threads"], second["threads"]) == ([], [])


@pytest.mark.slow
def test_killed_process_ends_the_others_with_a_message(tmp_path):
    survivor, killed = two_processes.start(tmp_path, "die")
    killed.communicate(timeout=120)
    assert killed.returncode == -9
    (found,) = two_processes.results(tmp_path, [survivor])
    assert found["code"] == 143
    assert found["threads"] == []
    where = f"round 0, {found['title']}"
    assert f"another process of this training ended in {where}" in found["message"]
    assert "saved: all of pretrain;" in found["message"]
    _, state = checkpoint.load(tmp_path / "round" / "progress")
    assert (state["done"], state["phase"]) == (["pretrain"], "")


def test_runner_with_one_process_equals_a_plain_loop(tmp_path):
    torch.set_num_threads(1)
    config, data = small_config(), small_data()
    plain = build(config)
    for phase in (phases := [*plain.learn(data), *plain.adapt(data)]):
        phase.prepare()
        for network in phase.networks.values():
            network.train()
        for step in range(phase.steps):
            phase.schedule(step)
            phase.step(step, torch_generator(0, 0, phase.name, step))
            if phase.is_done():
                break
    ours = build(config)
    environment = {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "x", "MASTER_PORT": "1"}
    with start_runtime(
        device="cpu", precision="auto", threads=1, environment=environment
    ) as runtime:
        assert runtime == Runtime(device=torch.device("cpu"))
        phases = [*ours.learn(data), *ours.adapt(data)]
        runner(ours, phases, tmp_path, runtime=runtime).run(phases)
    assert _digest(ours) == _digest(plain)


def test_world_of_requires_all_torchrun_variables():
    assert world_of({"WORLD_SIZE": "8"}) == 1
    torchrun = {"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert world_of(torchrun) == 4
    assert not is_first_process(torchrun)
    assert is_first_process({**torchrun, "RANK": "0"})
    assert is_first_process({"RANK": "3"})


def test_divide_batches_divides_batches_and_epochs():
    config = build_config({"pool": {"source": "x"}, "preset": "tiny"})
    divided = divide_batches(config, world=2)
    assert (divided.pretrain.batch, divided.pretrain.epochs) == (
        config.pretrain.batch // 2,
        config.pretrain.epochs / 2,
    )
    assert divided.classifier.batch == config.classifier.batch // 2
    assert divided.classifier.steps == config.classifier.steps
    assert divide_batches(config, world=1) == config


def test_indivisible_batch_is_refused():
    config = build_config({"pool": {"source": "x"}, "classifier": {"batch": 33}})
    with pytest.raises(ConfigError, match=r"'classifier\.batch' is 33, which 2 processes cannot"):
        divide_batches(config, world=2)


def test_unknown_device_is_refused():
    with (
        pytest.raises(UsageError, match="unknown device 'gpu'"),
        start_runtime(device="gpu", precision="auto", threads=1),
    ):
        pass


def _digest(method):
    tensors = checkpoint.module_tensors(method.modules)
    data = b"".join(tensors[key].contiguous().numpy().tobytes() for key in sorted(tensors))
    return hashlib.sha256(data).hexdigest()
