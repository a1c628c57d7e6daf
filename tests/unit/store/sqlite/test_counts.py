"""Counts that are updated by the newest events equal counts of the whole store."""

import random

import pytest
from random_histories import History

from dgaal_cli.store.sqlite import projection


def update_often(store, clock, *, steps: int) -> None:
    history = History(store, clock, random.Random(0))
    for _ in range(6):
        history.add_images()
    history.ask()
    known = store.counts()
    most = 0
    changes = (*[history.answer] * 6, history.undo, history.redo, history.give_labels)
    for step in range(steps):
        if step % 10 == 9:
            history.add_synthetic()
            history.promote()
            history.ask()
            known = store.counts()
        for _ in range(history.random.randrange(3)):
            clock.wait(1)
            history.random.choice(changes)()
        known = store.counts(known=known)
        assert known == store.counts()
        most = max(most, known.annotations)
    assert most > 3


def test_updated_counts_equal_new_ones(store, clock):
    update_often(store, clock, steps=50)


def test_control_update_that_ignores_older_answers_is_caught(store, clock, monkeypatch):
    states = projection.states

    def without_older(connection, numbers, *, newest=2**62):
        return states(connection, "[]" if newest < 2**62 else numbers)

    monkeypatch.setattr(projection, "states", without_older)
    with pytest.raises(AssertionError):
        update_often(store, clock, steps=50)
