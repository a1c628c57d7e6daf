"""The contract of every method in the registry."""

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
from dgaal_cli.methods.registry import METHODS, load_id_scores, method_names
from dgaal_cli.training.checkpoint import module_tensors

EVERY = pytest.mark.parametrize("name", sorted(METHODS))
SYNTHESIZING = set(method_names(lambda info: info.draws_queries))
POOL_BASED = pytest.mark.parametrize("name", sorted(set(METHODS) - SYNTHESIZING))
QUERY_SYNTHESIZING = pytest.mark.parametrize("name", sorted(SYNTHESIZING))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TrainedMethods(dict[str, tuple]):
    """Methods trained on the same data at their first use, with their phases."""

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
def trained_methods(tmp_path_factory):
    return TrainedMethods(tmp_path_factory)


@pytest.fixture
def trained_method(name, trained_methods):
    """Return the trained method of the parameter ``name``, with its data."""
    method, _, data = trained_methods[name]
    return {name: (method, data)}


@EVERY
def test_phase_reports_the_images_of_its_last_step(name, trained_methods):
    """An error message about a bad loss needs these images."""
    _, phases, data = trained_methods[name]
    items_by_phase = {phase.name: phase.last.items for phase in phases}
    for items in items_by_phase.values():
        assert items
        assert len(set(items)) == len(items)
        assert set(items) <= set(data.item_ids)
    if "classifier" in items_by_phase:
        labeled = {data.item_ids[row] for row in data.labeled_rows}
        assert set(items_by_phase["classifier"]) <= labeled


@POOL_BASED
def test_picks_are_the_requested_number_of_unique_unlabeled_rows(name, trained_method):
    method, data = trained_method[name]
    ranking = method.rank(data, 12, 5)
    assert len(ranking.picks) == len(set(ranking.picks)) == 12
    assert set(ranking.picks) <= set(data.unlabeled_rows.tolist())
    assert ranking.synthesized is None


@pytest.mark.parametrize("name", method_names(lambda info: info.id_scores))
def test_scores_by_ids_are_those_of_the_ranking(name, trained_method):
    method, data = trained_method[name]
    ids = [data.item_ids[row] for row in data.unlabeled_rows]
    ranking = method.rank(data, 12, 5)
    assert np.array_equal(ranking.scores, load_id_scores(name)(ids, 5))
    assert not np.array_equal(ranking.scores, load_id_scores(name)(ids, 6))


@QUERY_SYNTHESIZING
def test_synthesized_query_has_the_requested_number_of_images(name, trained_method):
    method, data = trained_method[name]
    ranking = method.rank(data, 12, 5)
    synthetic = ranking.synthesized
    assert ranking.picks == []
    assert synthetic.images.pixels.dtype == np.uint8
    assert synthetic.images.pixels.shape == (12, *data.pixels.shape[1:])
    assert synthetic.images.parents == [-1] * 12
    assert synthetic.scores.dtype == np.float32
    assert synthetic.scores.shape == (12,)
    assert np.isfinite(synthetic.scores).all()
    assert synthetic.reason
    assert len(np.unique(synthetic.images.pixels.reshape(12, -1), axis=0)) > 1


@QUERY_SYNTHESIZING
def test_synthesized_query_depends_only_on_the_seed(name, trained_method):
    method, data = trained_method[name]
    first, second, other = (method.rank(data, 6, seed).synthesized for seed in (7, 7, 8))
    assert np.array_equal(first.images.pixels, second.images.pixels)
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(first.images.pixels, other.images.pixels)


@QUERY_SYNTHESIZING
def test_synthesized_query_may_exceed_the_unlabeled_pool(name, trained_method):
    method, data = trained_method[name]
    few = replace(data, is_usable=data.is_labeled.copy())
    few.is_usable[-2:] = True
    assert len(method.rank(few, 70, 0).synthesized.images.pixels) == 70


@POOL_BASED
def test_query_may_ask_the_whole_pool(name, trained_method):
    method, data = trained_method[name]
    assert sorted(method.rank(data, len(data.unlabeled_rows), 1).picks) == sorted(
        data.unlabeled_rows.tolist()
    )


