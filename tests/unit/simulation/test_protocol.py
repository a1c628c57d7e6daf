"""One trial: shared first labels, data hidden from methods, and starts with missing classes."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from small_rounds import build, runner, small_config, small_data
from small_simulations import CONFIG, small_plan, small_pool, without_times, write_pool

from dgaal_cli.errors import CheckFailedError
from dgaal_cli.events import PhaseStarted, ignore
from dgaal_cli.methods.base import SyntheticBatch, SyntheticQuery
from dgaal_cli.methods.dgaal.published import PublishedDgaal
from dgaal_cli.methods.random_sampling import RandomSampling
from dgaal_cli.methods.registry import METHODS, MethodInfo
from dgaal_cli.simulation.plan import Arm
from dgaal_cli.simulation.protocol import measure_full_data, run_trial
from dgaal_cli.simulation.records import read_records
from dgaal_cli.training.runner import run_phases

RANKED_DATA = []


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_pool(tmp_path_factory.mktemp("pool") / "pool.npz")


@pytest.fixture(scope="module")
def pool(path):
    return small_pool(path)


def run(path, pool, method="margin", seed=0, *, settings=(), emit=ignore, **changes):
    plan = small_plan(path, method, **changes)
    arm = Arm(method=method, settings=settings)
    return list(run_trial(plan, arm, seed=seed, pool=pool, emit=emit))


class PhaseRecorder:
    """A listener that records the names of the phases of a trial's method."""

    def __init__(self):
        self.names = []

    def __call__(self, event):
        if isinstance(event, PhaseStarted):
            self.names.append(event.phase)


class RecordingMethod(RandomSampling):
    """Random sampling that records the data passed to it."""

    name = "spy"

    def rank(self, data, count, seed):
        RANKED_DATA.append(data)
        return super().rank(data, count, seed)


class RepeatingMethod(RandomSampling):
    """Asks an image that is already labeled."""

    name = "repeater"

    def rank(self, data, count, seed):
        ranking = super().rank(data, count, seed)
        return replace(ranking, picks=[int(data.labeled_rows[0]), *ranking.picks[1:]])


class SynthesizingMethod(RandomSampling):
    """Asks two pool images and synthesizes the other images of its query."""

    name = "dreamer"
    asked = 2

    def rank(self, data, count, seed):
        RANKED_DATA.append(data)
        ranking, synthetic_count = super().rank(data, self.asked, seed), count - self.asked
        levels = np.linspace(30, 150, synthetic_count).astype(np.uint8)
        pixels = np.zeros((synthetic_count, 8, 8, 1), np.uint8) + levels[:, None, None, None]
        synthetic = SyntheticQuery(
            images=SyntheticBatch(pixels=pixels, parents=[-1] * synthetic_count),
            scores=np.ones(synthetic_count, np.float32),
            reason="dreamed",
        )
        return replace(ranking, synthesized=synthetic)


class SyntheticOnlyMethod(SynthesizingMethod):
    """Asks no pool image."""

    name = "painter"
    asked = 0


@pytest.fixture(autouse=True)
def _methods(monkeypatch):
    RANKED_DATA.clear()
    kinds = {
        kind.name: kind
        for kind in (RecordingMethod, RepeatingMethod, SynthesizingMethod, SyntheticOnlyMethod)
    }
    for name in kinds:
        monkeypatch.setitem(METHODS, name, MethodInfo(factory="a:b"))
    from dgaal_cli.methods import fresh, registry

    def load(config, shape):
        kind = kinds.get(config.method)
        return kind(config, shape) if kind else registry.load_method(config, shape)

    monkeypatch.setattr(fresh, "load_method", load)


def test_trial_is_reproducible(path, pool):
    first = [without_times(r) for r in run(path, pool, "dgaal")]
    assert first == [without_times(r) for r in run(path, pool, "dgaal")]


def test_all_methods_start_from_the_same_labels_and_accuracy(path, pool):
    trials = [run(path, pool, name, rounds=0) for name in ("random", "margin", "dgaal")]
    assert len({trial[0].accuracy for trial in trials}) == 1
    assert len({tuple(trial[0].labels_by_class) for trial in trials}) == 1
    other = run(path, pool, "random", seed=1, rounds=0)[0]
    assert (
        other.accuracy != trials[0][0].accuracy
        or other.labels_by_class != trials[0][0].labels_by_class
    )


