"""DAL: class weights, early stopping, sub-batches, and the queried images."""

import numpy as np
import pytest
import torch
from small_rounds import deployed, set_labels, small_config, small_data, trained

from dgaal_cli.config.schema import DiscriminativeConfig
from dgaal_cli.errors import CheckFailedError
from dgaal_cli.methods.dal.method import drawn_sides, perceptron_phase, run_at_once
from dgaal_cli.methods.labeled_unlabeled import TwoPools
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.seeding import initializing, torch_generator


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def perceptron(sides, **changes):
    with initializing(0, "test"):
        network = LatentDiscriminator(latent=2, hidden=16)
    rows = len(sides.features)
    config = DiscriminativeConfig(**{"hidden": 16, "epochs": 200, "lr": 1e-2, **changes})
    phase = perceptron_phase(network, config, lambda: sides, rows=rows)
    steps = []
    step = phase.step
    phase.step = lambda number, generator: steps.append(number) or step(number, generator)
    run_at_once(phase, 0)
    return network, phase, len(steps)


def overlapping(labeled, unlabeled):
    """Return the same distribution on both sides; the best prediction is the class weight."""
    generator = torch_generator(5)
    return TwoPools.of(
        torch.randn(labeled, 2, generator=generator),
        torch.randn(unlabeled, 2, generator=generator),
    )


def test_unequal_side_sizes_do_not_bias_the_probability():
    """With equal class weights for unequal sides, every point would be predicted unlabeled."""
    network, _, _ = perceptron(overlapping(100, 1000), epochs=5)
    with torch.no_grad():
        logits = network(torch.randn(500, 2, generator=torch_generator(6)))
    assert abs(float(torch.sigmoid(logits).mean()) - 0.5) < 0.1


def test_non_finite_loss_stops_the_query():
    sides = TwoPools.of(torch.full((50, 2), float("inf")), torch.zeros(200, 2))
    with pytest.raises(CheckFailedError, match=r"'perceptron' became nan in the query.*step 1;"):
        perceptron(sides)


def test_training_stops_at_98_percent_accuracy():
    separable = TwoPools.of(torch.randn(50, 2) + 20, torch.randn(200, 2) - 20)
    _, phase, steps = perceptron(separable)
    assert steps < 60 < phase.steps


def test_training_continues_on_inseparable_sides():
    _, phase, steps = perceptron(overlapping(60, 60), epochs=6)
    assert steps == phase.steps == 6


def test_steps_per_epoch_depend_on_rows_and_batch():
    phase = perceptron_phase(
        LatentDiscriminator(latent=2, hidden=4),
        DiscriminativeConfig(epochs=3, batch=100),
        lambda: overlapping(50, 401),
        rows=451,
    )
    assert phase.steps == 3 * 5


def test_at_most_ten_unlabeled_rows_per_label_are_sampled():
    sides = drawn_sides(
        torch.zeros(3, 2), torch.arange(100.0)[:, None].expand(-1, 2), torch_generator(0)
    )
    drawn = sides.features[sides.unlabeled]
    assert len(drawn) == len(drawn[:, 0].unique()) == 30
    assert len(drawn_sides(torch.zeros(3, 2), torch.zeros(7, 2), torch_generator(0)).unlabeled) == 7


def missing_darkest(count=240):
    """Return data with labels of bright and dark images, but without labels of very dark ones."""
    data = small_data(count, labeled=0)
    truth = np.arange(count) % 2
    data.pixels[::4] //= 4  # half of the dark images
    for row in range(count // 2):
        if row % 4:
            set_labels(data, row, truth[row])
    return data


def test_region_without_labels_is_asked_first(tmp_path):
    data = missing_darkest()
    config = small_config("dal", discriminative={"epochs": 200}, classifier={"steps": 60})
    ranking = trained(config, data, tmp_path).rank(data, 20, 0)
    absent = data.unlabeled_rows % 4 == 0
    base_rate = absent.mean()
    share = np.mean([pick % 4 == 0 for pick in ranking.picks])
    assert share >= 1.5 * base_rate
    assert ranking.scores[absent].mean() > ranking.scores[~absent].mean()


def test_one_sub_batch_is_the_top_of_the_scores_and_five_differ(tmp_path):
    data = missing_darkest()
    single = trained(small_config("dal", acquisition={"sub_batches": 1}), data, tmp_path / "a")
    ranking = single.rank(data, 20, 0)
    top = ranking.rows[np.argsort(-ranking.scores, kind="stable")[:20]]
    assert set(ranking.picks) == set(top.tolist())
    split = trained(small_config("dal", acquisition={"sub_batches": 5}), data, tmp_path / "b")
    picks = split.rank(data, 20, 0).picks
    assert set(picks[:4]) <= set(ranking.picks)
    assert set(picks) != set(ranking.picks)


def test_default_is_twenty_sub_batches(tmp_path):
    data = small_data()
    method = trained(small_config("dal"), data, tmp_path)
    assert method.rank(data, 22, 0).strategy == "dal, 20 parts"
    assert method.rank(data, 3, 0).strategy == "dal, 3 parts"


def test_exported_sampler_has_the_scores_of_the_query(tmp_path):
    data = small_data()
    method = trained(small_config("dal"), data, tmp_path)
    ranking = method.rank(data, 5, 0)
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        score, p_unlabeled, *_ = sampler(torch.from_numpy(data.pixels[ranking.rows]))
    assert score.numpy() == pytest.approx(ranking.scores, abs=1e-5)
    assert torch.equal(p_unlabeled, torch.sigmoid(score))
