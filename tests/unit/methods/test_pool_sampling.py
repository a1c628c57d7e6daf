"""VAAL and its successors: scores, ablations, health warnings, and exact resuming."""

import copy
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import build, deployed, relabeled, runner, small_config, small_data, trained

from dgaal_cli import interruption
from dgaal_cli.errors import ConfigError, InterruptedRunError
from dgaal_cli.events import StepDone
from dgaal_cli.methods import gauges
from dgaal_cli.methods.sraal.method import uncertainty_indicator
from dgaal_cli.methods.ta_vaal import method as ta_vaal
from dgaal_cli.methods.ta_vaal.method import Ranker, RankerBesideT, ranking_loss
from dgaal_cli.methods.vaal.method import CentroidSampler
from dgaal_cli.methods.vaal_family.draws import iterations
from dgaal_cli.methods.waal.method import FeatureCritic, slope_penalty
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.classifier import predict

FAMILY = ("vaal", "vaal-released", "ta-vaal", "sraal", "waal")
REPRESENTATIONS = ("vae", "frozen-vae", "image", "none")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def phases_of(method, data):
    return [*method.learn(data), *method.adapt(data)]


def stop_after(steps):
    seen = {"steps": 0}

    def listen(event):
        if isinstance(event, StepDone):
            seen["steps"] += 1
            if seen["steps"] == steps:
                signal.raise_signal(signal.SIGINT)

    return listen


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("steps", [5, 34, 45])
def test_resumed_training_is_bit_identical(name, steps, tmp_path):
    config = small_config(name, classifier={"flip": True}, vaal={"min_steps": 12})
    data = small_data()
    uninterrupted = build(config)
    phases = phases_of(uninterrupted, data)
    runner(uninterrupted, phases, tmp_path / "whole").run(phases)

    first = build(config)
    phases = phases_of(first, data)
    total = sum(phase.steps for phase in phases)
    listener = stop_after(min(steps, total - 3))
    with interruption.listening(), pytest.raises(InterruptedRunError):
        runner(first, phases, tmp_path / "cut", emit=listener).run(phases)
    second = build(config, number=1)  # different weights: all must be restored from the saved state
    phases = phases_of(second, data)
    resumed = runner(second, phases, tmp_path / "cut")
    assert resumed.resume()
    resumed.run(phases)
    ours, theirs = module_tensors(uninterrupted.modules), module_tensors(second.modules)
    assert [key for key in ours if not torch.equal(ours[key], theirs[key])] == []


def one_sided(labeled=24):
    """Return data with labels of dark images only; the two classes do not depend on brightness."""
    data = small_data(120)
    truth = np.arange(120) % 2  # 1 is bright
    labels = np.full(120, -1, dtype=np.int64)
    dark = np.flatnonzero(truth == 0)[:labeled]
    labels[dark] = np.arange(labeled) % 2
    return relabeled(data, labels), truth == 1


SMALL_VAAL = {"min_steps": 150, "batch": 16, "settle_steps": 100}


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_every_representation_asks_images_unlike_the_labeled_ones(representation, tmp_path):
    data, is_bright = one_sided()
    config = small_config("vaal", vaal={**SMALL_VAAL, "representation": representation})
    method = trained(config, data, tmp_path)
    ranking = method.rank(data, 20, 0)
    assert is_bright[ranking.picks].all()
    assert set(ranking.picks) == set(ranking.rows[np.argsort(-ranking.scores)[:20]].tolist())
    sampler = deployed(method, data, "sampler").eval()
    with torch.no_grad():
        outputs = sampler(torch.from_numpy(data.pixels[ranking.rows]))
    assert np.allclose(outputs[0].numpy(), ranking.scores, atol=1e-5)
    assert len(outputs) == (3 if representation == "none" else 4)
    if len(outputs) == 4:
        assert torch.allclose(outputs[1], torch.sigmoid(outputs[0]))