def test_labels_are_counted_after_each_round(path, pool):
    records = run(path, pool)
    assert [r.annotations for r in records] == [8, 14, 20]
    assert [sum(r.labels_by_class) for r in records] == [8, 14, 20]
    assert [r.is_last for r in records] == [False, False, True]
    asked = [row for r in records for row in r.queried]
    assert len(asked) == len(set(asked)) == 12
    assert records[-1].queried == []
    assert sum(map(sum, records[-1].confusion)) == 30
    correct = sum(records[-1].confusion[k][k] for k in range(3))
    assert records[-1].accuracy == pytest.approx(correct / 30)


def test_method_sees_no_test_images_and_only_asked_labels(path, pool):
    records = run(path, pool, "spy")
    assert len(RANKED_DATA) == 2
    for data, record in zip(RANKED_DATA, records, strict=False):
        assert data.test_pixels is None
        assert data.test_targets is None
        assert data.is_labeled.sum() == record.annotations
    assert (RANKED_DATA[1].targets == pool.truth)[RANKED_DATA[1].is_labeled].all()


def test_progress_depends_on_the_budget(path, pool):
    run(path, pool, "spy")
    # 8 first labels and two queries of 6
    assert [data.progress for data in RANKED_DATA] == [0.0, 1.0]


def test_method_that_asks_labeled_images_fails_the_check(path, pool):
    with pytest.raises(CheckFailedError, match="repeater, seed 0 asked"):
        run(path, pool, "repeater")


def test_run_phases_computes_the_same_as_the_runner(tmp_path):
    config, data = small_config("dgaal"), small_data()
    ours, theirs = build(config), build(config)
    run_phases([*ours.learn(data), *ours.adapt(data)], seed=0, number=0, run_title="test")
    phases = [*theirs.learn(data), *theirs.adapt(data)]
    runner(theirs, phases, tmp_path).run(phases)
    for name, module in ours.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, theirs.modules[name].state_dict()[key]), (name, key)


def test_non_finite_loss_stops_the_trial_and_names_phase_and_step(path, pool):
    with pytest.raises(
        CheckFailedError,
        match=r"margin\[.*\], seed 0, round 0, learning the labels, step \d+; "
        r"the batch held train/\d+, train/\d+.*; lower",
    ):
        run(path, pool, settings=("classifier.lr=1e6", "classifier.weight_decay=1e6"))


def test_trial_with_one_labeled_class_has_chance_accuracy(path, pool):
    records = run(path, pool, absent_classes=("1", "2"), initial=4, query_size=10)
    assert records[0].is_guessing
    assert records[0].accuracy == pytest.approx(1 / 3)
    assert not records[-1].is_guessing
    assert records[0].absent.classes == ["1", "2"]
    assert records[0].absent.base_rate == pytest.approx(60 / 86)
    share = np.isin(pool.truth[records[0].queried], [1, 2]).mean()
    assert records[0].absent.share == pytest.approx(share)


def test_trial_without_first_labels_uses_the_cold_start_rule(path, pool):
    for method in ("random", "dgaal"):
        records = run(path, pool, method, initial=0)
        assert [r.annotations for r in records] == [0, 6, 12]
        assert records[0].is_guessing


def test_query_larger_than_the_remaining_pool_ends_the_trial(path, pool):
    records = run(path, pool, "random", query_size=50, rounds=9)
    assert [r.annotations for r in records] == [8, 58, 90]
    assert records[-1].is_last
    assert records[-1].queried == []


def test_noisy_answers_are_used_and_counted(path, pool):
    records = run(path, pool, "random", noise="uniform:0.5", query_size=30)
    assert 20 <= records[-1].wrong_labels <= 50
    other = run(path, pool, "margin", noise="uniform:0.5", query_size=30)
    assert records[0].wrong_labels == other[0].wrong_labels


