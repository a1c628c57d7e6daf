"""A workspace on disk and arrays in memory run the same rounds with the same rules."""

from dataclasses import replace

import numpy as np
import pytest
from small_simulations import CONFIG, small_plan, small_pool, write_pool

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.errors import CheckFailedError, UsageError
from dgaal_cli.events import Warned
from dgaal_cli.methods.uncertainty import Margin
from dgaal_cli.rounds import engine
from dgaal_cli.rounds.in_memory import InMemoryRounds, config_for
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.rounds.synthetic_files import synthetic_path
from dgaal_cli.simulation.plan import Arm, config_of
from dgaal_cli.simulation.pool import absent_at_start, first_rows
from dgaal_cli.simulation.protocol import run_trial
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items
from dgaal_cli.training.device import pick_device

ROUNDS = 3
SETTINGS = CONFIG | {
    "label": {"min_r2": 0.0},
    "generation": {"share": 0.9, "min_confidence": 0.0},
    "classifier": CONFIG["classifier"] | {"semi_supervised": "none"},
    "vaal": {"epochs": 0, "min_steps": 4, "width": 4, "batch": 8, "settle_steps": 4},
    "gaal": {"epochs": 0, "min_steps": 4, "width": 4, "latent": 8, "descent_steps": 4},
}


