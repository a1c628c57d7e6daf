"""Query rules on data with a known right choice, and the helpers of DGAAL's D1."""

import numpy as np
import pytest
import torch
from small_rounds import build, relabeled, set_labels, small_config, small_data, trained

from dgaal_cli.methods import gauges
from dgaal_cli.methods.base import mean_ranks, ranks, select_top
from dgaal_cli.methods.clustering import typical_points
from dgaal_cli.methods.dgaal import rule
from dgaal_cli.methods.dgaal.folds import Pools, auc, cross_scores, fold_of, held_out_auc
from dgaal_cli.methods.diversity import gradient_seeding
from dgaal_cli.methods.fresh import origins_of, set_start_weights
from dgaal_cli.methods.informativeness import boundary_closeness
from dgaal_cli.methods.inheritance import parents_of_promoted
from dgaal_cli.networks.deploy import closeness
from dgaal_cli.networks.latent_discriminator import LatentDiscriminator
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.data import SyntheticImages
from dgaal_cli.training.runner import run_phases


def with_copies(data, parents):
    """Add a copy of each parent's pixels to the candidate pool."""
    rows = np.asarray(list(parents))
    data.synthetic = SyntheticImages(
        item_ids=[len(data.pixels) + 1 + i for i in range(len(rows))],
        pixels=data.pixels[rows].copy(),
        parents=rows,
        targets=data.targets[rows],
        is_labeled=np.zeros(len(rows), bool),
        is_candidate=np.ones(len(rows), bool),
    )
    return data


def test_closeness_is_one_minus_the_margin():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [1 / 3, 1 / 3, 1 / 3]])
    assert boundary_closeness(probabilities) == pytest.approx([0.8, 0.15, 1.0])


def test_closeness_is_ordered_where_the_margin_rounds_to_one():
    logits = torch.tensor([[40.0, 0.0, 0.0], [50.0, 0.0, 0.0]])
    values = closeness(logits)
    assert values[0] > values[1] > 0


def test_exported_closeness_equals_the_ranked_closeness():
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 7))).float()
    ours = boundary_closeness(torch.softmax(logits.double(), 1).numpy())
    assert closeness(logits).numpy() == pytest.approx(ours, abs=1e-6)


def test_margin_asks_the_image_between_the_classes(tmp_path):
    data = small_data()
    pixels = data.pixels.copy()
    pixels[30] = 128  # between dark (55) and bright (200)
    data.pixels = pixels
    method = trained(small_config("margin"), data, tmp_path)
    ranking = method.rank(data, 5, 0)
    assert 30 in ranking.picks
    best = ranking.rows[ranking.scores.argmax()]
    assert ranking.picks[0] == best


def test_select_top_returns_the_highest_and_keeps_the_order_of_ties():
    rows = np.array([4, 7, 9, 12])
    assert select_top(np.array([1.0, 3.0, 3.0, 2.0]), rows, 3) == [7, 9, 12]


