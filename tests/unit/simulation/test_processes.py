"""Trials in several processes."""

from small_simulations import small_plan, write_pool

from dgaal_cli.simulation.records import read_records, without_times
from dgaal_cli.workflows.simulate import simulate


def test_several_processes_write_what_one_writes(tmp_path):
    path = write_pool(tmp_path / "pool.npz")
    plan = small_plan(path, "random", "dgaal", rounds=1)
    told = []
    for jobs in (1, 2):
        simulate(plan, tmp_path / str(jobs), base=tmp_path, jobs=jobs, tell=told.append)
    files = sorted((tmp_path / "1").glob("trials/*/*.jsonl"))
    assert len(files) == 4
    for file in files:
        other = tmp_path / "2" / file.relative_to(tmp_path / "1")
        assert [without_times(r) for r in read_records(file)] == [
            without_times(r) for r in read_records(other)
        ]
    assert any(line.startswith("4/4") for line in told)
