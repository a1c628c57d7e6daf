"""Synthetic images of rounds in memory: candidates, promotions and answers."""

import numpy as np

from dgaal_cli.methods.base import SyntheticBatch
from dgaal_cli.rounds.synthetic_pool import SyntheticPool
from dgaal_cli.tasks.classification.model import ClassLearning


def synthetic_batch(*levels, parents):
    pixels = np.stack([np.full((8, 8, 1), level, np.uint8) for level in levels])
    return SyntheticBatch(pixels=pixels, parents=list(parents))


def add_copies(pool, copies, labels, is_doubtful):
    pool.add(copies, labels[copies.parents], ~is_doubtful, is_inherited=True)


def images_of(pool):
    return pool.records.images(np.zeros(3, bool))


def test_copies_inherit_parent_label_and_doubtful_copies_are_dropped():
    pool = SyntheticPool.empty(8, 1, ClassLearning(3), first_id=101)
    labels = np.array([2, 0, 1])
    add_copies(
        pool, synthetic_batch(10, 20, 30, parents=[2, 0, 1]), labels, np.array([False, True, False])
    )
    images = images_of(pool)
    assert images.targets.tolist() == [1, 0]
    assert images.parents.tolist() == [2, 1]
    assert images.item_ids == [101, 102]
    assert images.is_candidate.all()
    assert not images.is_labeled.any()
    assert images.pixels[:, 0, 0, 0].tolist() == [10, 30]


def test_promoted_candidate_is_labeled_but_not_asked():
    pool = SyntheticPool.empty(8, 1, ClassLearning(3), first_id=101)
    add_copies(pool, synthetic_batch(10, 20, parents=[0, 1]), np.array([0, 1]), np.zeros(2, bool))
    pool.promote([1])
    images = images_of(pool)
    assert images.is_labeled.tolist() == [False, True]
    assert images.is_candidate.tolist() == [True, False]
    assert pool.promoted_count == 1
    assert len(pool.asked_images().targets) == 0


def test_answered_images_are_labeled_and_others_are_dropped():
    pool = SyntheticPool.empty(8, 1, ClassLearning(3), first_id=7)
    add_copies(pool, synthetic_batch(10, parents=[0]), np.array([1]), np.zeros(1, bool))
    answers, is_answered = np.array([2, 0]), np.array([False, True])
    pool.add(synthetic_batch(40, 50, parents=[-1, -1]), answers, is_answered, is_inherited=False)
    images = images_of(pool)
    assert images.targets.tolist() == [1, 0]
    assert images.is_labeled.tolist() == [False, True]
    assert pool.promoted_count == 0
    asked = pool.asked_images()
    assert asked.item_ids == [8]
    assert asked.pixels[0, 0, 0, 0] == 50


def test_images_returned_earlier_do_not_change():
    pool = SyntheticPool.empty(8, 1, ClassLearning(3), first_id=1)
    before = images_of(pool)
    add_copies(pool, synthetic_batch(10, parents=[0]), np.array([1]), np.zeros(1, bool))
    pool.promote([0])
    assert len(before.item_ids) == 0
