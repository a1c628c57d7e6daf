"""One trial: what methods share, what they must not see, and starts that lack something."""

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

SEEN = []


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


class Phases:
    """A listener that keeps the names of the phases of a trial's method."""

    def __init__(self):
        self.names = []

    def __call__(self, event):
        if isinstance(event, PhaseStarted):
            self.names.append(event.phase)


class Spy(RandomSampling):
    """Random, and keeps what it was shown."""

    name = "spy"

    def rank(self, data, count, seed):
        SEEN.append(data)
        return super().rank(data, count, seed)


class Repeater(RandomSampling):
    """Asks an image that is labeled already."""

    name = "repeater"

    def rank(self, data, count, seed):
        ranking = super().rank(data, count, seed)
        return replace(ranking, picks=[int(data.labeled_rows[0]), *ranking.picks[1:]])


class Dreamer(RandomSampling):
    """Asks two pool images and synthesizes the rest of its query."""

    name = "dreamer"
    asked = 2

    def rank(self, data, count, seed):
        SEEN.append(data)
        ranking, drawn = super().rank(data, self.asked, seed), count - self.asked
        levels = np.linspace(30, 150, drawn).astype(np.uint8)
        pixels = np.zeros((drawn, 8, 8, 1), np.uint8) + levels[:, None, None, None]
        dreams = SyntheticQuery(
            images=SyntheticBatch(pixels=pixels, parents=[-1] * drawn),
            scores=np.ones(drawn, np.float32),
            reason="dreamed",
        )
        return replace(ranking, synthesized=dreams)


class Painter(Dreamer):
    """Asks nothing of the pool."""

    name = "painter"
    asked = 0


@pytest.fixture(autouse=True)
def _methods(monkeypatch):
    SEEN.clear()
    kinds = {kind.name: kind for kind in (Spy, Repeater, Dreamer, Painter)}
    for name in kinds:
        monkeypatch.setitem(METHODS, name, MethodInfo(factory="a:b"))
    from dgaal_cli.methods import fresh, registry

    def load(config, shape):
        kind = kinds.get(config.method)
        return kind(config, shape) if kind else registry.load_method(config, shape)

    monkeypatch.setattr(fresh, "load_method", load)


def test_a_trial_is_the_same_whenever_it_runs(path, pool):
    first = [without_times(r) for r in run(path, pool, "dgaal")]
    assert first == [without_times(r) for r in run(path, pool, "dgaal")]


def test_every_method_starts_from_the_same_labels_and_the_same_accuracy(path, pool):
    trials = [run(path, pool, name, rounds=0) for name in ("random", "margin", "dgaal")]
    assert len({trial[0].accuracy for trial in trials}) == 1
    assert len({tuple(trial[0].labels_by_class) for trial in trials}) == 1
    other = run(path, pool, "random", seed=1, rounds=0)[0]
    assert (
        other.accuracy != trials[0][0].accuracy
        or other.labels_by_class != trials[0][0].labels_by_class
    )


def test_labels_are_counted_round_by_round(path, pool):
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


def test_a_method_sees_neither_the_test_images_nor_a_label_it_did_not_ask(path, pool):
    records = run(path, pool, "spy")
    assert len(SEEN) == 2
    for data, record in zip(SEEN, records, strict=False):
        assert data.test_pixels is None
        assert data.test_targets is None
        assert data.is_labeled.sum() == record.annotations
    assert (SEEN[1].targets == pool.truth)[SEEN[1].is_labeled].all()


def test_progress_follows_the_budget(path, pool):
    run(path, pool, "spy")
    assert [data.progress for data in SEEN] == [0.0, 1.0]  # 8 first labels, two queries of 6


def test_a_method_that_asks_labeled_images_again_is_called_broken(path, pool):
    with pytest.raises(CheckFailedError, match="repeater, seed 0 asked"):
        run(path, pool, "repeater")


def test_phases_in_memory_compute_what_a_workspaces_runner_computes(tmp_path):
    config, data = small_config("dgaal"), small_data()
    ours, theirs = build(config), build(config)
    run_phases([*ours.learn(data), *ours.adapt(data)], seed=0, number=0, who="test")
    phases = [*theirs.learn(data), *theirs.adapt(data)]
    runner(theirs, phases, tmp_path).run(phases)
    for name, module in ours.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, theirs.modules[name].state_dict()[key]), (name, key)


def test_a_loss_that_is_not_finite_stops_the_trial_with_its_place(path, pool):
    with pytest.raises(
        CheckFailedError,
        match=r"margin\[.*\], seed 0, round 0, learning the labels, step \d+; "
        r"the batch held train/\d+, train/\d+.*; lower",
    ):
        run(path, pool, settings=("classifier.lr=1e6", "classifier.weight_decay=1e6"))