def test_ranks_average_ties_and_range_from_zero_to_one():
    assert mean_ranks(np.array([10.0, 20.0, 20.0])).tolist() == [1.0, 2.5, 2.5]
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]
    assert ranks(np.array([3.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("auc_value", "progress", "expected"),
    [(0.5, 0.0, 0.1), (0.9, 0.0, 0.3), (0.5, 0.5, 0.05), (0.9, 1.0, 0.0), (0.3, 0.0, 0.1)],
)
def test_discriminator_share_depends_on_auc_and_progress(auc_value, progress, expected):
    share = rule.discriminator_share(auc=auc_value, labeled=400, count=50, progress=progress)
    assert share == pytest.approx(expected)


def test_discriminator_share_is_zero_for_small_queries_or_few_labels():
    assert rule.discriminator_share(auc=1.0, labeled=400, count=9, progress=0) == 0
    assert rule.discriminator_share(auc=1.0, labeled=29, count=50, progress=0) == 0


def _choose(share, unlabeled_logits=None, *, spread=1.0, count=100):
    rng = np.random.default_rng(0)
    near = np.linspace(1.0, 0.0, count)  # row 0 is nearest to the boundary
    logits = np.zeros(count) if unlabeled_logits is None else unlabeled_logits
    probabilities = rng.dirichlet(np.ones(3), count)
    return rule.choose(
        closeness=near,
        unlabeled_logits=logits,
        probabilities=probabilities,
        features=rng.normal(size=(count, 5)),
        count=20,
        share=share,
        spread=spread,
        generator=np.random.default_rng(1),
    )


def test_query_without_discriminator_share_is_margin():
    choice = _choose(0.0)
    assert choice.by_margin == list(range(20))
    assert choice.by_discriminator == []


def test_discriminator_share_is_filled_outside_the_margin_part():
    logits = np.zeros(100)
    logits[20:60] = 10.0
    choice = _choose(0.25, logits)
    assert choice.by_margin == list(range(15))
    assert len(set(choice.by_discriminator)) == 5
    assert set(choice.by_discriminator) <= set(range(15, 65))
    assert choice.by_discriminator[0] == 20  # high unlabeled score and nearest to the boundary


def test_spread_query_starts_at_and_stays_near_the_boundary():
    choice = _choose(0.0, spread=3.0)
    assert choice.by_margin[0] == 0
    assert len(set(choice.by_margin)) == 20
    assert set(choice.by_margin) < set(range(60))
    assert set(choice.by_margin) != set(range(20))
    assert len(_choose(0.0, spread=50.0).by_margin) == 20  # more than the number of rows
    assert len(_choose(0.0, spread=1e308).by_margin) == 20
    assert sorted(_choose(0.0, spread=3.0, count=20).by_margin) == list(range(20))


def test_spread_query_contains_no_image_twice():
    logits = np.zeros(100)
    logits[10:60] = 10.0
    choice = _choose(0.25, logits, spread=2.0)
    assert len({*choice.by_margin, *choice.by_discriminator}) == 20
    assert set(choice.by_margin) < set(range(30))


def test_spread_query_contains_fewer_near_duplicates():
    """Half of the nearest images are duplicates of one image; plain margin asks all of them."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 5))
    features[:20:2] = features[0]
    probabilities = np.tile([0.4, 0.35, 0.25], (100, 1))
    common = {
        "closeness": np.linspace(1.0, 0.0, 100),
        "unlabeled_logits": np.zeros(100),
        "probabilities": probabilities,
        "features": features,
        "count": 10,
        "share": 0.0,
    }

    def duplicate_count(spread):
        choice = rule.choose(**common, spread=spread, generator=np.random.default_rng(1))
        return len(set(choice.by_margin) & set(range(0, 20, 2)))

    assert duplicate_count(1.0) == 5
    assert duplicate_count(2.0) == 1


def test_negated_discriminator_changes_the_choice():
    logits = np.zeros(100)
    logits[20:60] = 10.0
    assert _choose(0.25, logits).by_discriminator != _choose(0.25, -logits).by_discriminator


def test_gradient_seeding_equals_brute_force():
    rng = np.random.default_rng(4)
    probabilities, features = rng.dirichlet(np.ones(4), 30), rng.normal(size=(30, 6))
    residual = probabilities.copy()
    residual[np.arange(30), probabilities.argmax(1)] -= 1
    embedded = (residual[:, :, None] * features[:, None, :]).reshape(30, -1)

    draw = np.random.default_rng(9)
    picked, gap = [3], ((embedded - embedded[3]) ** 2).sum(1)
    while len(picked) < 8:
        gap[picked] = 0
        picked.append(int(draw.choice(30, p=gap / gap.sum())))
        gap = np.minimum(gap, ((embedded - embedded[picked[-1]]) ** 2).sum(1))
    ours = gradient_seeding(probabilities, features, 8, first=3, generator=np.random.default_rng(9))
    assert ours == picked


def test_gradient_seeding_picks_distinct_rows_of_equal_points():
    picked = gradient_seeding(
        np.full((6, 2), 0.5), np.ones((6, 3)), 6, first=0, generator=np.random.default_rng(0)
    )
    assert sorted(picked) == list(range(6))


def test_typical_points_picks_one_image_per_cluster():
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    points = np.repeat(centers, 25, axis=0) + rng.normal(0, 0.2, (100, 2))
    picked = typical_points(points, 4, seed=0)
    assert sorted(row // 25 for row in picked) == [0, 1, 2, 3]


def test_auc_counts_ties_as_one_half():
    assert auc(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)


def test_folds_are_even_and_split_again_each_round():
    ids = list(range(1, 3001))
    folds, later = fold_of(ids, 3, number=4), fold_of(ids, 3, number=5)
    assert np.bincount(folds).min() > 900
    assert fold_of(ids[100:], 3, number=4).tolist() == folds[100:].tolist()
    assert np.bincount(3 * folds + later).min() > 250  # 333 expected if independent


def test_folds_with_one_or_two_labels_can_be_trained():
    """With one label, the network of its fold would have no labeled image."""
    for labeled in (1, 2):
        data = small_data(40, labeled=labeled)
        method = build(small_config("dgaal-paper", coevolve={"steps": 2}))
        run_phases(method.adapt(data), seed=0, number=0, run_title="test")
        assert np.isfinite(method.votes(method.pools_of(data))).all()


def test_copies_share_their_parents_fold_and_do_not_change_the_auc():
    data = with_copies(small_data(60, labeled=20), parents=range(20))
    pools = build(small_config()).pools_of(data)
    assert pools.folds[60:].tolist() == pools.folds[:20].tolist()
    assert pools.is_drawn.tolist() == [False] * 60 + [True] * 20
    scores = pools.is_unlabeled.astype(float)  # all unlabeled images score above all labeled images
    scores[60:] = -1.0
    assert held_out_auc(scores, pools) == 1.0


def test_query_dominated_by_copies_contains_one_pool_image(monkeypatch):
    data = with_copies(small_data(60, labeled=20), parents=range(20))
    method = build(small_config("dgaal-paper"))
    votes = np.arange(80.0)  # every copy scores above every pool image
    monkeypatch.setattr(method, "votes", lambda _: votes)
    ranking = method.rank(data, 5, seed=0)
    assert ranking.picks == [int(data.unlabeled_rows[-1])]
    assert ranking.promoted == [19, 18, 17, 16]
    assert method.rank(data, 40, seed=0).picks != ranking.picks


def test_copies_of_parents_without_label_are_not_replaced():
    data = with_copies(small_data(60, labeled=20), parents=range(20))
    config = small_config("dgaal-paper")
    parents = parents_of_promoted(config, data, [3, 4, 5])
    labels = data.targets.copy()
    labels[parents[0]] = -1
    data.is_usable[parents[1]] = False
    assert parents_of_promoted(config, relabeled(data, labels), [3, 4, 5]) == parents[2:]


def test_copies_option_excludes_copies_from_d1_training():
    data = with_copies(small_data(60, labeled=20), parents=range(20))
    for is_learned in (True, False):
        config = small_config(coevolve={"steps": 2, "batch": 64, "copies": is_learned})
        method = build(config)
        phase = method.adapt(data)[0]
        run_phases([phase], seed=0, number=0, run_title="test")
        assert any(item > 60 for item in phase.last.items) == is_learned


def test_published_d1_is_carried_and_trains_on_all_labels_unlike_folds():
    """With permanent folds, only the network that chose an image would not train on its label."""
    data = small_data(60, labeled=20)
    method = build(small_config("dgaal-paper", coevolve={"steps": 2, "batch": 64}))
    phase = method.adapt(data)[0]
    run_phases([phase], seed=0, number=0, run_title="test")
    assert set(phase.last.items) >= {data.item_ids[row] for row in data.labeled_rows}
    assert phase.networks == {"discriminator_all": method.discriminator}
    assert "discriminator_all" in method.carried
    assert not {f"discriminator_{i}" for i in range(3)} & method.carried
    warm = small_config(network={"init": "warm"})
    assert {origins_of(build(warm), warm)[f"discriminator_{i}"] for i in range(3)} == {"scratch"}


def test_held_out_auc_is_unbiased_on_labels_chosen_by_d1(tmp_path):
    """Regression: after three rounds of the published query the AUC was below 0.3."""
    count = 240
    before, data = None, small_data(count, labeled=20)
    for number in range(3):
        data.number = number
        method = build(small_config("dgaal-paper", coevolve={"steps": 120}), number=number)
        if before is not None:
            set_start_weights(method, before, origins_of(method, method.config))
        run_phases(
            [*method.learn(data), *method.adapt(data)], seed=0, number=number, run_title="test"
        )
        health = method.health(data)
        before = module_tensors(method.modules)
        picks = method.rank(data, 30, number).picks
        set_labels(data, picks, np.asarray(picks) % 2)
    assert health["discriminator_auc"] > 0.5 - 3 * health["discriminator_auc_error"]
    assert health["discriminator_auc_seen"] > 0.6


def test_reconstruction_r2_of_the_mean_image_is_zero(monkeypatch):
    data = small_data(200, labeled=0)
    data.pixels[:, :4] = 20  # the images differ only in their lower half
    data.pixels = data.pixels[np.argsort(data.pixels.mean((1, 2, 3)))]  # sorted as if by class
    monkeypatch.setattr(gauges, "MAX_ROWS", 40)
    method = build(small_config())
    seen = []

    def mean_image(feature_map, noise):
        seen.append(len(feature_map))
        mean = torch.from_numpy(data.pixels.astype(np.float32).mean(0) / 127.5 - 1.0)
        return mean.permute(2, 0, 1).expand(len(feature_map), -1, -1, -1)

    monkeypatch.setattr(method.games.decoder, "forward", mean_image)
    health = method.games.health(data)
    assert sum(seen) == 40
    assert health["reconstruction_r2"] == pytest.approx(0.0, abs=0.02)


def test_cross_scores_uses_the_network_of_each_rows_fold():
    networks = [LatentDiscriminator(latent=1, hidden=4) for _ in range(2)]
    for value, network in zip((1.0, -2.0), networks, strict=True):
        for parameter in network.parameters():
            parameter.data.zero_()
        network.body[-1].bias.data.fill_(value)  # constant logit of "labeled"
    pools = Pools(
        z=torch.zeros(4, 1),
        is_labeled=np.array([True, False, True, False]),
        is_unlabeled=np.array([False, True, False, True]),
        is_drawn=np.zeros(4, bool),
        folds=np.array([0, 0, 1, 1]),
    )
    assert cross_scores(networks, pools).tolist() == [-1.0, -1.0, 2.0, 2.0]


def test_held_out_auc_is_chance_for_random_labels_and_high_for_one_half(tmp_path):
    config = small_config(coevolve={"steps": 120}, pretrain={"min_steps": 40})
    count = 240
    random_half = small_data(count, labeled=0)
    truth = np.arange(count) % 2
    chosen = np.random.default_rng(5).permutation(count)[:120]
    set_labels(random_half, chosen, truth[chosen])
    method = trained(config, random_half, tmp_path / "random")
    auc_random = method.health(random_half)["discriminator_auc"]

    bright_only = small_data(count, labeled=0)
    set_labels(bright_only, slice(1, 240, 4), 1)
    method = trained(config, bright_only, tmp_path / "half")
    auc_half = method.health(bright_only)["discriminator_auc"]
    assert abs(auc_random - 0.5) < 0.12
    # Two thirds of the unlabeled images and no labeled image are dark: the best AUC is 5/6.
    assert auc_half > 0.7


def test_held_out_auc_without_labeled_images_is_chance():
    pools = Pools(
        z=torch.zeros(3, 1),
        is_labeled=np.zeros(3, bool),
        is_unlabeled=np.ones(3, bool),
        is_drawn=np.zeros(3, bool),
        folds=np.zeros(3, np.int64),
    )
    assert held_out_auc(np.arange(3.0), pools) == 0.5
