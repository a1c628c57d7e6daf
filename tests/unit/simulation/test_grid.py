"""Simulations of methods and seeds: files, resuming, added trials, and refused folders."""

import json

import msgspec
import numpy as np
import pytest
from small_simulations import small_plan, without_times, write_pool

from dgaal_cli.api.simulate import document, read_simulation, simulate
from dgaal_cli.errors import BusyError, DamagedError, UsageError, WorkspaceError
from dgaal_cli.simulation import grid, protocol
from dgaal_cli.simulation.grid import Trial, trial_path, trials_of
from dgaal_cli.simulation.plan import FULL_DATA, Arm
from dgaal_cli.simulation.records import read_records
from dgaal_cli.workspace import Workspace


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_pool(tmp_path_factory.mktemp("pool") / "pool.npz")


def records_of(folder):
    return {
        str(file.relative_to(folder)): [without_times(r) for r in read_records(file)]
        for file in sorted(folder.glob("trials/*/*.jsonl"))
    }


def run(plan, folder, **changes):
    return simulate(plan, folder, **{"base": folder.parent, "jobs": 1, **changes})


def test_simulation_writes_one_file_per_trial_and_one_line_per_round(path, tmp_path):
    result = run(small_plan(path), tmp_path / "out", command="dgaal simulate x")
    files = records_of(tmp_path / "out")
    assert sorted(files) == [
        f"trials/{arm}/seed-{seed:03d}.jsonl" for arm in ("margin", "random") for seed in (0, 1)
    ]
    assert all([r.round for r in records] == [0, 1, 2] for records in files.values())
    assert [m.name for m in result.summary.methods] == ["random", "margin"]
    page = (tmp_path / "out/table.md").read_text()
    assert "command: dgaal simulate x" in page
    assert "seeds: 0, 1" in page
    assert (
        json.loads((tmp_path / "out/result.json").read_text())["methods"][1]["method"] == "margin"
    )


def test_resumed_simulation_writes_the_same_records(path, tmp_path, monkeypatch):
    plan = small_plan(path, "random", "dgaal")
    run(plan, tmp_path / "whole")
    original = protocol.run_trial

    def run_trial_and_stop(plan_, arm, *, seed, pool):
        for record in original(plan_, arm, seed=seed, pool=pool):
            yield record
            if (arm.method, seed, record.round) == ("dgaal", 0, 1):
                raise KeyboardInterrupt

    monkeypatch.setattr(protocol, "run_trial", run_trial_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "killed")
    files = list((tmp_path / "killed").glob("trials/*/*"))
    assert sorted(f.name for f in files) == ["seed-000.jsonl", "seed-000.part"]
    started_trials = []

    def run_trial_and_record(plan_, arm, *, seed, pool):
        started_trials.append((arm.method, seed))
        return original(plan_, arm, seed=seed, pool=pool)

    monkeypatch.setattr(protocol, "run_trial", run_trial_and_record)
    run(plan, tmp_path / "killed")
    assert ("random", 0) not in started_trials
    assert records_of(tmp_path / "killed") == records_of(tmp_path / "whole")
    started_trials.clear()
    run(plan, tmp_path / "killed")
    assert started_trials == []


def test_seeds_and_methods_can_be_added_later(path, tmp_path):
    run(small_plan(path, "random", seeds=(0,)), tmp_path / "out")
    result = run(small_plan(path, "margin", seeds=(0, 1)), tmp_path / "out")
    assert [m.name for m in result.summary.methods] == ["random", "margin"]
    assert result.plan.seeds == (0, 1)
    extended = run(small_plan(path, "random", seeds=(1,)), tmp_path / "out")
    assert [m.name for m in extended.summary.methods] == ["random", "margin"]
    assert extended.summary.methods[1].selection.vs_random.count == 2
    assert read_simulation(tmp_path / "out").plan == extended.plan


