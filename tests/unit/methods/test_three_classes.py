"""Every method works with three classes, one of which may have no labels yet."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import deployed, relabeled, runner, shape_of, small_config, small_data

from dgaal_cli.methods.registry import METHODS, load_method
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.seeding import initializing

SHAPE = shape_of(3)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def three_class_data(count=90, labeled=24):
    """Return dark, gray and bright images."""
    truth = np.arange(count) % 3
    noise = np.random.default_rng(0).integers(-30, 30, (count, 8, 8, 1))
    pixels = (np.array([40, 128, 215])[truth][:, None, None, None] + noise).astype(np.uint8)
    labels = np.where(np.arange(count) < labeled, truth, -1)
    return replace(
        relabeled(small_data(count), labels),
        task=ClassLearning(3),
        pixels=pixels,
        class_names=["dark", "gray", "bright"],
        test_pixels=pixels,
        test_targets=truth,
    )


@pytest.mark.parametrize("present", [(0, 1, 2), (0, 2)], ids=["all", "one-absent"])
@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_trains_ranks_and_exports_with_three_classes(name, present, tmp_path):
    data = three_class_data()
    data.is_labeled &= np.isin(data.targets, present)
    with initializing(0, "networks"):
        method = load_method(small_config(name), SHAPE)
    phases = [*method.learn(data), *method.adapt(data)]
    runner(method, phases, tmp_path).run(phases)
    ranking = method.rank(data, 9, 0)
    synthetic_count = 0 if ranking.synthesized is None else len(ranking.synthesized.images.pixels)
    assert len(set(ranking.picks)) + synthetic_count == 9
    assert (synthetic_count == 9) == METHODS[name].draws_queries
    assert np.isfinite(ranking.scores).all()
    with torch.no_grad():
        _, probabilities = deployed(method, data, "classifier").eval()(
            torch.from_numpy(data.pixels[:5])
        )
    assert probabilities.shape == (5, 3)
    assert probabilities.sum(1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)