@pytest.mark.parametrize("name", ["ta-vaal", "sraal"])
def test_successors_ask_images_unlike_the_labeled_ones(name, tmp_path):
    data, is_bright = one_sided()
    method = trained(small_config(name, vaal=SMALL_VAAL), data, tmp_path)
    assert is_bright[method.rank(data, 20, 0).picks].mean() > 0.9


def test_centroid_is_the_mean_posterior_of_labeled_images(tmp_path):
    data, _ = one_sided()
    config = small_config("vaal", vaal={**SMALL_VAAL, "representation": "none"})
    method = trained(config, data, tmp_path)
    sampler = method.sampler(data)
    assert isinstance(sampler, CentroidSampler)
    method.vae.eval()
    with torch.no_grad():
        mean, log_variance = method.vae.encode(normalize(torch.from_numpy(data.pixels)))
    labeled = data.labeled_rows
    deviation = torch.exp(log_variance / 2)
    gap = (mean - mean[labeled].mean(0)) ** 2 + (deviation - deviation[labeled].mean(0)) ** 2
    ranking = method.rank(data, 5, 0)
    assert ranking.scores == pytest.approx(gap.sum(1)[ranking.rows].numpy(), abs=1e-4)


def test_negated_discriminator_asks_the_opposite_images(tmp_path):
    data, is_bright = one_sided()
    method = trained(small_config("vaal", vaal=SMALL_VAAL), data, tmp_path)
    last = method.discriminator.body[-1]
    with torch.no_grad():
        last.weight.neg_()
        last.bias.neg_()
    assert is_bright[method.rank(data, 20, 0).picks].mean() < 0.1


def test_released_score_is_a_sigmoid_and_the_fixed_score_is_a_logit(tmp_path):
    data, _ = one_sided()
    released = trained(small_config("vaal-released"), data, tmp_path / "a").rank(data, 5, 0)
    assert released.scores.min() >= 0
    assert released.scores.max() <= 1
    method = build(small_config("vaal"))
    with torch.no_grad():
        method.discriminator.body[-1].weight.mul_(1e4)
    scores = method.rank(data, 5, 0).scores
    assert len(np.unique(scores)) == len(scores)  # a sigmoid would tie them at 0 and 1
    assert scores.max() > 20


def test_held_out_images_change_with_the_round_and_cover_the_pool():
    ids = list(range(1, 2001))
    masks = [gauges.held_out_for_gauges(ids, 0.1, number=n, labeled=100) for n in range(60)]
    assert all(160 < int(mask.sum()) < 240 for mask in masks)
    assert np.stack(masks).any(0).mean() > 0.99
    assert 5 < int((masks[0] & masks[1]).sum()) < 40
    order = np.random.default_rng(0).permutation(2000)
    permuted = gauges.held_out_for_gauges([ids[i] for i in order], 0.1, number=0, labeled=100)
    assert np.array_equal(permuted, masks[0][order])
    assert not gauges.held_out_for_gauges(ids, 0.1, number=0, labeled=49).any()


def test_discriminator_is_not_trained_on_held_out_images(tmp_path):
    data = small_data(400, labeled=120)
    method = build(small_config("vaal", vaal={"held_out": 0.3}))
    rows = method.rows_of(data)
    hidden = gauges.held_out_for_gauges(data.item_ids, 0.3, number=0, labeled=120)
    assert hidden.any()
    assert not hidden[rows.labeled].any()
    assert not hidden[rows.unlabeled].any()
    assert len(rows.labeled) + len(rows.unlabeled) + hidden.sum() == 400
    released = build(small_config("vaal-released")).rows_of(data)
    assert len(released.labeled) + len(released.unlabeled) == 400


def test_auc_error_equals_the_mann_whitney_error():
    rng = np.random.default_rng(0)
    values = [gauges.auc(rng.normal(size=40), rng.normal(size=25)) for _ in range(2000)]
    assert gauges.auc_error(40, 25) == pytest.approx(np.std(values), rel=0.05)


