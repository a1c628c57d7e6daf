"""GAAL: descent to the boundary, diversity of synthetic images, and queries of its variants."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.svm import SVC
from small_rounds import deployed, small_config, small_data, trained

from dgaal_cli.methods.gaal.dcgan import DcganDiscriminator, DcganGenerator
from dgaal_cli.methods.gaal.descent import Goal, descend
from dgaal_cli.methods.gaal.hyperplanes import Hyperplanes, labeled_images, learn_hyperplanes
from dgaal_cli.methods.gaal.pool_queries import match_in_turn
from dgaal_cli.methods.gaal.synthesis import closeness
from dgaal_cli.training.seeding import initializing, torch_generator


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained_gaal(name, tmp_path, data=None, **gaal):
    settings = {"min_steps": 60, "descent_steps": 40, "restarts": 3, "lr": 2e-3, **gaal}
    data = data or small_data(120)
    return trained(small_config(name, gaal=settings), data, tmp_path), data


class IdentityGenerator(DcganGenerator):
    """A generator whose image is z itself, so that the result of a descent is known."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.latent = 2

    def forward(self, z):
        return z[:, :, None, None]


def line_goal(known=None):
    """Return a goal whose objective is zero on the line through (0.3, 0) and (0.3, 1)."""
    return Goal(
        objective=lambda images: (images[:, 0, 0, 0] - 0.3).abs(),
        embed=lambda images: images.flatten(1),
        known=torch.zeros(0, 2) if known is None else known,
    )


def descent_config(**gaal):
    values = {"latent": 2, "descent_steps": 60, "restarts": 3, "realism": 0.0, **gaal}
    return small_config("gaal", gaal=values).gaal


def run_descent(goal, count, **gaal):
    with initializing(0, "test"):
        critic = DcganDiscriminator(channels=2, image_size=8, width=2)
    config = descent_config(**gaal)
    return descend(
        IdentityGenerator(), critic, goal, count, config=config, draws=torch_generator(4)
    )


def test_descent_reaches_the_boundary_from_any_start():
    found = run_descent(line_goal(), 20, diversity=0.0)
    assert found.images.shape == (20, 2, 1, 1)
    assert float(found.objectives.max()) < 0.02
    assert found.objectives.tolist() == pytest.approx(
        (found.images[:, 0, 0, 0] - 0.3).abs().tolist()
    )


def test_descent_returns_results_sorted_by_objective():
    found = run_descent(line_goal(), 10, diversity=0.0, descent_steps=3)
    assert found.objectives.tolist() == sorted(found.objectives.tolist())
    longer = run_descent(line_goal(), 10, diversity=0.0, descent_steps=60)
    assert float(longer.objectives.mean()) < float(found.objectives.mean())


def test_diversity_spreads_images_along_the_boundary():
    def mean_nearest_distance(found):
        points = found.images.flatten(1)
        gaps = torch.cdist(points, points) + 9 * torch.eye(len(points))
        return float(gaps.amin(1).mean())

    without_diversity = run_descent(line_goal(), 8, diversity=0.0)
    with_diversity = run_descent(line_goal(), 8, diversity=0.3)
    assert mean_nearest_distance(with_diversity) > 1.5 * mean_nearest_distance(without_diversity)


def test_diversity_avoids_labeled_points():
    known = torch.stack([torch.full((40,), 0.3), torch.linspace(-1, 0.2, 40)], dim=1)
    found = run_descent(line_goal(known), 4, diversity=0.3)
    assert float(found.images[:, 1, 0, 0].min()) > 0.2


def test_latents_stay_in_the_cube_of_the_prior():
    goal = Goal(
        objective=lambda images: -images[:, 0, 0, 0],
        embed=lambda images: images.flatten(1),
        known=torch.zeros(0, 2),
    )
    found = run_descent(goal, 3, diversity=0.0)
    assert found.images[:, 0, 0, 0].tolist() == pytest.approx([1.0] * 3)


