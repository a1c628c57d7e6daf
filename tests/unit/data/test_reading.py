"""Progress of reading a pool."""

import time

import numpy as np
import pytest
from PIL import Image

from dgaal_cli.data import reading
from dgaal_cli.data.pool import survey
from dgaal_cli.data.sources import open_source


@pytest.fixture
def pool(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(140):
        image = Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8))
        image.save(tmp_path / f"{number:03d}.png")
    (tmp_path / "damaged.png").write_bytes(b"not an image")
    return tmp_path


def test_survey_reports_images_done_and_left(pool, monkeypatch):
    monkeypatch.setattr(reading, "INTERVAL_S", 0.0)
    events = []

    def emit(event):
        events.append(event)
        time.sleep(0.02)  # the files are counted meanwhile

    survey(open_source(str(pool), base=pool), workers=1, emit=emit)
    assert [event.done for event in events] == [64, 128, 141]
    assert (events[-1].total, events[-1].unreadable) == (141, 1)
    assert events[-1].rate > 0


def test_reports_are_rare(pool):
    events = []
    survey(open_source(str(pool), base=pool), workers=1, emit=events.append)
    assert len(events) <= 2


def test_rate_leaves_out_the_start(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(reading.time, "perf_counter", lambda: now[0])
    events = []
    progress = reading.Reading(events.append, lambda: 1000)
    for seconds in (30.0, 1.0, 1.0):  # decoders need half a minute to start
        now[0] += seconds
        progress.add(50)
    assert [event.rate for event in events] == [0.0, 50.0, 50.0]
