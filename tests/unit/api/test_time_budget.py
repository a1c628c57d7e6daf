"""A time budget that reading the pool exceeds is refused soon after the reading begins."""

import pytest

from dgaal_cli.api import train as workflow
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.train import train
from dgaal_cli.data import pool, reading
from dgaal_cli.errors import UsageError
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.training import budget, clock

POOL = "builtin:digits"  # 1,797 images: 8 batches
BATCH_S = 10.0


class FakeTime:
    """A clock that only reading advances."""

    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def workspace(tmp_path):
    request = InitRequest(
        root=tmp_path / "w", pool=POOL, base=tmp_path, method="random", preset="tiny"
    )
    return init(request).workspace


@pytest.fixture
def batches_read(monkeypatch):
    """Make the reading slow on a clock of its own; return the list of batches that were read."""
    fake, read, decode = FakeTime(), [], pool.decode_stream

    def slow(*args, **options):
        for batch in decode(*args, **options):
            fake.now += BATCH_S
            read.append(len(batch.entries))
            yield batch

    for module in (budget, clock, reading):
        monkeypatch.setattr(module, "time", fake)
    monkeypatch.setattr(pool, "decode_stream", slow)
    return read


def refusal(workspace, seconds):
    """Train within a time budget; return the message of the refusal, empty without one."""
    try:
        train(workspace, configuration(workspace, "threads=1"), budget_s=seconds)
    except UsageError as error:
        return str(error)
    return ""


def test_budget_below_the_reading_time_is_refused_after_the_first_batches(workspace, batches_read):
    message = refusal(workspace, 40)
    assert message == (
        "a time budget of 40 s is too short: reading the 1,797 images of the pool takes 70 s or "
        "more here, and training comes after it; give more than 74 s"
    )
    assert sum(batches_read) == 512


def test_control_check_after_the_reading_is_noticed(workspace, batches_read, monkeypatch):
    """Negative control: without the check, the whole pool is read."""
    monkeypatch.setattr(workflow, "check_reading", lambda *_: None)
    refusal(workspace, 40)
    assert sum(batches_read) == 1797


def test_sufficient_budget_reads_the_whole_pool(workspace, batches_read):
    assert not refusal(workspace, 300)
    assert sum(batches_read) == 1797


def test_refused_training_leaves_no_file_and_the_next_one_runs(workspace, batches_read):
    assert refusal(workspace, 40)
    assert not list(workspace.cache_path.glob("*"))
    assert not refusal(workspace, 300)
