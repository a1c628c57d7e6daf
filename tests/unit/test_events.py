"""Events are encoded as lines and decoded without loss."""

import msgspec
import pytest

from dgaal_cli import events


@pytest.mark.parametrize(
    "event",
    [
        events.RoundStarted(round=1, method="dgaal", labels=4, pool=9, device="cpu"),
        events.StepDone(
            phase="p", step=1, steps=2, rate=3.5, left_s=0.25, losses={"a": 1e-9, "b": -2.0}
        ),
        events.RoundTrained(round=0, labels=3, accuracy=None, measured_on="nothing", seconds=1.0),
        events.Warned(message="tab\tand \x1b escape"),
    ],
)
def test_event_is_one_line_and_decodes_to_itself(event):
    line = events.encode(event)
    assert b"\n" not in line
    assert events.decode(line) == event


def test_decode_refuses_unknown_event():
    with pytest.raises(msgspec.DecodeError):
        events.decode('{"event": "Exploded"}')
