"""What every method promises, over the whole registry."""

import copy
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import build, runner, small_config, small_data, trained

from dgaal_cli import interruption
from dgaal_cli.errors import InterruptedRunError
from dgaal_cli.events import StepDone
from dgaal_cli.methods.base import MAX_SAMPLES
from dgaal_cli.methods.registry import METHODS, method_names
from dgaal_cli.training.checkpoint import module_tensors

EVERY = pytest.mark.parametrize("name", sorted(METHODS))
SYNTHESIZING = set(method_names(lambda info: info.draws_queries))
ASKING_THE_POOL = pytest.mark.parametrize("name", sorted(set(METHODS) - SYNTHESIZING))
DRAWING = pytest.mark.parametrize("name", sorted(SYNTHESIZING))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Learned(dict[str, tuple]):
    """Methods trained once on the same data, at the first use of each, with their phases."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        super().__init__()
        self._factory = factory
        self._data = small_data()

    def __missing__(self, name: str) -> tuple:
        method = build(small_config(name))
        phases = [*method.learn(self._data), *method.adapt(self._data)]
        runner(method, phases, self._factory.mktemp(name)).run(phases)
        self[name] = method, phases, self._data
        return self[name]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return Learned(tmp_path_factory)


@pytest.fixture
def rounds(name, learned):
    """The method that a test's parameter names, with its data."""
    method, _, data = learned[name]
    return {name: (method, data)}


@EVERY
def test_a_phase_can_tell_which_images_its_last_step_learned_from(name, learned):
    """Or nobody knows on which ones a loss broke."""
    _, phases, data = learned[name]
    drawn = {phase.name: phase.last.items for phase in phases}
    for items in drawn.values():
        assert items
        assert len(set(items)) == len(items)
        assert set(items) <= set(data.item_ids)
    if "classifier" in drawn:
        labeled = {data.item_ids[row] for row in data.labeled_rows}
        assert set(drawn["classifier"]) <= labeled


@ASKING_THE_POOL
def test_picks_are_unique_unlabeled_rows_of_the_asked_number(name, rounds):
    method, data = rounds[name]
    ranking = method.rank(data, 12, 5)
    assert len(ranking.picks) == len(set(ranking.picks)) == 12
    assert set(ranking.picks) <= set(data.unlabeled_rows.tolist())
    assert ranking.synthesized is None


@DRAWING
def test_drawings_are_images_of_the_asked_number(name, rounds):
    method, data = rounds[name]
    ranking = method.rank(data, 12, 5)
    drawn = ranking.synthesized
    assert ranking.picks == []
    assert drawn.images.pixels.dtype == np.uint8
    assert drawn.images.pixels.shape == (12, *data.pixels.shape[1:])
    assert drawn.images.parents == [-1] * 12
    assert drawn.scores.dtype == np.float32
    assert drawn.scores.shape == (12,)
    assert np.isfinite(drawn.scores).all()
    assert drawn.reason
    assert len(np.unique(drawn.images.pixels.reshape(12, -1), axis=0)) > 1


@DRAWING
def test_the_same_seed_draws_the_same_and_another_seed_does_not(name, rounds):
    method, data = rounds[name]
    first, second, other = (method.rank(data, 6, seed).synthesized for seed in (7, 7, 8))
    assert np.array_equal(first.images.pixels, second.images.pixels)
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(first.images.pixels, other.images.pixels)


@DRAWING
def test_more_can_be_drawn_than_the_pool_has_left(name, rounds):
    method, data = rounds[name]
    few = replace(data, is_usable=data.is_labeled.copy())
    few.is_usable[-2:] = True
    assert len(method.rank(few, 70, 0).synthesized.images.pixels) == 70


@ASKING_THE_POOL
def test_the_whole_pool_can_be_asked(name, rounds):
    method, data = rounds[name]
    assert sorted(method.rank(data, len(data.unlabeled_rows), 1).picks) == sorted(
        data.unlabeled_rows.tolist()
    )


@EVERY
def test_images_that_nobody_could_name_are_never_asked_again(name, rounds):
    method, data = rounds[name]
    usable = data.is_usable.copy()
    usable[20:40] = False
    left = replace(data, is_usable=usable)
    picks = method.rank(left, len(left.unlabeled_rows), 0).picks
    assert not set(picks) & set(range(20, 40))


@EVERY
def test_scores_are_finite_float32_one_a_row(name, rounds):
    method, data = rounds[name]
    ranking = method.rank(data, 5, 0)
    assert ranking.scores.dtype == np.float32
    assert ranking.scores.shape == ranking.rows.shape == data.unlabeled_rows.shape
    assert np.isfinite(ranking.scores).all()