def class_by_brightness(images):
    """Return classes of synthetic images by brightness, in place of a person's answers."""
    return (np.asarray(images).reshape(len(images), -1).mean(1) // 86).astype(np.int64)


class Case:
    """One pool with its first labels, run on disk and in memory."""

    def __init__(self, folder, method, *, settings=SETTINGS, labeled=None, test=True):
        path, changes = write_pool(folder / "pool.npz"), {"rounds": ROUNDS, "config": settings}
        self.folder, self.pool = folder, small_pool(path, **changes)
        self.plan = small_plan(path, method, **changes)
        config = config_of(self.plan, Arm(method=method), seed=0, image_size=8, channels=1)
        test_source = self.plan.test if test else ""
        self.config = replace(config, pool=replace(config.pool, test=test_source))
        first = first_rows(self.plan, self.pool.truth, absent_at_start(self.plan, self.pool, 0), 0)
        self.first = first
        if labeled is not None:
            self.first = np.arange(labeled)
            self.config = replace(self.config, query=replace(config.query, budget=0))
        self.test = (self.pool.test_pixels, self.pool.test_labels) if test else None

    def on_disk(self, *, rounds=ROUNDS, synthetic=0, emit=lambda _: None):
        """Return queries as sample ids (None: synthetic image) and the accuracy of each round."""
        pool, names = self.pool, self.pool.class_names
        workspace = init(
            InitRequest(
                root=self.folder / "w",
                pool=self.plan.pool,
                test=self.config.pool.test,
                base=self.folder,
                classes=names,
                method="random",
                preset="tiny",
            )
        ).workspace
        truth = {name: names[label] for name, label in zip(pool.ids, pool.truth, strict=True)}
        with open_store(workspace.store_path) as store:
            by_id = {item.sample_id: item.item_id for item in store.items()}
            answer_items(store, [by_id[pool.ids[int(row)]] for row in self.first], truth)
        queries, accuracies = [], []
        for _ in range(rounds):
            accuracies.append(train(workspace, self.config, emit=emit).accuracy)
            items = query(workspace, self.config, synthetic=synthetic, emit=emit).items
            queries.append([None if item.is_synthetic else item.sample_id for item in items])
            answers = dict(truth)
            for item in filter(lambda item: item.is_synthetic, items):
                pixels = np.frombuffer(_gray(synthetic_path(workspace, item.sample_id)), np.uint8)
                answers[item.sample_id] = names[int(class_by_brightness([pixels])[0])]
            with open_store(workspace.store_path) as store:
                answer_items(store, [item.item_id for item in items], answers)
        self.workspace = workspace
        return queries, accuracies

    def rounds_in_memory(self, emit=lambda _: None):
        labels = np.full(len(self.pool.truth), -1)
        labels[self.first] = self.pool.truth[self.first]

        def answer(asked):
            truth = np.append(self.pool.truth, 0)[asked.rows]
            return np.where(asked.rows < 0, class_by_brightness(asked.pixels), truth)

        return InMemoryRounds(
            self.config,
            self.pool.pixels,
            self.pool.class_names,
            oracle=answer,
            labels=labels,
            test=self.test,
            emit=emit,
        )

    def in_memory(self, *, rounds=ROUNDS, synthetic=0, emit=lambda _: None):
        memory, queries, accuracies = self.rounds_in_memory(emit), [], []
        for _ in range(rounds):
            memory.train()
            accuracies.append(memory.accuracy())
            asked = memory.ask(memory.choose(synthetic=synthetic))
            placeholders = [None] * asked.synthesized
            queries.append([self.pool.ids[row] for row in asked.rows] + placeholders)
        self.memory = memory
        return queries, accuracies

    def synthetic_on_disk(self):
        with open_store(self.workspace.store_path) as store:
            found = gather(
                self.workspace, self.config, store, number=ROUNDS, device=pick_device("cpu")
            )
        return found.data.synthetic


def _gray(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("L").tobytes()


@pytest.mark.parametrize("method", ["margin", "dgaal", "dgaal-paper", "vaal", "gaal-mixed"])
def test_picks_on_disk_and_in_memory_are_equal(method, tmp_path):
    case = Case(tmp_path, method)
    disk, memory = case.on_disk(), case.in_memory()
    assert disk == memory
    ours, theirs = case.synthetic_on_disk(), case.memory.dataset.data.synthetic
    for name in ("pixels", "parents", "targets", "is_labeled", "is_candidate"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    if method.startswith("dgaal"):
        assert len(ours.targets) > 0


def test_simulation_asks_the_same_images_as_a_workspace(tmp_path):
    case = Case(tmp_path, "dgaal")
    records = run_trial(case.plan, Arm(method="dgaal"), seed=0, pool=case.pool)
    asked = [[case.pool.ids[row] for row in record.queried] for record in records]
    assert asked == [*case.on_disk()[0], []]


def test_control_another_seed_asks_other_images(tmp_path):
    """Negative control of the two tests above."""
    case = Case(tmp_path, "dgaal")
    first = case.in_memory(rounds=1)[0]
    case.config = replace(case.config, seed=1)
    assert case.in_memory(rounds=1)[0] != first


def test_held_out_labels_and_synthesis_are_equal_on_disk_and_in_memory(tmp_path):
    case = Case(tmp_path, "dgaal", labeled=40, test=False)
    case.config = replace(case.config, evaluation=replace(case.config.evaluation, held_out=0.4))
    disk = case.on_disk(rounds=2, synthetic=3)
    assert disk == case.in_memory(rounds=2, synthetic=3)
    assert [query.count(None) for query in disk[0]] == [3, 3]
    assert case.memory.dataset.data.is_held_out.any()


def messages_of_both(case):
    """Run on disk and in memory; return the error or the warnings of each."""
    found = []
    for run in (case.on_disk, case.in_memory):
        events = []
        try:
            run(rounds=1, emit=events.append)
        except (CheckFailedError, UsageError) as error:
            found.append(str(error))
        else:
            found.append([event.message for event in events if isinstance(event, Warned)])
    return found


def test_start_without_labels_gives_the_same_warnings(tmp_path):
    disk, memory = messages_of_both(Case(tmp_path, "dgaal", labeled=0))
    assert set(memory) <= set(disk)  # a workspace also reports the health of its networks
    assert any("no labels of two classes yet" in message for message in memory)


def test_query_of_labeled_images_is_refused_on_disk_and_in_memory(tmp_path, monkeypatch):
    rank = Margin.rank

    def again(self, data, count, seed):
        found = rank(self, data, count, seed)
        return replace(found, picks=[int(data.labeled_rows[0]), *found.picks[1:]])

    monkeypatch.setattr(Margin, "rank", again)
    disk, memory = messages_of_both(Case(tmp_path, "margin"))
    assert disk == memory
    assert "margin asked 6 pool images" in disk
    assert "this method is broken" in disk


def test_changed_engine_rule_applies_on_disk_and_in_memory(tmp_path, monkeypatch):
    """Both look up the engine's rules when they use them, so one change affects both."""
    case = Case(tmp_path, "dgaal")
    monkeypatch.setattr(
        engine, "doubtful_copies", lambda _m, copies, _d, _c: np.ones(len(copies.pixels), bool)
    )
    assert case.on_disk() == case.in_memory()
    for synthetic in (case.synthetic_on_disk(), case.memory.dataset.data.synthetic):
        assert len(synthetic.targets) == 0

    def refuse(ranking, data, count, *, run_title):
        raise CheckFailedError(f"{run_title} may not ask")

    monkeypatch.setattr(engine, "check_ranking", refuse)
    (tmp_path / "again").mkdir()
    assert messages_of_both(Case(tmp_path / "again", "dgaal")) == ["dgaal may not ask"] * 2


def test_in_memory_rounds_run_in_a_few_lines():
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    images = (truth[:, None, None, None] * 90 + rng.integers(0, 120, (60, 8, 8, 1))).astype("uint8")
    config = config_for(images, {**CONFIG, "method": "margin", "query": {"size": 6}})
    rounds = InMemoryRounds(
        config,
        images,
        ["dark", "bright"],
        oracle=lambda asked: truth[asked.rows],
        test=(images, truth),
    )
    curve = []
    for _ in range(4):
        rounds.train()
        curve.append((rounds.annotations(), rounds.accuracy()))
        rounds.ask(rounds.choose())
    assert [count for count, _ in curve] == [0, 6, 12, 18]
    assert curve[0][1] is None
    assert curve[-1][1] > 0.7


def test_image_answered_with_cannot_tell_is_not_used():
    truth = np.arange(40) % 2
    images = np.arange(40 * 64, dtype=np.int64).reshape(40, 8, 8, 1).astype(np.uint8)
    config = config_for(images, {**CONFIG, "method": "random", "query": {"size": 5}})
    rounds = InMemoryRounds(config, images, ["a", "b"], oracle=lambda asked: np.full(5, -1))
    rounds.train()
    asked = rounds.ask(rounds.choose()).rows
    assert not rounds.dataset.data.is_labeled.any()
    assert not rounds.dataset.data.is_usable[asked].any()
    assert rounds.annotations() == 5
    assert truth.sum() == 20


def test_query_before_training_is_refused():
    images = np.zeros((4, 8, 8, 1), np.uint8)
    config = config_for(images, CONFIG)
    rounds = InMemoryRounds(config, images, ["a"], oracle=lambda asked: asked.rows)
    with pytest.raises(UsageError, match=r"nothing is trained yet; call train\(\) first"):
        rounds.choose()