def test_a_start_of_one_class_is_measured_as_a_guess(path, pool):
    records = run(path, pool, absent_classes=("1", "2"), initial=4, query_size=10)
    assert records[0].is_guessing
    assert records[0].accuracy == pytest.approx(1 / 3)
    assert not records[-1].is_guessing
    assert records[0].absent.classes == ["1", "2"]
    assert records[0].absent.base_rate == pytest.approx(60 / 86)
    share = np.isin(pool.truth[records[0].queried], [1, 2]).mean()
    assert records[0].absent.share == pytest.approx(share)


def test_a_start_without_labels_uses_the_cold_start_rule(path, pool):
    for method in ("random", "dgaal"):
        records = run(path, pool, method, initial=0)
        assert [r.annotations for r in records] == [0, 6, 12]
        assert records[0].is_guessing


def test_a_query_larger_than_what_is_left_ends_the_trial(path, pool):
    records = run(path, pool, "random", query_size=50, rounds=9)
    assert [r.annotations for r in records] == [8, 58, 90]
    assert records[-1].is_last
    assert records[-1].queried == []


def test_noisy_answers_are_learned_and_counted(path, pool):
    records = run(path, pool, "random", noise="uniform:0.5", query_size=30)
    assert 20 <= records[-1].wrong_labels <= 50
    other = run(path, pool, "margin", noise="uniform:0.5", query_size=30)
    assert records[0].wrong_labels == other[0].wrong_labels


def test_rare_classes_keep_rows_of_the_whole_pool(path, pool):
    records = run(path, pool, "random", imbalance="2=0.1", initial=6, query_size=50, rounds=9)
    asked = np.array([row for r in records for row in r.queried])
    assert (pool.truth[asked] == 2).sum() <= 3
    assert records[-1].annotations == 63


def test_synthesized_queries_are_answered_by_the_model_and_counted(path, pool):
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


def test_labels_that_only_drawings_carry_teach(path, pool):
    config = CONFIG | {"classifier": CONFIG["classifier"] | {"steps": 40}}
    records = run(
        path, pool, "painter", initial=0, query_size=12, oracle_confidence=0.0, config=config
    )
    assert [r.is_guessing for r in records] == [True, False, False]
    assert [r.labels for r in records] == [0, 12, 24]
    assert [sum(r.labels_by_class) for r in records] == [0, 0, 0]
    named = np.sum(records[-1].confusion, axis=0)
    assert (named > 0).sum() >= 2  # of one class alone, every answer would be that class
    assert records[-1].accuracy > records[0].accuracy + 0.15


def test_guesses_are_measured_where_that_is_asked_and_change_nothing(path, pool):
    plain = run(path, pool, "margin")
    with_guesses = run(path, pool, "margin", guesses=True)
    assert all(record.guesses is None for record in plain)
    assert [r.guesses.images if r.guesses else 0 for r in with_guesses] == [6, 6, 0]
    assert [r.queried for r in plain] == [r.queried for r in with_guesses]
    assert [r.accuracy for r in plain] == [r.accuracy for r in with_guesses]


def test_the_oracle_errs_on_drawings_as_on_the_pool(path, pool):
    run(path, pool, "dreamer", oracle_confidence=0.0)
    run(path, pool, "dreamer", oracle_confidence=0.0, noise="uniform:1")
    right, wrong = SEEN[1].synthetic, SEEN[3].synthetic
    assert np.array_equal(right.pixels, wrong.pixels)
    assert len(right.targets) == 4
    assert (right.targets != wrong.targets).all()


def test_a_method_that_trains_t_in_its_own_way_gets_two_accuracies(path, pool):
    own = run(path, pool, "random", settings=("classifier.steps=40",))
    plain = run(path, pool, "random")
    assert [r.accuracy for r in own] == [r.accuracy for r in plain]
    assert all(r.system_accuracy is not None for r in own)
    assert all(r.system_accuracy is None for r in plain)


def test_promoted_copies_count_as_labels_and_not_as_annotations(path, pool):
    config = CONFIG | {"generation": {"share": 0.9, "min_confidence": 0.0}}
    config["classifier"] = CONFIG["classifier"] | {"semi_supervised": "none"}
    records = run(path, pool, "dgaal", rounds=4, config=config)
    assert [r.annotations for r in records] == [8, 14, 20, 26, 32]
    assert records[-1].inherited > 0
    assert records[-1].labels == records[-1].annotations + records[-1].inherited
    assert records[-1].system_accuracy is not None
    assert records[0].system_accuracy is None


