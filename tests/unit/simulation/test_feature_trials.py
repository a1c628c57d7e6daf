"""Trials on the features of a pretrained encoder."""

import msgspec
import pytest
from onnx_models import WIDTH, image_model
from small_simulations import CONFIG, small_plan, write_pool
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.simulation.plan import Arm, Plan
from dgaal_cli.simulation.pool import held_out_rows, load_pool
from dgaal_cli.simulation.protocol import run_trial


@pytest.fixture
def plan(tmp_path):
    """Return a plan whose encoder is a tiny ONNX file, without first labels."""
    (tmp_path / "model.onnx").write_bytes(image_model())
    config = {**CONFIG, "encoder": {"source": str(tmp_path / "model.onnx")}}
    path = write_pool(tmp_path / "pool.npz")
    return small_plan(path, config=config, initial=0, query_sizes=(5, 7), rounds=3)


def test_features_are_computed_once_for_all_trials(plan, tmp_path, monkeypatch):
    pool = load_pool(plan, cache=tmp_path / "cache")
    assert pool.features is not None
    assert pool.features.pool.shape == (90, WIDTH)
    assert pool.features.test.shape == (30, WIDTH)

    def refuse(*_arguments, **_options):
        raise AssertionError("an image was encoded again")

    monkeypatch.setattr(PretrainedEncoder, "encode", refuse)
    load_pool(plan, cache=tmp_path / "cache")
    for seed in plan.seeds:
        records = list(run_trial(plan, plan.arms[1], seed=seed, pool=pool))
        assert [record.annotations for record in records] == [0, 5, 12, 19]
        assert records[-1].accuracy >= 0.5  # chance is a third
        assert all(record.system_accuracy is None for record in records)


def test_new_test_images_let_a_method_without_randomness_ask_other_images_with_each_seed(plan):
    def asked(**changes):
        own = msgspec.structs.replace(
            plan, test="", test_share=0.25, arms=(Arm(method="maxherding"),), **changes
        )
        pool = load_pool(own, cache=None)
        trials = [[*run_trial(own, own.arms[0], seed=seed, pool=pool)] for seed in (0, 1)]
        for seed, records in enumerate(trials):
            queried = {row for record in records for row in record.queried}
            held = held_out_rows(own, pool, seed)
            assert held is None or not queried & set(held.tolist())
            assert records[-1].accuracy >= 0.5  # chance is a third
        return [records[0].queried for records in trials]

    first, second = asked(new_test=True)
    assert first != second
    first, second = asked()
    assert first == second


def test_a_schedule_of_queries_sets_the_budget_and_its_last_size_repeats():
    plan = Plan(initial=3, rounds=4, query_sizes=(10, 20))
    assert [plan.size_of(number) for number in range(4)] == [10, 20, 20, 20]
    assert plan.budget == 73
    assert Plan(initial=3, rounds=4, query_size=5).budget == 23


def test_a_schedule_that_is_no_list_of_numbers_is_refused():
    done = CliRunner().invoke(app, ["simulate", "builtin:digits", "--query-size", "10,x"])
    assert "--query-size '10,x' is not valid; write 50 or 10,10,20,40,80" in str(done.exception)
