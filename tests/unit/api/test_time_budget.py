"""A time budget that reading the pool exceeds is refused soon after the reading begins."""

import pytest
from PIL import Image

from dgaal_cli.api import train_networks as workflow
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.train import train
from dgaal_cli.data import pool, reading
from dgaal_cli.errors import UsageError
from dgaal_cli.events import ignore
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds import on_disk
from dgaal_cli.rounds.pool_pixels import sample_reading
from dgaal_cli.store.open import open_store
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


@pytest.fixture
def folder_workspace(tmp_path):
    """Return a workspace of 400 files, half of which are a sample."""
    (tmp_path / "pool").mkdir()
    for number in range(400):
        image = Image.new("I;16", (8, 8), number)
        image.save(tmp_path / "pool" / f"{number:03d}.png")
    request = InitRequest(
        root=tmp_path / "w", pool="pool", base=tmp_path, method="random", classes=("a", "b")
    )
    return init(request).workspace


@pytest.fixture
def pools_read(monkeypatch):
    """Return a list that grows when a pool is listed and read as a whole."""
    read, original = [], on_disk.sound_pixels

    def recorded(*args):
        read.append(args)
        return original(*args)

    monkeypatch.setattr(on_disk, "sound_pixels", recorded)
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
    # The folders of the pool are noted by 'init'.
    assert {path.name for path in workspace.cache_path.glob("*")} <= {"pool-folders.json"}
    assert not refusal(workspace, 300)


def test_budget_below_the_time_of_a_sample_is_refused_before_the_pool_is_listed(
    folder_workspace, batches_read, pools_read
):
    # Two batches took 20 s; at 5/4 of the rate of 64 files in 10 s, the other 272 take 34 s.
    message = refusal(folder_workspace, 50)
    assert "reading the 400 images of the pool takes 54 s or more here" in message
    assert sum(batches_read) == 128
    assert not pools_read


def test_rate_of_a_sample_is_checked_with_a_margin(
    folder_workspace, batches_read, pools_read, monkeypatch
):
    sampled = []
    monkeypatch.setattr(workflow, "check_reading", lambda event, *_: sampled.append(event.rate))
    refusal(folder_workspace, 50)
    assert pools_read
    assert sampled[1] == pytest.approx(budget.SAMPLE_MARGIN * 64 / BATCH_S)


def test_control_without_a_sample_the_pool_is_listed(
    folder_workspace, batches_read, pools_read, monkeypatch
):
    """Negative control: the check while the whole pool is read comes later."""
    monkeypatch.setattr(workflow, "sample_reading", lambda *_: None)
    assert refusal(folder_workspace, 5)
    with pytest.raises(AssertionError):
        assert not pools_read


def test_decoded_pixels_are_not_sampled(folder_workspace, batches_read):
    folder_workspace.cache_path.mkdir(exist_ok=True)
    (folder_workspace.cache_path / "pixels-0.npy").touch()
    config = configuration(folder_workspace, "threads=1")
    with open_store(folder_workspace) as store:
        sample_reading(folder_workspace, config, store, ignore)
    assert not batches_read