def test_epoch_unit_counts_the_pool_or_the_labels():
    config = small_config("vaal", vaal={"epochs": 100.0, "batch": 128, "min_steps": 0}).vaal
    assert iterations(config, pool=50_000, labeled=5_000) == 39_062  # the released code's number
    labeled = replace(config, epoch_unit="labeled")
    assert iterations(labeled, pool=50_000, labeled=5_000) == 3_906
    assert iterations(replace(config, epochs=0.0), pool=10, labeled=1) == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("representation", "gan", "representation"),
        ("epoch_unit", "batch", "epoch_unit"),
        ("batch", 0, "must be above 0"),
        ("held_out", 1.0, "below 1"),
        ("adversary_weight", -1.0, "must be between 0 and"),
        ("certainty_weight", 1.5, "between 0 and 1"),
        ("kapa", 1, "did you mean 'vaal.kappa'"),
    ],
)
def test_invalid_settings_are_refused(key, value, message):
    with pytest.raises(ConfigError, match=message):
        small_config("vaal", vaal={key: value})


def test_kappa_follows_the_decoder_variance_unless_configured():
    method = build(small_config("vaal", vaal={"decoder_variance": 0.25, "beta": 2.0}))
    assert method.rules(is_game=True).kappa == 2 * 0.25 * 2.0 / 64
    method = build(small_config("vaal", vaal={"kappa": 0.003}))
    assert method.rules(is_game=True).kappa == 0.003
    assert method.rules(is_game=False).adversary_weight == 0


def test_uncertainty_indicator_of_known_vectors():
    probabilities = np.array(
        [
            [1.0, 0.0, 0.0, 0.0],  # certain
            [0.25, 0.25, 0.25, 0.25],  # uniform: both variances are zero
            [0.7, 0.1, 0.1, 0.1],  # the rest is uniform: minimal variance
            [0.5, 0.5, 0.0, 0.0],  # two candidates
        ]
    )
    min_variance = ((0.5 - 0.25) ** 2 + 3 * (0.5 / 3 - 0.25) ** 2) / 4
    expected = [0.0, 0.75, 0.3, 1 - 0.5 * min_variance / 0.0625]
    assert uncertainty_indicator(probabilities) == pytest.approx(expected)


def test_uncertainty_of_two_classes_is_one_minus_the_maximum():
    probabilities = np.array([[0.9, 0.1], [0.35, 0.65]])
    assert uncertainty_indicator(probabilities) == pytest.approx([0.1, 0.35])


def test_sraal_targets_of_unlabeled_images_depend_on_certainty(tmp_path):
    data = small_data()
    method = trained(small_config("sraal", vaal={"certainty_weight": 1.0}), data, tmp_path)
    targets = method.targets(data).numpy()
    assert (targets[data.labeled_rows] == 1).all()
    rows = data.unlabeled_rows
    probabilities = predict(method.classifier, data.pixels[rows], data.device).probabilities
    assert targets[rows] == pytest.approx(1 - uncertainty_indicator(probabilities), abs=1e-6)
    half = build(small_config("sraal", vaal={"certainty_weight": 0.5}))
    half.classifier.load_state_dict(method.classifier.state_dict())
    assert half.targets(data).numpy()[rows] == pytest.approx(0.5 * targets[rows], abs=1e-6)


def test_ranking_loss_pairs_the_first_with_the_last():
    ranks = torch.tensor([2.0, -1.0, 9.0, 0.5, 0.0])
    losses = torch.tensor([3.0, 0.1, 7.0, 0.2, 1.0])
    first = torch.nn.functional.softplus(torch.tensor(-(2.0 - 0.0)))  # 3.0 > 1.0: correctly ranked
    second = torch.nn.functional.softplus(torch.tensor(-1.0 - 0.5))  # 0.1 < 0.2: correctly ranked
    assert ranking_loss(ranks, losses).item() == pytest.approx(((first + second) / 2).item())
    assert ranking_loss(ranks[:1], losses[:1]).item() == 0


