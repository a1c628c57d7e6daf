"""The three enhancements of ``dgaal`` and their switches, and the published rule."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import build, set_labels, small_config, small_data, trained

from dgaal_cli.config.schema import GenerationConfig
from dgaal_cli.ids import Row
from dgaal_cli.methods.dgaal.rule import ask_clusters
from dgaal_cli.methods.dgaal.schedule import copies_per_parent, noise_at
from dgaal_cli.training.data import SyntheticImages


def test_noise_grows_with_progress_only_if_progressive():
    progressive = GenerationConfig(noise=0.05, last_noise=0.25)
    assert [noise_at(progressive, t) for t in (0.0, 0.5, 1.0)] == pytest.approx([0.05, 0.15, 0.25])
    constant = GenerationConfig(noise=0.05, last_noise=0.25, is_progressive=False)
    assert noise_at(constant, 1.0) == 0.05


def test_rare_classes_have_more_copies_at_the_same_total():
    parents = np.array([0, 0, 0, 1])
    known = np.array([0] * 90 + [1] * 10)
    copies = copies_per_parent(parents, known, GenerationConfig())
    assert copies.sum() == 4
    assert copies[3] == 3
    even = copies_per_parent(parents, known, GenerationConfig(is_balanced=False))
    assert even.tolist() == [1, 1, 1, 1]


def test_equal_classes_share_evenly_and_copies_per_parent_are_limited():
    even = copies_per_parent(np.array([0, 1, 2]), np.array([0, 1, 2] * 5), GenerationConfig())
    assert even.tolist() == [1, 1, 1]
    parents = np.array([0] * 20 + [1])
    known = np.array([0] * 999 + [1])
    assert copies_per_parent(parents, known, GenerationConfig()).max() == 3
    assert copies_per_parent(np.zeros(0, np.int64), known, GenerationConfig()).tolist() == []


def test_balance_depends_only_on_labels_and_predictions(tmp_path):
    """The hidden classes of the pool do not change the synthetic images."""
    data = small_data()
    method = trained(small_config(), data, tmp_path)
    parents = [Row(0), Row(1), Row(2)]
    before = method.synthesize(data, parents, 1)
    data.test_targets = 1 - data.test_targets
    after = method.synthesize(data, parents, 1)
    assert before.parents == after.parents
    assert np.array_equal(before.pixels, after.pixels)


@pytest.mark.parametrize("held_out", [0, 1])
def test_balance_does_not_depend_on_held_out_labels(held_out):
    data = small_data()
    method = build(small_config(generation={"per_parent": 8}))
    data.is_held_out[4:16] = True
    counts = []
    for value in (held_out, -1):
        data.targets[4:16] = value
        data.is_usable[4:16] = value >= 0  # neither labeled nor unlabeled
        counts.append(Counter(method.synthesize(data, [Row(0), Row(1)], 1).parents))
    assert counts[0] == counts[1]


def test_copies_of_later_rounds_differ_more_from_their_parents(tmp_path):
    data = small_data()
    config = small_config(
        pretrain={"min_steps": 60}, generation={"last_noise": 0.9, "is_balanced": False}
    )
    method = trained(config, data, tmp_path)
    parents = [Row(i) for i in range(16)]
    early = method.synthesize(replace(data, progress=0.0), parents, 1).pixels.astype(int)
    late = method.synthesize(replace(data, progress=1.0), parents, 1).pixels.astype(int)
    fixed = small_config(
        pretrain={"min_steps": 60},
        generation={"last_noise": 0.9, "is_balanced": False, "is_progressive": False},
    )
    constant_method = trained(fixed, data, tmp_path / "fixed")
    unchanged = constant_method.synthesize(replace(data, progress=1.0), parents, 1).pixels.astype(
        int
    )
    assert np.abs(late - early).mean() > 0.5
    assert np.array_equal(unchanged, early)


def test_share_does_not_fall_without_adaptive_sampling(tmp_path):
    data = replace(small_data(count=120, labeled=60), progress=1.0)
    adaptive = trained(small_config(), data, tmp_path / "a").rank(data, 20, 0)
    fixed = trained(small_config(selection={"is_adaptive": False}), data, tmp_path / "b")
    assert "share 0%" in adaptive.strategy
    assert "share 0%" not in fixed.rank(data, 20, 0).strategy


def with_candidate(data, pixels):
    """Add one copy of row 0 to the candidate pool."""
    data.synthetic = SyntheticImages(
        item_ids=[1000],
        pixels=pixels[None],
        parents=np.array([0]),
        targets=np.array([0]),
        is_labeled=np.array([False]),
        is_candidate=np.array([True]),
    )
    return data


def test_published_rule_picks_the_candidates_with_lowest_labeled_score(tmp_path):
    data = with_candidate(small_data(), small_data().pixels[0])
    method = trained(small_config("dgaal-paper"), data, tmp_path)
    ranking = method.rank(data, 10, 0)
    assert len(ranking.picks) + len(ranking.promoted) == 10
    votes = method.votes(method.pools_of(data))
    lowest = min(votes[row] for row in ranking.picks)
    others = [row for row in data.unlabeled_rows if row not in ranking.picks]
    assert all(votes[row] <= lowest for row in others)
    everything = method.rank(data, len(data.unlabeled_rows) + 1, 0)
    # a copy is chosen like any other candidate and needs no annotation
    assert everything.promoted == [0]
    assert len(everything.picks) == len(data.unlabeled_rows)


def test_first_queries_cover_clusters_only_if_configured(tmp_path):
    data = small_data(120, labeled=60)
    for cover, number, prefix in (
        (0, 0, "dgaal (D1 share"),
        (1, 0, "typical images of clusters (first queries)"),
        (1, 1, "dgaal (D1 share"),
    ):
        data.number = number
        method = build(small_config(selection={"cover": cover}), number=number)
        ranking = method.rank(data, 20, 0)
        assert ranking.strategy.startswith(prefix)
        assert len(set(ranking.picks)) == 20


def test_covering_queries_ask_clusters_without_labels():
    """With labels of one class, typical points of all clusters would include that class again."""
    data = small_data(120, labeled=0)
    data.pixels[1::2] = np.clip(data.pixels[1::2].astype(int) + 40, 0, 255)  # two clear clusters
    set_labels(data, slice(0, 60, 2), 0)

    def brightness(rows):
        values = data.pixels[rows].reshape(len(rows), -1).astype(np.float32)
        return torch.from_numpy(np.sort(values, axis=1)[:, ::8] if len(rows) else values[:, ::8])

    ranking = ask_clusters(data, brightness, 8, seed=0)
    assert sum(row % 2 for row in ranking.picks) >= 7
    assert set(ranking.reasons.values()) == {"typical of a cluster without labels"}
    assert not set(ranking.picks) & set(data.labeled_rows.tolist())