@EVERY
def test_unlabelable_images_are_not_asked_again(name, trained_method):
    method, data = trained_method[name]
    usable = data.is_usable.copy()
    usable[20:40] = False
    left = replace(data, is_usable=usable)
    picks = method.rank(left, len(left.unlabeled_rows), 0).picks
    assert not set(picks) & set(range(20, 40))


@EVERY
def test_scores_are_finite_float32_with_one_value_per_row(name, trained_method):
    method, data = trained_method[name]
    ranking = method.rank(data, 5, 0)
    assert ranking.scores.dtype == np.float32
    assert ranking.scores.shape == ranking.rows.shape == data.unlabeled_rows.shape
    assert np.isfinite(ranking.scores).all()


@EVERY
def test_same_seed_gives_the_same_query(name, trained_method):
    method, data = trained_method[name]
    first, second = method.rank(data, 12, 7), method.rank(data, 12, 7)
    assert first.picks == second.picks
    assert np.array_equal(first.scores, second.scores)


@EVERY
def test_ranking_does_not_change_modes_weights_or_global_random_state(name, trained_method):
    method, data = trained_method[name]
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


USES_TASK_MODEL = {
    *("badge", "bald", "coreset", "dal", "dbal", "ensemble", "entropy", "least-confidence"),
    *("margin", "ta-vaal", "uncertainty-herding", "waal"),
}
IGNORES_TASK_MODEL = {
    "dgaal",
    "dgaal-paper",
    "dropquery",
    "kernel-critic",
    "maxherding",
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
"""Methods that choose without the task model; "dgaal" uses its scout, trained on labels only."""


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"asal"} - SYNTHESIZING | {"simple-gan"}))
def test_ranking_runs_the_task_model_at_most_once_per_image(name, trained_method):
    """Only methods that need the task model for their choice run it, as query time is published."""
    method, data = trained_method[name]
    forward_sizes = []
    handle = method.classifier.head.register_forward_hook(
        lambda _module, inputs, _output: forward_sizes.append(len(inputs[0]))
    )
    try:
        method.rank(data, 5, 0)
    finally:
        handle.remove()
    left, labeled = len(data.unlabeled_rows), len(data.labeled_rows)
    needs_labeled = name in {"coreset", "dal"}
    if name in USES_TASK_MODEL | IGNORES_TASK_MODEL:
        assert sum(forward_sizes) == (
            0 if name in IGNORES_TASK_MODEL else left + needs_labeled * labeled
        )
    assert sum(forward_sizes) in (0, left, left + labeled)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random", "self-taught", "simple-gan"}))
def test_shuffling_the_pool_permutes_the_scores(name, trained_method):
    method, data = trained_method[name]
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
def test_cold_start_rule_ranks_a_pool_without_labels(name, tmp_path):
    data = small_data(labeled=0)
    method = trained(small_config(name), data, tmp_path)
    ranking = method.rank(data, 8, 0)
    assert _asked_count(ranking) == 8
    assert np.isfinite(ranking.scores).all()


@EVERY
def test_labels_of_a_single_class_are_accepted(name, tmp_path):
    data = small_data()
    one_class = replace(data, is_labeled=data.targets == 1)
    method = trained(small_config(name), one_class, tmp_path)
    assert _asked_count(method.rank(one_class, 4, 0)) == 4


@pytest.mark.parametrize("name", method_names(lambda info: not info.has_own_task_model))
def test_initial_task_model_is_equal_for_all_methods(name):
    reference = build(small_config("random")).classifier.state_dict()
    ours = build(small_config(name)).classifier.state_dict()
    assert all(torch.equal(reference[key], ours[key]) for key in reference)


@EVERY
def test_deployed_modules_are_independent_of_the_batch(name, trained_method):
    method, data = trained_method[name]
    for module in method.deploy(data):
        module.eval()
        inputs = [
            input_.neutral + 0.1 * torch.randn(9, input_.width)
            if input_.width
            else torch.from_numpy(data.pixels[:9])
            for input_ in module.inputs
        ]
        with torch.no_grad():
            together = module(*inputs)
            alone = module(*(input_[4:5] for input_ in inputs))
        together = together if isinstance(together, tuple) else (together,)
        alone = alone if isinstance(alone, tuple) else (alone,)
        assert len(together) == len(module.outputs)
        for all_rows, one in zip(together, alone, strict=True):
            assert torch.allclose(all_rows[4].float(), one[0].float(), atol=1e-5), module.role


