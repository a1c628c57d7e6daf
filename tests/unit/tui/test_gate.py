"""The gate accepts an answer only after the image was visible long enough."""

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


def test_answer_before_the_first_paint_is_refused(gate, clock):
    clock.now += 10
    assert gate.judge("3", is_answer=True) is Verdict.TOO_EARLY
    assert gate.dropped == 1


def test_answer_is_accepted_after_the_visible_time(gate, clock):
    gate.paint()
    clock.now += 0.079
    assert gate.judge("3", is_answer=True) is Verdict.TOO_EARLY
    clock.now += 0.1
    assert gate.judge("4", is_answer=True) is Verdict.ACCEPTED
    assert gate.elapsed_ms() == 179


def test_second_paint_of_an_image_does_not_restart_the_wait(gate, clock):
    gate.paint()
    clock.now += 0.07
    gate.paint()
    clock.now += 0.02
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_new_image_closes_the_gate(gate, clock):
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


def test_held_key_counts_once(gate, clock):
    gate.paint()
    clock.now += 1
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED
    for _ in range(100):
        clock.now += 0.033
        assert gate.judge("3", is_answer=True) is Verdict.REPEATED
    clock.now += 0.2
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_command_is_accepted_without_image_but_not_repeated(gate, clock):
    assert gate.judge("u", is_answer=False) is Verdict.ACCEPTED
    clock.now += 0.03
    assert gate.judge("u", is_answer=False) is Verdict.REPEATED


def test_late_terminal_reply_is_not_an_answer(gate, clock):
    gate.paint()
    clock.now += 5
    gate.note_escape()
    for key in "[?62;4;22c":
        clock.now += 0.2
        assert gate.judge(key, is_answer=True) is Verdict.ESCAPED
    clock.now += 0.31
    assert gate.judge("3", is_answer=True) is Verdict.ACCEPTED


def test_same_key_may_be_held_within_the_longest_repeat_delay(gate, clock):
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


def test_patient_gate_accepts_no_held_key_as_an_answer(clock):
    gate = Gate(clock, visible_s=0.3, is_patient=True)
    gate.paint()
    clock.now += 1
    assert gate.judge("enter", is_answer=True) is Verdict.ACCEPTED
    gate.hide()
    gate.paint()
    for _ in range(20):  # held: first repetition after 0.5 s, then 30 per second
        clock.now += 0.5 if not gate.may_be_held else 0.033
        assert gate.judge("enter", is_answer=True) is Verdict.REPEATED
    clock.now += 0.5
    assert gate.judge("space", is_answer=False) is Verdict.ACCEPTED
    clock.now += 0.2
    assert gate.judge("space", is_answer=False) is Verdict.ACCEPTED  # marks are not answers


def test_unrequested_image_requires_a_longer_visible_time(gate, clock):
    gate.hide()
    gate.expect_unrequested()
    gate.paint()
    for _ in range(9):  # continued key presses do not extend the wait
        clock.now += 0.11
        assert gate.judge("3", is_answer=True) in (Verdict.UNREQUESTED, Verdict.REPEATED)
    clock.now += 0.12
    assert gate.judge("4", is_answer=True) is Verdict.ACCEPTED
    gate.hide()
    gate.paint()
    clock.now += 0.2
    # this image was requested by an answer
    assert gate.judge("5", is_answer=True) is Verdict.ACCEPTED


def test_unrecorded_event_has_no_press():
    """A new event may have the same id() as a deleted one."""
    trail = KeyTrail()
    for number in range(50):
        trail.record(object(), "a", float(number))
    assert all(trail.press_of(event) is None for event in [object() for _ in range(200)])
    recorded = object()
    trail.record(recorded, "a", 50.5)
    assert trail.press_of(recorded).gap == 1.5
    assert trail.press_of(recorded) is None