def test_queried_rows_of_imbalanced_pool_index_the_full_pool(path, pool):
    records = run(path, pool, "random", imbalance="2=0.1", initial=6, query_size=50, rounds=9)
    asked = np.array([row for r in records for row in r.queried])
    assert (pool.truth[asked] == 2).sum() <= 3
    assert records[-1].annotations == 63


def test_synthetic_queries_are_answered_by_the_oracle_and_counted(path, pool):
    sure = run(path, pool, "dreamer", oracle_confidence=0.0)
    assert [r.annotations for r in sure] == [8, 14, 20]
    assert [r.synthesized for r in sure] == [4, 4, 0]
    assert sure[0].cannot_tell == 0
    assert [r.labels for r in sure] == [8, 14, 20]
    assert [sum(r.labels_by_class) for r in sure] == [8, 10, 12]
    assert all(r.inherited == 0 and r.system_accuracy is None for r in sure)
    unsure = run(path, pool, "dreamer", oracle_confidence=1.0)
    assert unsure[0].cannot_tell == 4
    assert [r.annotations for r in unsure] == [8, 14, 20]
    assert [r.labels for r in unsure] == [8, 10, 12]


def test_labels_of_synthetic_images_only_train_the_model(path, pool):
    config = CONFIG | {"classifier": CONFIG["classifier"] | {"steps": 40}}
    records = run(
        path, pool, "painter", initial=0, query_size=12, oracle_confidence=0.0, config=config
    )
    assert [r.is_guessing for r in records] == [True, False, False]
    assert [r.labels for r in records] == [0, 12, 24]
    assert [sum(r.labels_by_class) for r in records] == [0, 0, 0]
    predicted_counts = np.sum(records[-1].confusion, axis=0)
    # with labels of one class, only that class would be predicted
    assert (predicted_counts > 0).sum() >= 2
    assert records[-1].accuracy > records[0].accuracy + 0.15


def test_guesses_option_measures_guesses_and_changes_no_result(path, pool):
    plain = run(path, pool, "margin")
    with_guesses = run(path, pool, "margin", guesses=True)
    assert all(record.guesses is None for record in plain)
    assert [r.guesses.images if r.guesses else 0 for r in with_guesses] == [6, 6, 0]
    assert [r.queried for r in plain] == [r.queried for r in with_guesses]
    assert [r.accuracy for r in plain] == [r.accuracy for r in with_guesses]


def test_label_noise_applies_to_synthetic_images(path, pool):
    run(path, pool, "dreamer", oracle_confidence=0.0)
    run(path, pool, "dreamer", oracle_confidence=0.0, noise="uniform:1")
    right, wrong = RANKED_DATA[1].synthetic, RANKED_DATA[3].synthetic
    assert np.array_equal(right.pixels, wrong.pixels)
    assert len(right.targets) == 4
    assert (right.targets != wrong.targets).all()


def test_arm_with_its_own_task_settings_has_a_system_accuracy(path, pool):
    with_settings = run(path, pool, "random", settings=("classifier.steps=40",))
    plain = run(path, pool, "random")
    assert [r.accuracy for r in with_settings] == [r.accuracy for r in plain]
    assert all(r.system_accuracy is not None for r in with_settings)
    assert all(r.system_accuracy is None for r in plain)


def test_promoted_copies_count_as_labels_but_not_as_annotations(path, pool):
    config = CONFIG | {"generation": {"share": 0.9, "min_confidence": 0.0}}
    config["classifier"] = CONFIG["classifier"] | {"semi_supervised": "none"}
    records = run(path, pool, "dgaal", rounds=4, config=config)
    assert [r.annotations for r in records] == [8, 14, 20, 26, 32]
    assert records[-1].inherited > 0
    assert records[-1].labels == records[-1].annotations + records[-1].inherited
    assert records[-1].system_accuracy is not None
    assert records[0].system_accuracy is None