def test_changed_protocol_or_pool_is_refused(path, tmp_path):
    plan = small_plan(path, "random", seeds=(0,), rounds=0)
    run(plan, tmp_path / "out")
    with pytest.raises(UsageError, match="query_size = 6, not 7"):
        run(msgspec.structs.replace(plan, query_size=7), tmp_path / "out")
    renamed_arm = msgspec.structs.replace(plan, arms=(Arm(method="dgaal", name="random"),))
    # the stored arm is kept
    assert run(renamed_arm, tmp_path / "out").plan.arms[0].method == "random"
    arm = Arm(method="margin", name="x")
    run(msgspec.structs.replace(plan, arms=(arm,)), tmp_path / "out")
    other_settings = msgspec.structs.replace(arm, settings=("classifier.steps=9",))
    with pytest.raises(UsageError, match="x has other settings"):
        run(msgspec.structs.replace(plan, arms=(other_settings,)), tmp_path / "out")
    write_pool(path.with_name("other.npz"), count=60)
    other = small_plan(path.with_name("other.npz"), "random", seeds=(0,), rounds=0)
    with pytest.raises(UsageError, match="pool ="):
        run(other, tmp_path / "out")


def test_changed_images_are_refused(tmp_path):
    path = write_pool(tmp_path / "pool.npz")
    plan = small_plan(path, "random", seeds=(0,), rounds=0)
    run(plan, tmp_path / "out")
    arrays = dict(np.load(path))
    arrays["x_train"][5] = 255 - arrays["x_train"][5]
    np.savez(path, **arrays)
    with pytest.raises(UsageError, match="images changed"):
        run(plan, tmp_path / "out")


def test_folder_that_is_not_a_simulation_is_refused_and_unchanged(path, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="not a simulation"):
        run(small_plan(path), tmp_path / "mine")
    assert [f.name for f in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        run(small_plan(path), tmp_path / "mine" / "thesis.tex")
    with pytest.raises(UsageError, match="is not a simulation"):
        read_simulation(tmp_path / "mine")


def test_damaged_or_newer_files_are_refused(path, tmp_path):
    plan = small_plan(path, "random", seeds=(0,), rounds=0)
    run(plan, tmp_path / "out")
    file = next((tmp_path / "out").glob("trials/*/*.jsonl"))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedError, match="damaged"):
        read_simulation(tmp_path / "out")
    file.write_bytes(content)
    (tmp_path / "out" / "simulation.json").write_text('{"plan": {"version": 9}, "facts": {}}')
    with pytest.raises(WorkspaceError, match="another version"):
        run(plan, tmp_path / "out")


def test_locked_folder_is_refused(path, tmp_path):
    plan = small_plan(path, "random", seeds=(0,), rounds=0)
    run(plan, tmp_path / "out")
    lock = Workspace(tmp_path / "out").lock("simulate", doing="a simulation")
    with lock, pytest.raises(BusyError, match="a simulation"):
        run(plan, tmp_path / "out")


def test_budget_above_the_pool_is_reported(path, tmp_path):
    lines = []
    run(
        small_plan(path, "random", seeds=(0,), query_size=60),
        tmp_path / "out",
        on_message=lines.append,
    )
    assert any("128 labels are requested and the pool has 90 images" in line for line in lines)
    with pytest.raises(UsageError, match="lower --initial"):
        run(small_plan(path, "random", seeds=(0,), initial=91), tmp_path / "other")


def test_trials_are_ordered_by_seed_with_full_data_last(path):
    plan = small_plan(path, full_data=True)
    assert [(t.label, t.seed) for t in trials_of(plan)] == [
        ("random", 0),
        ("margin", 0),
        (FULL_DATA, 0),
        ("random", 1),
        ("margin", 1),
        (FULL_DATA, 1),
    ]


def test_trial_paths_are_safe_and_distinct(tmp_path):
    labels = ["dgaal[a=1]", "dgaal[a=2]", "../../etc", "dgaal_a_1", "..", "x" * 300, "ä"]
    paths = [
        trial_path(tmp_path, Trial(arm=Arm(method="dgaal", name=name), seed=0)) for name in labels
    ]
    assert len(set(paths)) == len(labels)
    for path in paths:
        assert path.parent.parent == tmp_path / grid.TRIALS_NAME
        assert len(path.parent.name) < 100


def test_document_contains_data_machine_and_methods(path, tmp_path):
    result = run(small_plan(path, "random", seeds=(0,), rounds=0, full_data=True), tmp_path / "out")
    found = document(result)
    assert found["images"] == 90
    assert found["test_images"] == 30
    assert found["classes"] == ["0", "1", "2"]
    assert found["machine"]["torch"]
    assert 0 <= found["full_data"]["accuracy"] <= 1
    assert found["methods"][0]["method"] == "random"
