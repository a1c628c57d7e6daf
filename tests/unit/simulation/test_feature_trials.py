"""Trials on the features of a pretrained encoder."""

import msgspec
import numpy as np
import pytest
from onnx_models import WIDTH, image_model
from small_simulations import CONFIG, small_plan, without_times, write_pool
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.encoders.pretrained import PretrainedEncoder
from dgaal_cli.errors import UsageError
from dgaal_cli.features.standardized import StandardizedRows, UnitRows
from dgaal_cli.methods.feature_rules import UNCERTAINTY_HERDING, PoolAnswers
from dgaal_cli.simulation.plan import Arm, Plan, check
from dgaal_cli.simulation.pool import held_out_rows, load_pool
from dgaal_cli.simulation.protocol import run_trial
from dgaal_cli.task_heads.fit import FeatureModel, fit


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


def run_arm(plan, method, *settings):
    own = msgspec.structs.replace(plan, arms=(Arm(method=method, settings=settings),))
    return [*run_trial(own, own.arms[0], seed=0, pool=load_pool(own, cache=None))]


def test_a_head_adds_the_whole_system_and_changes_nothing_else(plan):
    plain = run_arm(plan, "maxherding")
    whole = run_arm(plan, "maxherding", "classifier.head=auto")
    assert all(record.system_accuracy is None for record in plain)
    assert [record.system_accuracy is None for record in whole] == [True, False, False, False]
    assert whole[-1].system_accuracy >= 0.5  # chance is a third
    shared = [msgspec.structs.replace(r, system_accuracy=None, arm=r.method) for r in whole]
    assert [*map(without_times, shared)] == [*map(without_times, plain)]


def test_the_system_is_the_task_model_that_a_query_fits(plan):
    whole = run_arm(plan, "maxherding", "classifier.head=graph")
    pool = load_pool(plan, cache=None)
    labels = np.full(len(pool.truth), -1)
    asked = [row for record in whole for row in record.queried]
    labels[asked] = pool.truth[asked]
    model = fit(pool.features.pool, labels, 3, head="graph")
    predicted = model.probabilities(pool.features.test).argmax(axis=1)
    assert whole[-1].system_accuracy == (predicted == pool.test_labels).mean()


def test_uncertainty_herding_doubts_what_the_task_model_of_a_query_doubts(plan):
    records = run_arm(plan, "uncertainty-herding", "classifier.head=graph")
    rows = load_pool(plan, cache=None).features.pool
    truth = load_pool(plan, cache=None).truth
    labels = np.full(len(rows), -1)
    labeled = records[0].queried + records[1].queried
    labels[labeled] = truth[labeled]
    model = fit(rows, labels, 3, head="graph")
    picks = UNCERTAINTY_HERDING.choose(
        UnitRows(StandardizedRows.of_pool(rows)),
        np.arange(len(rows)),
        np.flatnonzero(labels >= 0),
        len(records[2].queried),
        PoolAnswers(
            ids=np.arange(len(rows)), labels=labels, probabilities=model.pool_probabilities()
        ),
    )
    assert records[2].queried == picks.positions.tolist()


def test_control_a_task_model_that_guesses_is_seen_in_the_system(plan, monkeypatch):
    before = run_arm(plan, "maxherding", "classifier.head=auto")

    def shuffled(model, rows):
        kept = probabilities(model, rows)
        return kept[np.random.default_rng(0).permutation(len(kept))]

    probabilities = FeatureModel.probabilities
    monkeypatch.setattr(FeatureModel, "probabilities", shuffled)
    after = run_arm(plan, "maxherding", "classifier.head=auto")
    assert after[-1].accuracy == before[-1].accuracy
    assert after[-1].system_accuracy < before[-1].system_accuracy


@pytest.mark.slow
def test_guesses_are_those_of_the_head(plan, monkeypatch):
    plan = msgspec.structs.replace(plan, guesses=True)
    settings = "classifier.head=auto"
    before = run_arm(plan, "maxherding", settings)[1].guesses

    def wrong(model):
        return np.roll(probabilities(model), 1, axis=1)

    probabilities = FeatureModel.pool_probabilities
    monkeypatch.setattr(FeatureModel, "pool_probabilities", wrong)
    after = run_arm(plan, "maxherding", settings)[1].guesses
    assert after.right < before.right


def test_a_head_on_pixels_is_refused(plan):
    config = {**CONFIG, "classifier": {"head": "graph"}}
    with pytest.raises(UsageError, match="head is graph, but T learns from pixels"):
        check(msgspec.structs.replace(plan, config=config))


def test_head_is_an_option_of_the_command(plan, tmp_path):
    encoder = plan.config["encoder"]["source"]
    arguments = ["simulate", plan.pool, "--test", plan.test, "--encoder", encoder, "--head", "auto"]
    arguments += ["--methods", "random", "--seeds", "1", "--rounds", "1", "--initial", "6"]
    arguments += ["-n", "4", "--set", "device=cpu", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "system: T as the method itself trains it" in done.output


def test_a_schedule_of_queries_sets_the_budget_and_its_last_size_repeats():
    plan = Plan(initial=3, rounds=4, query_sizes=(10, 20))
    assert [plan.size_of(number) for number in range(4)] == [10, 20, 20, 20]
    assert plan.budget == 73
    assert Plan(initial=3, rounds=4, query_size=5).budget == 23


def test_a_schedule_that_is_no_list_of_numbers_is_refused():
    done = CliRunner().invoke(app, ["simulate", "builtin:digits", "--query-size", "10,x"])
    assert "--query-size '10,x' is not valid; write 50 or 10,10,20,40,80" in str(done.exception)
