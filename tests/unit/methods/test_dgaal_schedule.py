"""The three enhancements of ``dgaal``, each by its switch, and the published rule."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_rounds import build, give, small_config, small_data, trained

from dgaal_cli.config.schema import GenerationConfig
from dgaal_cli.ids import Row
from dgaal_cli.methods.dgaal.rule import ask_clusters
from dgaal_cli.methods.dgaal.schedule import copies_per_parent, noise_at
from dgaal_cli.training.data import SyntheticImages


def test_noise_grows_on_its_schedule_and_stays_without_it():
    grows = GenerationConfig(noise=0.05, last_noise=0.25)
    assert [noise_at(grows, t) for t in (0.0, 0.5, 1.0)] == pytest.approx([0.05, 0.15, 0.25])
    stays = GenerationConfig(noise=0.05, last_noise=0.25, is_progressive=False)
    assert noise_at(stays, 1.0) == 0.05


def test_rare_classes_get_more_copies_at_the_same_total():
    parents = np.array([0, 0, 0, 1])
    known = np.array([0] * 90 + [1] * 10)
    copies = copies_per_parent(parents, known, GenerationConfig())
    assert copies.sum() == 4
    assert copies[3] == 3
    even = copies_per_parent(parents, known, GenerationConfig(is_balanced=False))
    assert even.tolist() == [1, 1, 1, 1]


def test_equal_classes_share_evenly_and_no_parent_gets_too_much():
    even = copies_per_parent(np.array([0, 1, 2]), np.array([0, 1, 2] * 5), GenerationConfig())
    assert even.tolist() == [1, 1, 1]
    parents = np.array([0] * 20 + [1])
    known = np.array([0] * 999 + [1])
    assert copies_per_parent(parents, known, GenerationConfig()).max() == 3
    assert copies_per_parent(np.zeros(0, np.int64), known, GenerationConfig()).tolist() == []


def test_balance_looks_at_labels_and_guesses_only(tmp_path):
    """The hidden classes of the pool do not change what is drawn."""
    data = small_data()
    method = trained(small_config(), data, tmp_path)
    parents = [Row(0), Row(1), Row(2)]
    before = method.synthesize(data, parents, 1)
    data.test_targets = 1 - data.test_targets
    after = method.synthesize(data, parents, 1)
    assert before.parents == after.parents
    assert np.array_equal(before.pixels, after.pixels)


@pytest.mark.parametrize("held_out", [0, 1])
def test_balance_does_not_look_at_labels_that_are_measured_on(held_out):
    data = small_data()
    method = build(small_config(generation={"per_parent": 8}))
    data.is_held_out[4:16] = True
    counts = []
    for value in (held_out, -1):
        data.targets[4:16] = value
        data.is_usable[4:16] = value >= 0  # neither labeled nor unlabeled
        counts.append(Counter(method.synthesize(data, [Row(0), Row(1)], 1).parents))
    assert counts[0] == counts[1]


def test_later_copies_stray_further_from_their_parents(tmp_path):
    data = small_data()
    config = small_config(
        pretrain={"min_steps": 60}, generation={"last_noise": 0.9, "is_balanced": False}
    )
    method = trained(config, data, tmp_path)
    parents = [Row(i) for i in range(16)]
    plain = method.synthesize(replace(data, progress=0.0), parents, 1).pixels.astype(int)
    late = method.synthesize(replace(data, progress=1.0), parents, 1).pixels.astype(int)
    fixed = small_config(
        pretrain={"min_steps": 60},
        generation={"last_noise": 0.9, "is_balanced": False, "is_progressive": False},
    )
    same = trained(fixed, data, tmp_path / "fixed")
    unchanged = same.synthesize(replace(data, progress=1.0), parents, 1).pixels.astype(int)
    assert np.abs(late - plain).mean() > 0.5
    assert np.array_equal(unchanged, plain)


def test_without_adaptive_sampling_the_share_does_not_fall(tmp_path):
    data = replace(small_data(count=120, labeled=60), progress=1.0)
    falls = trained(small_config(), data, tmp_path / "a").rank(data, 20, 0)
    stays = trained(small_config(selection={"is_adaptive": False}), data, tmp_path / "b")
    assert "share 0%" in falls.strategy
    assert "share 0%" not in stays.rank(data, 20, 0).strategy


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


def test_the_published_rule_takes_the_least_labeled_members_of_the_candidate_pool(tmp_path):
    data = with_candidate(small_data(), small_data().pixels[0])
    method = trained(small_config("dgaal-paper"), data, tmp_path)
    ranking = method.rank(data, 10, 0)
    assert len(ranking.picks) + len(ranking.promoted) == 10
    votes = method.votes(method.pools_of(data))
    lowest = min(votes[row] for row in ranking.picks)
    others = [row for row in data.unlabeled_rows if row not in ranking.picks]
    assert all(votes[row] <= lowest for row in others)
    everything = method.rank(data, len(data.unlabeled_rows) + 1, 0)
    assert everything.promoted == [0]  # a copy is chosen like any other member, at no annotation
    assert len(everything.picks) == len(data.unlabeled_rows)


def test_first_queries_can_cover_clusters_without_labels_and_do_not_unless_asked(tmp_path):
    data = small_data(120, labeled=60)
    for cover, number, words in (
        (0, 0, "dgaal (D1 share"),
        (1, 0, "typical images of clusters (first queries)"),
        (1, 1, "dgaal (D1 share"),
    ):
        data.number = number
        method = build(small_config(selection={"cover": cover}), number=number)
        ranking = method.rank(data, 20, 0)
        assert ranking.strategy.startswith(words)
        assert len(set(ranking.picks)) == 20


def test_covering_queries_go_where_no_labels_are():
    """Labels of one class alone: typical points of all clusters would ask it again."""
    data = small_data(120, labeled=0)
    data.pixels[1::2] = np.clip(data.pixels[1::2].astype(int) + 40, 0, 255)  # two clear clusters
    give(data, slice(0, 60, 2), 0)

    def brightness(rows):
        values = data.pixels[rows].reshape(len(rows), -1).astype(np.float32)
        return torch.from_numpy(np.sort(values, axis=1)[:, ::8] if len(rows) else values[:, ::8])

    ranking = ask_clusters(data, brightness, 8, seed=0)
    assert sum(row % 2 for row in ranking.picks) >= 7
    assert set(ranking.reasons.values()) == {"typical of a cluster without labels"}
    assert not set(ranking.picks) & set(data.labeled_rows.tolist())