@pytest.mark.parametrize("also_of_copies", [False, True])
def test_published_candidate_pool_keeps_its_size(path, pool, monkeypatch, also_of_copies):
    """Each chosen image or copy is replaced by a copy, at any confidence."""
    sizes, parents_are_copies = [], []
    rank, synthesize = PublishedDgaal.rank, PublishedDgaal.synthesize

    def recording_rank(self, data, count, seed):
        sizes.append(len(data.unlabeled_rows) + int(data.synthetic.is_candidate.sum()))
        found = rank(self, data, count, seed)
        promoted = np.flatnonzero(data.synthetic.is_candidate)[:2].tolist()
        return replace(found, picks=found.picks[: count - len(promoted)], promoted=promoted)

    def recording_synthesize(self, data, parents, seed):
        parents_are_copies.append([row >= len(data.pixels) for row in parents])
        batch = synthesize(self, data, parents, seed)
        if batch is not None:  # None before the first query
            assert all(row < len(data.pixels) and data.is_labeled[row] for row in batch.parents)
        return batch

    monkeypatch.setattr(PublishedDgaal, "rank", recording_rank)
    monkeypatch.setattr(PublishedDgaal, "synthesize", recording_synthesize)
    setting = f"generation.copies_of_copies={str(also_of_copies).lower()}"
    records = run(path, pool, "dgaal-paper", rounds=4, settings=(setting,))
    assert sizes == [90 - 8] * 4
    assert records[-1].inherited == 6
    assert sum(map(sum, parents_are_copies)) == (4 if also_of_copies else 0)  # in queries 1 and 2


def test_measure_full_data_uses_all_labels(path, pool):
    record = measure_full_data(small_plan(path), seed=0, pool=pool)
    assert (record.annotations, record.is_last) == (90, True)
    assert record.accuracy > run(path, pool, "random", rounds=0)[0].accuracy


def test_records_are_read_back_from_their_file(tmp_path, path, pool):
    records = run(path, pool, "dgaal", absent_classes=("1",))
    (tmp_path / "r.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, records)))
    assert read_records(tmp_path / "r.jsonl") == records
    assert msgspec.json.decode(msgspec.json.encode(records[0]))["arm"] == "dgaal"


def test_warm_task_model_changes_only_the_system_accuracy(path, pool):
    with_settings = run(path, pool, "random", settings=("classifier.init=warm",))
    plain = run(path, pool, "random")
    assert [r.accuracy for r in with_settings] == [r.accuracy for r in plain]
    assert with_settings[1].system_accuracy is not None
    assert (
        with_settings[1].system_accuracy != with_settings[1].accuracy
        or with_settings[2].system_accuracy != with_settings[2].accuracy
    )


def test_linear_task_model_has_no_separate_system_accuracy(path, pool):
    config = CONFIG | {"classifier": CONFIG["classifier"] | {"architecture": "linear-svm"}}
    for method in ("random", "svm-active"):
        records = run(path, pool, method, config=config)
        assert all(r.system_accuracy is None for r in records)
        assert records[-1].accuracy > 0.4


def test_method_with_its_own_task_model_has_a_system_accuracy(path, pool):
    config = CONFIG | {"gaal": {"atoms": 16, "epochs": 0, "min_steps": 4}}
    records = run(path, pool, "self-taught", config=config, rounds=1)
    assert all(r.system_accuracy is not None for r in records)
    assert [r.accuracy for r in records] == [
        r.accuracy for r in run(path, pool, "random", rounds=1)
    ]


@pytest.mark.parametrize(
    "method", ["dgaal", "ta-vaal", pytest.param("gaal", marks=pytest.mark.deep)]
)
def test_last_round_trains_only_networks_needed_for_its_accuracy(path, pool, method):
    last_phases, middle_phases = PhaseRecorder(), PhaseRecorder()
    as_last = run(path, pool, method, rounds=1, emit=last_phases)[1]
    as_middle = run(path, pool, method, rounds=2, emit=middle_phases)[1]
    assert as_last.is_last
    assert not as_middle.is_last
    assert as_last.accuracy == as_middle.accuracy
    assert as_last.system_accuracy == as_middle.system_accuracy
    assert as_last.labels_by_class == as_middle.labels_by_class
    assert as_middle.health
    assert as_last.health == {}
    assert set(last_phases.names) <= set(middle_phases.names)
    assert len(last_phases.names) < len(middle_phases.names)


def test_sampler_is_not_trained_without_queries(path, pool):
    phases = PhaseRecorder()
    run(path, pool, "vaal", rounds=0, emit=phases)
    assert phases.names == ["classifier"]