def test_stalled_descent_restarts():
    """The objective is constant except for a narrow well that only restarts find."""
    goal = Goal(
        objective=lambda images: (
            1.0
            - (images[:, 0, 0, 0].abs() < 0.15).float() * (images[:, 1, 0, 0].abs() < 0.15).float()
            + 0.0 * images.sum((1, 2, 3))
        ),
        embed=lambda images: images.flatten(1),
        known=torch.zeros(0, 2),
    )
    settings = {"diversity": 0.0, "restarts": 1, "descent_steps": 300}
    without_restart = run_descent(goal, 10, patience=1000, **settings)
    with_restarts = run_descent(goal, 10, patience=2, **settings)
    assert float(with_restarts.objectives.sum()) < float(without_restart.objectives.sum())
    assert float(with_restarts.objectives.sum()) == 0.0


def test_realism_prefers_images_the_discriminator_rates_as_real():
    class Critic(torch.nn.Module):
        def forward(self, images):
            return 20.0 * images[:, 1, 0, 0]

    config = descent_config(diversity=0.0, realism=0.1)
    found = descend(
        IdentityGenerator(), Critic(), line_goal(), 5, config=config, draws=torch_generator(4)
    )
    assert float(found.images[:, 1, 0, 0].min()) > 0.1
    assert float(found.objectives.max()) < 0.1


def test_hyperplane_distances_are_to_the_nearest_boundary():
    planes = Hyperplanes(
        weights=torch.tensor([[-1.5, -2.0], [1.5, 2.0]]).double(),
        biases=torch.tensor([0.5, -0.5]).double(),
    )
    x = torch.tensor([[1.0, 1.0]]).double()[:, :, None, None]
    f = 3.0 + 4.0 - 1.0
    assert float(planes.gaps(x)) == pytest.approx(f)
    assert float(planes.distances(x)) == pytest.approx(f / 5.0 / np.sqrt(2))


def test_gaal_images_are_nearer_to_the_svm_boundary_than_random_ones(tmp_path):
    method, data = trained_gaal("gaal", tmp_path)
    ranking = method.rank(data, 10, 0)
    rows = data.labeled_rows
    flat = lambda pixels: pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1) / 127.5 - 1  # noqa: E731
    machine = SVC(kernel="linear", C=1.0).fit(flat(data.pixels[rows]), data.targets[rows])
    gaal_distances = np.abs(machine.decision_function(flat(ranking.synthesized.images.pixels)))
    simple, _ = trained_gaal("simple-gan", tmp_path / "simple")
    random_distances = np.abs(
        machine.decision_function(flat(simple.rank(data, 40, 0).synthesized.images.pixels))
    )
    pool_distances = np.abs(machine.decision_function(flat(data.pixels[ranking.rows])))
    assert gaal_distances.mean() < 0.5 * random_distances.mean()
    assert ranking.scores == pytest.approx(closeness(pool_distances), abs=1e-2)
    assert ranking.scores[pool_distances.argmin()] == ranking.scores.max()


def test_hyperplanes_are_fitted_on_labeled_synthetic_images_too(tmp_path):
    data = small_data()
    data.synthetic = replace(
        data.synthetic,
        item_ids=[900, 901],
        pixels=np.full((2, 8, 8, 1), 90, np.uint8),
        parents=np.array([-1, -1]),
        targets=np.array([1, 0]),
        is_labeled=np.array([True, False]),
        is_candidate=np.array([False, False]),
    )
    images, labels = labeled_images(data)
    assert len(images) == len(labels) == len(data.labeled_rows) + 1
    assert labels[-1] == 1
    plain = learn_hyperplanes(small_data(), penalty=1.0)
    assert not torch.equal(learn_hyperplanes(data, penalty=1.0).weights, plain.weights)


def test_mixed_scheme_asks_the_pool_after_five_synthetic_queries(tmp_path):
    method, data = trained_gaal("gaal-mixed", tmp_path)
    asks_pool = [
        method.rank(replace(data, number=number), 3, 0).synthesized is None for number in range(12)
    ]
    assert asks_pool == 2 * [False, False, False, False, False, True]
    picks = method.rank(replace(data, number=5), 3, 0).picks
    assert len(set(picks)) == 3