def test_ranker_learns_which_losses_are_large(tmp_path):
    method = build(small_config("ta-vaal"))
    companion = RankerBesideT(method.ranker, lr=0.05, weight_decay=0.0, shaping_steps=0)
    images = normalize(torch.from_numpy(small_data().pixels))
    with torch.no_grad():
        stages = method.classifier.eval().stages(images)
    brightness = images.mean((1, 2, 3))
    for step in range(150):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(step))
        maps = [m[order] for m in stages.maps]
        loss = companion.loss(replace(stages, maps=maps), brightness[order], step)
        companion.optimizer.zero_grad()
        loss.backward()
        companion.optimizer.step()
    ranks = method.ranker(stages.maps).detach().numpy()
    is_bright = np.arange(60) % 2 == 1
    assert gauges.auc(ranks[is_bright], ranks[~is_bright]) > 0.95


def test_ranker_does_not_change_the_task_model_by_default(tmp_path):
    data = small_data()
    ours = trained(small_config("ta-vaal"), data, tmp_path / "a").classifier.state_dict()
    plain = trained(small_config("random"), data, tmp_path / "b").classifier.state_dict()
    assert [key for key in plain if not torch.equal(ours[key], plain[key])] == []
    published = small_config("ta-vaal", vaal={"ranking_share": 0.6})
    with_ranking_share = trained(published, data, tmp_path / "c").classifier.state_dict()
    assert any(not torch.equal(with_ranking_share[key], plain[key]) for key in plain)


def test_ranking_share_limits_the_steps_that_shape_the_task_model(monkeypatch):
    seen = []
    monkeypatch.setattr(
        ta_vaal,
        "RankerBesideT",
        lambda ranker, **options: seen.append(options) or RankerBesideT(ranker, **options),
    )
    passes = {"epochs": 30, "epoch_unit": "pool", "batch": 4}
    config = small_config("ta-vaal", vaal={"ranking_share": 0.5}, classifier=passes)
    data = small_data()
    [classifier, *_] = build(config).learn(data)
    assert classifier.steps == round(30 * len(data.pixels) / 4)
    assert seen[0]["shaping_steps"] == classifier.steps / 2


def test_ta_vaal_scores_depend_on_the_ranker(tmp_path):
    data = small_data()
    method = trained(small_config("ta-vaal"), data, tmp_path)
    before = method.rank(data, 5, 0).scores
    saved = copy.deepcopy(method.ranker.state_dict())
    with torch.no_grad():
        method.ranker.head.weight.add_(1.0)
    assert not np.array_equal(before, method.rank(data, 5, 0).scores)
    method.ranker.load_state_dict(saved)
    assert np.array_equal(before, method.rank(data, 5, 0).scores)


def test_waal_scores_equal_the_published_rule(tmp_path):
    data = small_data()
    method = trained(small_config("waal"), data, tmp_path)
    ranking = method.rank(data, 5, 0)
    prediction = predict(method.classifier, data.pixels[ranking.rows], data.device)
    log_p = np.log(prediction.probabilities)
    with torch.no_grad():
        critic = method.critic(torch.from_numpy(prediction.features)).numpy()
    norm = np.sqrt((log_p**2).sum(1))
    expected = 10 * critic - 0.5 * norm - 0.5 * np.abs(log_p).sum(1)
    assert ranking.scores == pytest.approx(expected, abs=1e-3)