@EVERY
def test_the_same_seed_asks_the_same(name, rounds):
    method, data = rounds[name]
    first, second = method.rank(data, 12, 7), method.rank(data, 12, 7)
    assert first.picks == second.picks
    assert np.array_equal(first.scores, second.scores)


@EVERY
def test_ranking_changes_neither_modes_nor_weights_nor_global_randomness(name, rounds):
    method, data = rounds[name]
    for module in method.modules.values():
        module.train()
    before = copy.deepcopy(module_tensors(method.modules))
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    method.rank(data, 5, 0)
    method.health(data)
    after = module_tensors(method.modules)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(module.training for m in method.modules.values() for module in m.modules())
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


WITH_T = {
    *("badge", "bald", "coreset", "dal", "dbal", "ensemble", "entropy", "least-confidence"),
    *("margin", "ta-vaal", "waal"),
}
WITHOUT_T = {
    "dgaal",
    "dgaal-paper",
    "probcover",
    "random",
    "self-taught",
    "simple-gan",
    "sraal",
    "svm-active",
    "typiclust",
    "vaal",
    "vaal-released",
}
"""What chooses without the task model; "dgaal" asks its own, which learns from labels alone."""


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"asal"} - SYNTHESIZING | {"simple-gan"}))
def test_ranking_asks_t_of_each_image_once_and_only_where_choosing_needs_it(name, rounds):
    """Its time is published as the time to choose: what else is shown is not asked of T here."""
    method, data = rounds[name]
    asked = []
    handle = method.classifier.head.register_forward_hook(
        lambda _module, inputs, _output: asked.append(len(inputs[0]))
    )
    try:
        method.rank(data, 5, 0)
    finally:
        handle.remove()
    left, labeled = len(data.unlabeled_rows), len(data.labeled_rows)
    needs_labeled = name in {"coreset", "dal"}
    if name in WITH_T | WITHOUT_T:
        assert sum(asked) == (0 if name in WITHOUT_T else left + needs_labeled * labeled)
    assert sum(asked) in (0, left, left + labeled)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random", "self-taught", "simple-gan"}))
def test_shuffling_the_pool_permutes_the_scores(name, rounds):
    method, data = rounds[name]
    order = np.random.default_rng(3).permutation(len(data.pixels))
    shuffled = replace(
        data,
        pixels=data.pixels[order],
        targets=data.targets[order],
        is_labeled=data.is_labeled[order],
        item_ids=[data.item_ids[i] for i in order],
        is_usable=data.is_usable[order],
        is_held_out=data.is_held_out[order],
    )
    one, other = method.rank(data, 5, 0), method.rank(shuffled, 5, 0)
    ours = dict(zip(one.rows.tolist(), one.scores.tolist(), strict=True))
    theirs = {
        int(order[row]): score for row, score in zip(other.rows, other.scores.tolist(), strict=True)
    }
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[row] - theirs[row]) for row in ours) < 1e-5


@EVERY
def test_a_pool_without_labels_is_ranked_by_the_cold_start_rule(name, tmp_path):
    data = small_data(labeled=0)
    method = trained(small_config(name), data, tmp_path)
    ranking = method.rank(data, 8, 0)
    assert _asked(ranking) == 8
    assert np.isfinite(ranking.scores).all()


@EVERY
def test_labels_of_one_class_are_no_error(name, tmp_path):
    data = small_data()
    one_class = replace(data, is_labeled=data.targets == 1)
    method = trained(small_config(name), one_class, tmp_path)
    assert _asked(method.rank(one_class, 4, 0)) == 4


@pytest.mark.parametrize("name", method_names(lambda info: not info.has_own_task_model))
def test_the_task_model_starts_from_the_same_weights_whatever_the_method(name):
    reference = build(small_config("random")).classifier.state_dict()
    ours = build(small_config(name)).classifier.state_dict()
    assert all(torch.equal(reference[key], ours[key]) for key in reference)


@EVERY
def test_deployed_modules_score_an_image_alike_alone_and_in_company(name, rounds):
    method, data = rounds[name]
    for module in method.deploy(data):
        module.eval()
        inputs = [
            each.neutral + 0.1 * torch.randn(9, each.width)
            if each.width
            else torch.from_numpy(data.pixels[:9])
            for each in module.inputs
        ]
        with torch.no_grad():
            together = module(*inputs)
            alone = module(*(each[4:5] for each in inputs))
        together = together if isinstance(together, tuple) else (together,)
        alone = alone if isinstance(alone, tuple) else (alone,)
        assert len(together) == len(module.outputs)
        for all_rows, one in zip(together, alone, strict=True):
            assert torch.allclose(all_rows[4].float(), one[0].float(), atol=1e-5), module.role


