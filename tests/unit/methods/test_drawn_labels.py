"""Labels of synthetic images only: T is trained on them; samplers of pools are not trained."""

import numpy as np
import pytest
import torch
from small_rounds import set_labels, small_config, small_data, trained

from dgaal_cli.ids import ItemId
from dgaal_cli.tasks.classification.model import present_classes
from dgaal_cli.training.classifier import accuracy
from dgaal_cli.training.data import SyntheticImages

WITHOUT_SAMPLER = ("dal", "sraal", "ta-vaal", "vaal")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def synthetic_labels_only(count=16):
    """Return a pool without labels, and labeled synthetic images of both classes."""
    source = small_data(count, seed=3)
    data = small_data(40, labeled=0)
    data.synthetic = SyntheticImages(
        item_ids=[ItemId(100 + i) for i in range(count)],
        pixels=source.pixels,
        parents=np.full(count, -1),
        targets=source.targets,
        is_labeled=np.ones(count, dtype=bool),
        is_candidate=np.zeros(count, dtype=bool),
    )
    return data


def test_labeled_synthetic_images_count_as_present_classes():
    data = synthetic_labels_only()
    assert present_classes(data).tolist() == [0, 1]
    data.synthetic.is_labeled[1::2] = False
    data.synthetic.is_candidate[1::2] = True
    assert present_classes(data).tolist() == [0]
    set_labels(data, 3, 1)
    assert present_classes(data).tolist() == [0, 1]
    data.is_held_out[3] = True
    assert present_classes(data).tolist() == [0]


@pytest.mark.parametrize("name", [*WITHOUT_SAMPLER, "coreset", "gaal-deep", "random", "svm-active"])
def test_task_model_is_trained_and_samplers_need_labeled_pool_images(name, tmp_path):
    data = synthetic_labels_only()
    assert data.can_learn
    method = trained(small_config(name), data, tmp_path)
    assert accuracy(method.classifier, data)[0] > 0.9
    ranking = method.rank(data, 5, 0)
    assert np.isfinite(ranking.scores).all()
    assert len(ranking.picks) == (0 if name == "gaal-deep" else 5)
    assert np.isfinite(list(method.health(data).values())).all()
    if name in WITHOUT_SAMPLER:
        assert "typical" in ranking.strategy or "no image of the pool" in ranking.strategy
        assert [module.role for module in method.deploy(data)] == ["classifier"]
    if name in ("coreset", "svm-active"):
        assert "sampler" in {module.role for module in method.deploy(data)}
