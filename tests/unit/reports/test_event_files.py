"""TensorBoard's file format, read back by a reader of its own; the checksum by known values."""

import struct

import pytest

from dgaal_cli.events import PhaseStarted, RoundTrained, StepDone
from dgaal_cli.reports.event_files import EventFile, crc32c


def varint(data, start):
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, start


def fields(data):
    """Decode one protobuf message into (number, value) pairs."""
    found, place = [], 0
    while place < len(data):
        key, place = varint(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = varint(data, place)
        elif kind == 2:
            size, place = varint(data, place)
            value, place = data[place : place + size], place + size
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[kind]
            (value,) = struct.unpack(form, data[place : place + size])
            place += size
        found.append((number, value))
    return found


def masked(data):
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    data, place = path.read_bytes(), 0
    while place < len(data):
        header = data[place : place + 8]
        (length,) = struct.unpack("<Q", header)
        assert struct.unpack("<I", data[place + 8 : place + 12])[0] == masked(header)
        message = data[place + 12 : place + 12 + length]
        place += 12 + length
        assert struct.unpack("<I", data[place : place + 4])[0] == masked(message)
        place += 4
        yield fields(message)


def scalars(path):
    """(step, tag, value) of every scalar in the file, after its version record."""
    version, *rest = records(path)
    assert dict(version)[3] == b"brain.Event:2"
    found = []
    for event in rest:
        of = dict(event)
        for number, entry in fields(of[5]):
            assert number == 1
            value = dict(fields(entry))
            found.append((of[2], value[1].decode(), value[2]))
    return found


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksums_of_rfc_3720(data, expected):
    assert crc32c(data) == expected


def test_losses_and_metrics_are_scalars_at_their_step(tmp_path):
    with EventFile(tmp_path / "b", clock=lambda: 1234.5) as board:
        board.hear(PhaseStarted(phase="x", title="X", position=1, count=1, steps=5))
        board.hear(StepDone(phase="x", step=300, steps=5, rate=2.0, left_s=0, losses={"loss": 0.5}))
        board.hear(
            RoundTrained(
                round=1,
                labels=80,
                accuracy=0.75,
                measured_on="test images",
                seconds=3.0,
                metrics={"active_units": 9.0},
            )
        )
    (path,) = (tmp_path / "b").iterdir()
    assert path.name.startswith("events.out.tfevents.1234.")
    assert scalars(path) == [
        (300, "x/loss", 0.5),
        (300, "x/steps_per_s", 2.0),
        (80, "health/active_units", 9.0),
        (80, "round/accuracy", 0.75),
        (80, "round/seconds", 3.0),
    ]
    assert dict(next(records(path)))[1] == 1234.5


def test_a_round_without_accuracy_has_no_point(tmp_path):
    with EventFile(tmp_path) as board:
        board.hear(
            RoundTrained(round=0, labels=0, accuracy=None, measured_on="nothing", seconds=1.0)
        )
    (path,) = tmp_path.iterdir()
    assert [tag for _, tag, _ in scalars(path)] == ["round/seconds"]


def test_a_loss_that_is_not_finite_is_written_as_it_is(tmp_path):
    with EventFile(tmp_path) as board:
        board.add({"loss": float("inf")}, step=1)
    (path,) = tmp_path.iterdir()
    assert scalars(path) == [(1, "loss", float("inf"))]


def test_tensorboard_reads_it(tmp_path):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    with EventFile(tmp_path) as board:
        board.add({"a": 1.0}, step=7)
    (path,) = tmp_path.iterdir()
    events = list(loader.EventFileLoader(str(path)).Load())
    assert events[0].file_version == "brain.Event:2"
    assert events[1].step == 7
    assert events[1].summary.value[0].tag == "a"