def false_facts(info, method, data):
    """Names of facts that a trained method does not show."""
    modules = {module.role: module for module in method.deploy(data)}
    inputs = [each.name for each in modules["generator"].inputs] if "generator" in modules else []
    kinds = {"noise": "parents", "latents": "prior"}
    ranking = method.rank(data, 6, 0)
    unlabeled = replace(data, is_labeled=np.zeros_like(data.is_labeled))
    cold = method.rank(unlabeled, 6, 0)
    shown = {
        "has_sampler": "sampler" in modules,
        "generator": kinds[inputs[-1]] if inputs else "",
        "draws_queries": ranking.synthesized is not None,
        "needs_labels": cold.strategy != ranking.strategy,
    }
    return {name for name, value in shown.items() if value != getattr(info, name)}


@EVERY
def test_the_registry_says_what_is_true_of_a_method(name, rounds):
    assert false_facts(METHODS[name], *rounds[name]) == set()


def test_a_false_fact_would_be_seen(learned):
    assert false_facts(METHODS["vaal"], *learned["random"][::2]) == {"has_sampler", "needs_labels"}
    assert false_facts(METHODS["gaal"], *learned["asal"][::2]) == {"draws_queries"}
    assert false_facts(METHODS["dgaal"], *learned["gaal"][::2]) == {
        "has_sampler",
        "generator",
        "draws_queries",
    }


@EVERY
def test_a_method_with_a_query_rule_of_its_own_ignores_that_of_scores(name, rounds):
    """And one that ranks by scores draws another query, the scores being the same."""
    method, data = rounds[name]
    usual = method.rank(data, 6, 0)
    config = small_config(name)
    acquisition = replace(config.acquisition, rule="softrank", beta=0.5)
    before, method.config = method.config, replace(method.config, acquisition=acquisition)
    try:
        other = method.rank(data, 6, 0)
    finally:
        method.config = before
    is_same = other.picks == usual.picks
    assert is_same == (METHODS[name].has_own_query_rule or name in ("random", "self-taught"))


WITH_PHASES_OF_THEIR_OWN = ("asal", "bald", "dal", "ensemble", "gaal", "self-taught", "typiclust")
"""Beside those of DGAAL and VAAL, which have such tests at many steps."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in WITH_PHASES_OF_THEIR_OWN else pytest.param(name, marks=pytest.mark.deep)
        for name in sorted(METHODS)
    ],
)
def test_a_training_that_was_cut_ends_in_the_same_bits(name, rounds, tmp_path):
    whole, data = rounds[name]
    config = small_config(name)
    first = build(config)
    phases = [*first.learn(data), *first.adapt(data)]
    third = sum(phase.steps for phase in phases) // 3
    done = {}

    def listen(event):
        if isinstance(event, StepDone) and sum(done.values()) < third:
            done[event.phase] = event.step  # fast steps are not reported one by one
            if sum(done.values()) >= third:
                signal.raise_signal(signal.SIGINT)

    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path, emit=listen).run(phases)
    second = build(config, number=1)  # other weights: all must come from the saved state
    phases = [*second.learn(data), *second.adapt(data)]
    again = runner(second, phases, tmp_path)
    assert again.resume()
    again.run(phases)
    ours, theirs = module_tensors(whole.modules), module_tensors(second.modules)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@EVERY
def test_what_a_method_draws_can_be_looked_at(name, rounds):
    method, data = rounds[name]
    draws = {"decoder", "vae", "dcgan_generator"} & method.modules.keys()
    drawn, again = method.sample_images(data), method.sample_images(data)
    assert (drawn is None) == (not draws)
    if drawn is None:
        return
    assert drawn.pixels.dtype == np.uint8
    assert drawn.pixels.shape[1:] == data.pixels.shape[1:]
    assert len(drawn.pixels) == len(drawn.parents) <= MAX_SAMPLES
    assert np.array_equal(drawn.pixels, again.pixels)
    is_from_noise = "dcgan_generator" in draws
    assert set(drawn.parents) == {-1} if is_from_noise else len(set(drawn.parents)) > 10


def _asked(ranking):
    """Different images asked, whatever their kind."""
    drawn = 0 if ranking.synthesized is None else len(ranking.synthesized.images.pixels)
    return len(set(ranking.picks)) + drawn