def test_svm_active_asks_the_pool_image_nearest_the_hyperplane(tmp_path):
    data = small_data()
    data.pixels[30] = 128
    method = trained(small_config("svm-active"), data, tmp_path)
    ranking = method.rank(data, 4, 0)
    planes = learn_hyperplanes(data, penalty=1.0)
    gaps = planes.pool_gaps(data.pixels[ranking.rows], data.device)
    assert ranking.picks == ranking.rows[np.argsort(gaps, kind="stable")[:4]].tolist()
    assert 30 in ranking.picks
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        scores = sampler(torch.from_numpy(data.pixels[ranking.rows]))[0].numpy()
    assert scores == pytest.approx(ranking.scores, abs=1e-4)


@pytest.mark.parametrize("objective", ["margin", "entropy"])
def test_gaal_deep_synthesizes_images_the_task_model_is_uncertain_of(objective, tmp_path):
    method, data = trained_gaal("gaal-deep", tmp_path, objective=objective, diversity=0.0)
    ranking = method.rank(data, 10, 0)
    z = torch_generator(1)
    with torch.no_grad():
        method.generator.eval()
        random_images = method.generator(2 * torch.rand(60, 8, generator=z) - 1)
        method.classifier.eval()
        p = torch.softmax(method.classifier(random_images)[0], 1)
    margins = p.topk(2, 1).values.diff(dim=1).abs().squeeze(1)
    assert objective in ranking.strategy
    max_score = 1.0 if objective == "margin" else np.log(2)
    assert ranking.synthesized.scores.mean() > 0.8 * max_score
    assert float(margins.mean()) > 0.3  # random synthetic images are not uncertain


def test_asal_asks_pool_images_nearest_to_the_synthetic_images(tmp_path):
    method, data = trained_gaal("asal", tmp_path)
    ranking = method.rank(data, 6, 0)
    assert ranking.synthesized is None
    assert len(set(ranking.picks)) == 6
    assert set(ranking.picks) <= set(data.unlabeled_rows.tolist())
    found = method.found_at_boundary(data, 6, 0)
    with torch.no_grad():
        synthetic_features = method.discriminator.eval().features(found.images).double()
        pool_features = method.discriminator.features(
            torch.from_numpy(data.pixels[ranking.rows]).permute(0, 3, 1, 2) / 127.5 - 1.0
        ).double()
    gaps = torch.cdist(synthetic_features, pool_features)
    assert ranking.picks[0] == ranking.rows[int(gaps[0].argmin())]
    assert ranking.rows[ranking.scores.argmax()] == ranking.rows[int(gaps.amin(0).argmin())]


def test_match_in_turn_returns_distinct_images():
    gaps = np.array([[3.0, 1.0, 2.0], [5.0, 0.0, 4.0], [1.0, 1.0, 1.0]])
    assert match_in_turn(gaps) == [1, 2, 0]


def test_dcgan_is_trained_once_and_carried_to_later_rounds(tmp_path):
    method, data = trained_gaal("gaal", tmp_path)
    assert method.carried == {"dcgan_generator", "dcgan_discriminator"}
    assert [p.name for p in method.learn(replace(data, number=0))] == ["dcgan", "classifier"]
    assert [p.name for p in method.learn(replace(data, number=1))] == ["classifier"]


def test_dcgan_generates_both_dark_and_bright_images(tmp_path):
    method, data = trained_gaal("simple-gan", tmp_path, min_steps=200, batch=32)
    health = method.health(data)
    assert health["drawn_spread"] > 0.3
    levels = method.rank(data, 100, 0).synthesized.images.pixels.mean((1, 2, 3))
    assert levels.std() > 25


def test_self_taught_classifies_codes_and_asks_at_random(tmp_path):
    data = small_data(120)
    config = small_config("self-taught", gaal={"min_steps": 60, "atoms": 24})
    method = trained(config, data, tmp_path)
    assert method.health(data)["reconstruction_r2"] > 0.5
    assert 0.0 < method.health(data)["active_codes"] < 1.0
    module = deployed(method, data, "classifier").eval()
    with torch.no_grad():
        _, probabilities = module(torch.from_numpy(data.test_pixels))
    assert (probabilities.argmax(1).numpy() == data.test_targets).mean() > 0.9
    assert method.rank(data, 5, 0).picks != method.rank(data, 5, 1).picks
    assert [p.name for p in method.learn(replace(data, number=1))] == ["classifier"]