def wrong_facts(info, method, data):
    """Return the names of registry facts that do not match a trained method."""
    modules = {module.role: module for module in method.deploy(data)}
    inputs = [item.name for item in modules["generator"].inputs] if "generator" in modules else []
    kinds = {"noise": "parents", "latents": "prior"}
    ranking = method.rank(data, 6, 0)
    unlabeled = replace(data, is_labeled=np.zeros_like(data.is_labeled))
    cold = method.rank(unlabeled, 6, 0)
    observed = {
        "has_sampler": "sampler" in modules,
        "generator": kinds[inputs[-1]] if inputs else "",
        "draws_queries": ranking.synthesized is not None,
        "needs_labels": cold.strategy != ranking.strategy,
    }
    return {name for name, value in observed.items() if value != getattr(info, name)}


@EVERY
def test_facts_in_the_registry_match_the_trained_method(name, trained_method):
    assert wrong_facts(METHODS[name], *trained_method[name]) == set()


def test_control_wrong_registry_facts_are_found(trained_methods):
    assert wrong_facts(METHODS["vaal"], *trained_methods["random"][::2]) == {
        "has_sampler",
        "needs_labels",
    }
    assert wrong_facts(METHODS["gaal"], *trained_methods["asal"][::2]) == {"draws_queries"}
    assert wrong_facts(METHODS["dgaal"], *trained_methods["gaal"][::2]) == {
        "has_sampler",
        "generator",
        "draws_queries",
    }


@EVERY
def test_acquisition_rule_affects_only_methods_without_own_rule(name, trained_method):
    """Methods that rank by scores choose another query from the same scores."""
    method, data = trained_method[name]
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


HAS_OWN_PHASES = ("asal", "bald", "dal", "ensemble", "gaal", "self-taught", "typiclust")
"""In addition to DGAAL and VAAL, whose own tests interrupt them at many steps."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in HAS_OWN_PHASES else pytest.param(name, marks=pytest.mark.deep)
        for name in sorted(METHODS)
    ],
)
def test_interrupted_training_ends_in_the_same_bits(name, trained_method, tmp_path):
    uninterrupted, data = trained_method[name]
    config = small_config(name)
    first = build(config)
    phases = [*first.learn(data), *first.adapt(data)]
    interrupt_after = sum(phase.steps for phase in phases) // 3
    done = {}

    def interrupt(event):
        if isinstance(event, StepDone) and sum(done.values()) < interrupt_after:
            done[event.phase] = event.step  # not every fast step is reported
            if sum(done.values()) >= interrupt_after:
                signal.raise_signal(signal.SIGINT)

    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path, emit=interrupt).run(phases)
    # Other initial weights: all values must come from the saved state.
    second = build(config, number=1)
    phases = [*second.learn(data), *second.adapt(data)]
    again = runner(second, phases, tmp_path)
    assert again.resume()
    again.run(phases)
    ours, theirs = module_tensors(uninterrupted.modules), module_tensors(second.modules)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


@EVERY
def test_sample_images_exist_for_methods_with_a_generator(name, trained_method):
    method, data = trained_method[name]
    generators = {"decoder", "vae", "dcgan_generator"} & method.modules.keys()
    synthetic, again = method.sample_images(data), method.sample_images(data)
    assert (synthetic is None) == (not generators)
    if synthetic is None:
        return
    assert synthetic.pixels.dtype == np.uint8
    assert synthetic.pixels.shape[1:] == data.pixels.shape[1:]
    assert len(synthetic.pixels) == len(synthetic.parents) <= MAX_SAMPLES
    assert np.array_equal(synthetic.pixels, again.pixels)
    is_from_noise = "dcgan_generator" in generators
    assert set(synthetic.parents) == {-1} if is_from_noise else len(set(synthetic.parents)) > 10


def _asked_count(ranking):
    """Return the number of different images in a query, synthetic ones included."""
    synthetic = 0 if ranking.synthesized is None else len(ranking.synthesized.images.pixels)
    return len(set(ranking.picks)) + synthetic
