"""The gate: only what a person can have seen counts as answered."""

import pytest

from dgaal_cli.tui.gate import Gate, KeyTrail, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def gate(clock):
    return Gate(clock, visible_s=0.08)


def test_an_answer_before_the_first_paint_is_refused(gate, clock):
    clock.now += 10
    assert gate.judge("3", is_answer=True) is Verdict.TOO_EARLY
    assert gate.dropped == 1


def test_an_answer_counts_once_the_image_was_visible_long_enough(gate, clock):
    gate.paint()
    clock.now += 0.079
    assert gate.judge("3", is_answer=True) is Verdict.TOO_EARLY
    clock.now += 0.1
    assert gate.judge("4", is_answer=True) is Verdict.ACCEPTED
    assert gate.elapsed_ms() == 179


def test_a_later_frame_of_the_same_image_does_not_restart_the_wait(gate, clock):
    gate.paint()
    clock.now += 0.07
    gate.paint()
    clock.now += 0.02
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_a_new_image_closes_the_gate_again(gate, clock):
    gate.paint()
    clock.now += 1
    gate.hide()
    assert gate.judge("3", is_answer=True) is Verdict.TOO_EARLY
    assert gate.elapsed_ms() is None


def test_a_burst_of_ten_keys_stores_at_most_one_answer(gate, clock):
    gate.paint()
    clock.now += 1
    accepted = 0
    for key in "1234567890":
        if gate.judge(key, is_answer=True) is Verdict.ACCEPTED:
            accepted += 1
            gate.hide()
        clock.now += 0.02
        gate.paint()
    assert accepted == 1
    assert gate.dropped == 9


def test_a_held_key_counts_once_however_long_it_is_held(gate, clock):
    gate.paint()
    clock.now += 1
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED
    for _ in range(100):
        clock.now += 0.033
        assert gate.judge("3", is_answer=True) is Verdict.REPEATED
    clock.now += 0.2
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_commands_pass_while_no_image_is_there_but_do_not_repeat(gate, clock):
    assert gate.judge("u", is_answer=False) is Verdict.ACCEPTED
    clock.now += 0.03
    assert gate.judge("u", is_answer=False) is Verdict.REPEATED


def test_a_terminals_late_reply_is_no_answer(gate, clock):
    gate.paint()
    clock.now += 5
    gate.note_escape()
    for key in "[?62;4;22c":
        clock.now += 0.2
        assert gate.judge(key, is_answer=True) is Verdict.ESCAPED
    clock.now += 0.31
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_the_same_key_again_may_be_held_until_a_keyboards_longest_delay_is_over(gate, clock):
    gate.paint()
    clock.now += 1
    gate.judge("3", is_answer=True)
    assert not gate.may_be_held
    clock.now += 0.5
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED
    assert gate.may_be_held
    clock.now += 0.09
    assert gate.judge("3", is_answer=True) is Verdict.REPEATED
    clock.now += 0.5
    gate.judge("4", is_answer=True)
    assert not gate.may_be_held
    clock.now += 0.9
    gate.judge("4", is_answer=True)
    assert not gate.may_be_held


def test_a_patient_gate_takes_no_held_key_for_an_answer(clock):
    gate = Gate(clock, visible_s=0.3, is_patient=True)
    gate.paint()
    clock.now += 1
    assert gate.judge("enter", is_answer=True) is Verdict.ACCEPTED
    gate.hide()
    gate.paint()
    for _ in range(20):  # held: a first repetition after half a second, then thirty a second
        clock.now += 0.5 if not gate.may_be_held else 0.033
        assert gate.judge("enter", is_answer=True) is Verdict.REPEATED
    clock.now += 0.5
    assert gate.judge("space", is_answer=False) is Verdict.ACCEPTED
    clock.now += 0.2
    assert gate.judge("space", is_answer=False) is Verdict.ACCEPTED  # marks are no answers


def test_an_image_that_came_by_itself_has_to_be_looked_at_for_longer(gate, clock):
    gate.hide()
    gate.expect_unrequested()
    gate.paint()
    for _ in range(9):  # a finger that goes on does not hold the gate
        clock.now += 0.11
        assert gate.judge("3", is_answer=True) in (Verdict.UNREQUESTED, Verdict.REPEATED)
    clock.now += 0.12
    assert gate.judge("4", is_answer=True) is Verdict.ACCEPTED
    gate.hide()
    gate.paint()
    clock.now += 0.2
    assert gate.judge("5", is_answer=True) is Verdict.ACCEPTED  # the next one came by an answer


def test_an_event_that_nobody_heard_has_no_press_whatever_was_heard_before():
    """An object that is gone leaves its number to the next one, which is another event."""
    trail = KeyTrail()
    for number in range(50):
        trail.record(object(), "a", float(number))
    assert all(trail.press_of(event) is None for event in [object() for _ in range(200)])
    heard = object()
    trail.record(heard, "a", 50.5)
    assert trail.press_of(heard).gap == 1.5
    assert trail.press_of(heard) is None
