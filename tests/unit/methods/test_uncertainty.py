"""Uncertainty scores compared with their formulas, and the image that each asks first."""

import numpy as np
import pytest
import torch
from small_rounds import build, deployed, small_config, small_data, trained

from dgaal_cli.methods.bayesian import dropout_passes
from dgaal_cli.methods.ensemble import variation_ratio
from dgaal_cli.methods.informativeness import entropy, remainder
from dgaal_cli.training.classifier import dropout_mask, predict
from dgaal_cli.training.seeding import torch_generator

UNCERTAINTY_METHODS = ["margin", "least-confidence", "entropy", "dbal"]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def between_the_classes(row=30):
    data = small_data()
    data.pixels[row] = 128  # between dark (55) and bright (200)
    return data


@pytest.mark.parametrize("name", UNCERTAINTY_METHODS)
def test_image_between_the_classes_is_asked_early(name, tmp_path):
    data = between_the_classes()
    ranking = trained(small_config(name), data, tmp_path).rank(data, 8, 0)
    assert 30 in ranking.picks
    assert ranking.picks[0] == ranking.rows[ranking.scores.argmax()]


def test_entropy_is_shannon_entropy_and_accepts_zeros():
    assert entropy(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([np.log(2), 0.0])


def test_least_confidence_is_one_minus_the_maximum():
    assert remainder(np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]])) == pytest.approx([0.5, 0.1])
    tiny = np.array([[1.0, 1e-20, 0.0], [1.0, 1e-30, 0.0]])
    assert remainder(tiny)[0] > remainder(tiny)[1] > 0


def test_margin_entropy_and_least_confidence_order_rows_differently(tmp_path):
    """A row can be first for one score and last for another, which shows swapped formulas."""
    narrow, spread = np.array([0.45, 0.44, 0.11]), np.array([0.4, 0.3, 0.3])
    both = np.stack([narrow, spread])
    assert entropy(both)[1] > entropy(both)[0]
    assert remainder(both)[1] > remainder(both)[0]
    assert np.diff(np.sort(both)[:, -2:])[0] < np.diff(np.sort(both)[:, -2:])[1]  # margin


def brute_passes(network, features, masks):
    with torch.no_grad():
        h = torch.from_numpy(features).double()
        head = network.head.double()
        passes = torch.stack([torch.softmax(head(h * mask), 1) for mask in masks.double()])
        network.head.float()
    return passes.numpy()


def test_dropout_passes_equal_the_head_under_each_mask():
    network = build(small_config("bald")).classifier
    features = np.random.default_rng(0).normal(size=(7, network.feature_width)).astype(np.float32)
    masks = dropout_mask(torch.Size([5, network.feature_width]), 0.5, torch_generator(1))
    passes = brute_passes(network, features, masks)
    mean, within = dropout_passes(network, features, masks)
    assert mean == pytest.approx(passes.mean(0))
    assert within == pytest.approx(-(passes * np.log(passes)).sum(2).mean(0))


def test_bald_is_entropy_of_the_mean_minus_mean_entropy(tmp_path):
    data = small_data()
    method = trained(small_config("bald"), data, tmp_path)
    ranking = method.rank(data, 5, 3)
    features = predict(method.classifier, data.pixels[ranking.rows], data.device).features
    shape = torch.Size([25, method.classifier.feature_width])
    masks = dropout_mask(shape, 0.5, torch_generator(3, "dropout"))
    passes = brute_passes(method.classifier, features, masks)
    mean = passes.mean(0)
    expected = -(mean * np.log(mean)).sum(1) + (passes * np.log(passes)).sum(2).mean(0)
    assert ranking.scores == pytest.approx(expected, abs=1e-6)
    assert ranking.picks[0] == ranking.rows[expected.argmax()]


def test_bald_is_zero_if_all_passes_are_equally_uncertain():
    """Aleatoric uncertainty does not count: all passes predict equal probabilities."""
    network = build(small_config("bald")).classifier
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.zero_()
    mean, within = dropout_passes(
        network,
        np.ones((1, network.feature_width), np.float32),
        torch.ones(4, network.feature_width),
    )
    assert entropy(mean)[0] == pytest.approx(np.log(2))
    assert entropy(mean)[0] - within[0] == pytest.approx(0.0)


def test_dropout_mask_has_its_rate_and_mean_one():
    mask = dropout_mask(torch.Size([200, 100]), 0.3, torch_generator(0))
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((mask == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(mask.mean()) == pytest.approx(1.0, abs=0.02)


def test_training_with_dropout_differs_and_is_reproducible(tmp_path):
    data = small_data()
    plain = trained(small_config("dbal"), data, tmp_path / "a").classifier.head.weight
    config = small_config("dbal", classifier={"dropout": 0.5})
    with_dropout = trained(config, data, tmp_path / "b").classifier.head.weight
    repeated = trained(config, data, tmp_path / "c").classifier.head.weight
    assert not torch.allclose(plain, with_dropout)
    assert torch.equal(with_dropout, repeated)


def test_variation_ratio_counts_votes_and_breaks_ties_by_uncertainty():
    agree_surely = [[0.9, 0.1]] * 4
    agree_barely = [[0.6, 0.4]] * 4
    split = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]]
    votes = np.array([agree_surely, agree_barely, split]).transpose(1, 0, 2)
    scores = variation_ratio(votes)
    assert scores == pytest.approx([0.0125, 0.05, 0.25 + 0.125 * 0.3])


def test_tie_break_never_outweighs_a_vote():
    rng = np.random.default_rng(0)
    votes = rng.dirichlet(np.ones(6), (5, 400))
    counts = np.stack([(votes.argmax(2) == k).sum(0) for k in range(6)]).max(0)
    scores = variation_ratio(votes)
    for more in range(2, 6):
        assert scores[counts == more].max(initial=-1) < scores[counts == more - 1].min(initial=2)


def test_committee_members_differ_and_the_first_is_the_task_model(tmp_path):
    data = between_the_classes()
    method = trained(small_config("ensemble"), data, tmp_path)
    reference = trained(small_config("random"), data, tmp_path / "random")
    assert torch.equal(method.classifier.head.weight, reference.classifier.head.weight)
    weights = [method.modules[f"member_{i}"].head.weight for i in range(1, 5)]
    assert not any(torch.equal(w, method.classifier.head.weight) for w in weights)
    assert not torch.equal(weights[0], weights[1])
    assert 30 in method.rank(data, 8, 0).picks


@pytest.mark.parametrize("name", ["margin", "least-confidence", "entropy", "ensemble"])
def test_exported_sampler_has_the_scores_of_the_query(name, tmp_path):
    data = small_data()
    method = trained(small_config(name), data, tmp_path)
    ranking = method.rank(data, 5, 0)
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        scores = sampler(torch.from_numpy(data.pixels[ranking.rows]))[0].numpy()
    assert scores == pytest.approx(ranking.scores, abs=1e-5)


@pytest.mark.parametrize("name", ["dbal", "bald"])
def test_exported_dropout_sampler_has_the_scores_of_a_query_with_its_seed(name, tmp_path):
    data = small_data()
    method = trained(small_config(name), data, tmp_path)
    ranking = method.rank(data, 5, data.seed)
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        scores = sampler(torch.from_numpy(data.pixels[ranking.rows]))[0].numpy()
    assert scores == pytest.approx(ranking.scores, abs=1e-5)
