"""Number of threads by the work of a step, and passive waiting."""

import os
import subprocess
import sys

import pytest
import torch

from dgaal_cli.config.load import build_config
from dgaal_cli.training.device import use_threads, useful_threads


@pytest.fixture(autouse=True)
def _same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def configured(preset, side, **classifier):
    pool = {"source": "unused", "image_size": side}
    return build_config({"preset": preset, "pool": pool, "classifier": classifier})


def test_useful_threads_grow_with_the_work_of_a_step():
    assert useful_threads(configured("tiny", 8)) == 1
    assert useful_threads(configured("tiny", 16)) == 1
    assert useful_threads(configured("small", 8)) == 1
    assert useful_threads(configured("small", 32)) > 4
    single, doubled = (useful_threads(configured("small", 32, batch=b)) for b in (64, 128))
    assert doubled == 2 * single
    assert useful_threads(configured("small", 0)) == useful_threads(configured("small", 32))


def test_zero_threads_uses_the_useful_number(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert use_threads(0, useful=3) == torch.get_num_threads() == 3
    assert use_threads(0, useful=3, processes=4) == 2
    assert use_threads(0, useful=30) == 8
    assert use_threads(0) == 8
    assert use_threads(5, useful=1) == 5


@pytest.mark.parametrize(("policy", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_omp_wait_policy_is_passive_unless_set(policy, expected):
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    code = """
import os, sys
from dgaal_cli import cli
cli.app = lambda **_: print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [expected, "False"]