@pytest.mark.parametrize("also_of_copies", [False, True])
def test_the_published_candidate_pool_keeps_its_size(path, pool, monkeypatch, also_of_copies):
    """Each chosen member, image or copy, is replaced by a copy, however doubtful."""
    sizes, redrawn = [], []
    rank, synthesize = PublishedDgaal.rank, PublishedDgaal.synthesize

    def seen_rank(self, data, count, seed):
        sizes.append(len(data.unlabeled_rows) + int(data.synthetic.is_candidate.sum()))
        found = rank(self, data, count, seed)
        drawn = np.flatnonzero(data.synthetic.is_candidate)[:2].tolist()
        return replace(found, picks=found.picks[: count - len(drawn)], promoted=drawn)

    def seen_synthesize(self, data, parents, seed):
        redrawn.append([row >= len(data.pixels) for row in parents])
        drawn = synthesize(self, data, parents, seed)
        if drawn is not None:  # as before the first query
            assert all(row < len(data.pixels) and data.is_labeled[row] for row in drawn.parents)
        return drawn

    monkeypatch.setattr(PublishedDgaal, "rank", seen_rank)
    monkeypatch.setattr(PublishedDgaal, "synthesize", seen_synthesize)
    setting = f"generation.copies_of_copies={str(also_of_copies).lower()}"
    records = run(path, pool, "dgaal-paper", rounds=4, settings=(setting,))
    assert sizes == [90 - 8] * 4
    assert records[-1].inherited == 6
    assert sum(map(sum, redrawn)) == (4 if also_of_copies else 0)  # of queries 1 and 2


def test_all_labels_give_the_reference_line(path, pool):
    record = measure_full_data(small_plan(path), seed=0, pool=pool)
    assert (record.annotations, record.is_last) == (90, True)
    assert record.accuracy > run(path, pool, "random", rounds=0)[0].accuracy


def test_records_survive_their_file(tmp_path, path, pool):
    from dgaal_cli.simulation.records import encode

    records = run(path, pool, "dgaal", absent_classes=("1",))
    (tmp_path / "r.jsonl").write_bytes(b"".join(map(encode, records)))
    assert read_records(tmp_path / "r.jsonl") == records
    assert msgspec.json.decode(encode(records[0]))["arm"] == "dgaal"


def test_a_t_that_goes_on_learning_is_a_system_and_not_a_selection(path, pool):
    own = run(path, pool, "random", settings=("classifier.init=warm",))
    plain = run(path, pool, "random")
    assert [r.accuracy for r in own] == [r.accuracy for r in plain]
    assert own[1].system_accuracy is not None
    assert own[1].system_accuracy != own[1].accuracy or own[2].system_accuracy != own[2].accuracy


def test_linear_learners_are_compared_like_any_other_t(path, pool):
    config = CONFIG | {"classifier": CONFIG["classifier"] | {"architecture": "linear-svm"}}
    for method in ("random", "svm-active"):
        records = run(path, pool, method, config=config)
        assert all(r.system_accuracy is None for r in records)
        assert records[-1].accuracy > 0.4


def test_a_method_with_a_learner_of_its_own_is_a_system(path, pool):
    config = CONFIG | {"gaal": {"atoms": 16, "epochs": 0, "min_steps": 4}}
    records = run(path, pool, "self-taught", config=config, rounds=1)
    assert all(r.system_accuracy is not None for r in records)
    assert [r.accuracy for r in records] == [
        r.accuracy for r in run(path, pool, "random", rounds=1)
    ]


@pytest.mark.parametrize(
    "method", ["dgaal", "ta-vaal", pytest.param("gaal", marks=pytest.mark.deep)]
)
def test_the_last_round_trains_only_what_its_accuracy_needs(path, pool, method):
    short, long = Phases(), Phases()
    as_last = run(path, pool, method, rounds=1, emit=short)[1]
    as_middle = run(path, pool, method, rounds=2, emit=long)[1]
    assert as_last.is_last
    assert not as_middle.is_last
    assert as_last.accuracy == as_middle.accuracy
    assert as_last.system_accuracy == as_middle.system_accuracy
    assert as_last.labels_by_class == as_middle.labels_by_class
    assert as_middle.health
    assert as_last.health == {}
    assert set(short.names) <= set(long.names)
    assert len(short.names) < len(long.names)


def test_selection_is_not_trained_where_nothing_is_asked(path, pool):
    heard = Phases()
    run(path, pool, "vaal", rounds=0, emit=heard)
    assert heard.names == ["classifier"]