def test_slope_penalty_is_zero_for_a_flat_but_not_for_a_steep_critic():
    critic = FeatureCritic(inputs=3, hidden=2)
    points = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(0.1)
    assert slope_penalty(critic, points).item() == 0
    with torch.no_grad():
        critic.body[0].weight.copy_(torch.tensor([[9.0, 0, 0], [0, 9.0, 0]]))
        critic.body[0].bias.copy_(torch.tensor([30.0, 30.0]))
        critic.body[2].weight.copy_(torch.tensor([[2.0, 2.0]]))
        critic.body[2].bias.copy_(torch.tensor([-120.0]))
    penalty = slope_penalty(critic, 0.01 * points)  # slope 18 sqrt(2) / 4 at the center
    assert penalty.item() == pytest.approx((18 * 2**0.5 / 4 - 1) ** 2, rel=0.1)
    penalty.backward()
    assert critic.body[2].weight.grad.abs().sum() > 0


def test_critic_is_higher_for_images_unlike_the_labeled_ones(tmp_path):
    data, is_bright = one_sided()
    method = trained(small_config("waal", vaal=SMALL_VAAL), data, tmp_path)
    values = method.unlabeled_score(data, np.arange(120))
    assert values[is_bright].mean() > values[data.labeled_rows].mean()


def test_ranker_accepts_stages_of_any_task_model():
    ranker = Ranker((3, 5), hidden=4)
    maps = [torch.ones(2, 3, 4, 4), torch.ones(2, 5, 1, 1)]
    assert ranker(maps).shape == (2,)


HEALTHY = {
    "active_units": 12.0,
    "latent_units": 16.0,
    "kl_per_image": 9.0,
    "reconstruction_r2": 0.6,
    "discriminator_auc": 0.8,
    "discriminator_auc_error": 0.05,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"active_units": 1.0}, "collapsed: 1 of 16 latent values"),
        ({"reconstruction_r2": 0.1}, "explains 10% of what distinguishes"),
        ({"reconstruction_r2": -3.0}, "explains 0% of"),
        ({"discriminator_auc": 0.52}, r"AUC 0.52 \+- 0.05, chance is 0.5"),
        ({"discriminator_auc": 0.2}, "in the wrong order"),
        ({"kl_per_image": float("nan")}, "kl_per_image is not a finite number"),
        ({"copies_auc": 0.9, "copies_auc_error": 0.03}, "prefers synthesized copies .*AUC 0.90"),
        ({"discriminator_auc": 0.2, "discriminator_share": 0.1}, "in the wrong order"),
    ],
)
def test_bad_health_value_causes_one_warning(changes, message):
    messages = gauges.health_warnings({**HEALTHY, **changes})
    assert len(messages) == 1
    assert re.search(message, messages[0])


def test_good_and_missing_health_values_cause_no_warning():
    assert gauges.health_warnings(HEALTHY) == []
    assert gauges.health_warnings({}) == []
    # no warning without an error estimate
    assert gauges.health_warnings({"discriminator_auc": 0.5}) == []
    uncertain = {"discriminator_auc": 0.5, "discriminator_auc_error": 0.15}
    assert gauges.health_warnings({**HEALTHY, **uncertain}) == []
    small_share = {"discriminator_auc": 0.5, "discriminator_share": 0.1}
    # most images are chosen by the boundary
    assert gauges.health_warnings({**HEALTHY, **small_share}) == []
    weak = {"copies_auc": 0.6, "copies_auc_error": 0.03}
    assert gauges.health_warnings({**HEALTHY, **weak}) == []


def test_collapsed_vae_is_detected(tmp_path):
    data = small_data(200, labeled=60)
    healthy = trained(
        small_config("vaal", vaal={**SMALL_VAAL, "adversary_weight": 0.0}), data, tmp_path
    ).health(data)
    assert healthy["active_units"] >= healthy["latent_units"] / 4
    assert healthy["kl_per_image"] > 0.5
    collapsed = trained(
        small_config("vaal", vaal={**SMALL_VAAL, "kappa": 1000.0, "adversary_weight": 0.0}),
        data,
        tmp_path / "b",
    ).health(data)
    assert collapsed["active_units"] == 0
    assert any("collapsed" in message for message in gauges.health_warnings(collapsed))
