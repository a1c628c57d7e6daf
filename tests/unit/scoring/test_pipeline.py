"""Scoring entries to rows, with an engine that computes a formula."""

import threading
from functools import partial

import numpy as np
import pytest
from fake_sampler import FakeSampler, score_of
from sample_images import pixels, png

from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.errors import ArtifactError
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.pipeline import ScoredBatch, score_entries
from dgaal_cli.scoring.rows import Row


def identity(data: object) -> object:
    return data


def entry(name: str, data: object) -> Entry:
    return Entry(id=SampleId(name), path=f"/{name}", read=partial(identity, data))  # type: ignore[arg-type]


def run(
    entries: list[Entry], engine: FakeSampler, *, batch: int = 4, **options: object
) -> list[ScoredBatch]:
    stream = score_entries(entries, engine.manifest, lambda: engine, batch=batch, **options)  # type: ignore[arg-type]
    return list(stream)


def rows(entries: list[Entry], engine: FakeSampler, **options: object) -> list[Row]:
    return [row for batch in run(entries, engine, **options) for row in batch.rows]


POOL = [entry(str(number), png(number)) for number in range(10)]


def test_each_image_has_its_own_score_class_and_confidence() -> None:
    found = rows(POOL, FakeSampler(), workers=2)
    assert [row.id for row in found] == [str(number) for number in range(10)]
    for number, row in enumerate(found):
        score = score_of(pixels(number))
        assert np.float32(row.score) == score
        assert np.float32(row.p_unlabeled) == score / 2
        assert row.predicted == ("dog" if score > 0.5 else "cat")
        assert np.float32(row.confidence) == max(score, 1 - score)
        assert (row.path, row.error, row.is_unreadable) == (f"/{number}", "", False)


def test_rows_sort_by_descending_score() -> None:
    dark, light = np.full((8, 8, 3), 10, np.uint8), np.full((8, 8, 3), 250, np.uint8)
    assert (
        sorted(rows([entry("dark", dark), entry("light", light)], FakeSampler()))[0].id == "light"
    )


@pytest.mark.parametrize("batch", [1, 3, 4, 64])
@pytest.mark.parametrize("workers", [1, 3])
def test_rows_do_not_depend_on_batch_size_or_workers(batch: int, workers: int) -> None:
    engine = FakeSampler()
    assert rows(POOL, engine, batch=batch, workers=workers) == rows(POOL, FakeSampler())
    assert set(engine.batches) == {batch}


def test_unreadable_images_keep_their_position_and_change_no_score() -> None:
    pool = list(POOL)
    pool[2] = entry("2", b"text")
    found = rows(pool, FakeSampler())
    without_error = rows(POOL, FakeSampler())
    assert found[2].is_unreadable
    assert found[2].error == not_an_image().reason
    assert found[:2] + found[3:] == without_error[:2] + without_error[3:]


def test_batch_without_readable_image_does_not_run_the_engine() -> None:
    engine = FakeSampler()
    found = rows([entry(str(number), b"text") for number in range(8)], engine)
    assert all(row.is_unreadable for row in found)
    assert engine.batches == []


def test_prediction_and_confidence_are_empty_without_task_model() -> None:
    row = rows(POOL[:1], FakeSampler(classes=()))[0]
    assert (row.predicted, row.confidence) == ("", None)


def test_features_belong_to_the_readable_images() -> None:
    pool = [entry("bad", b"text"), *POOL[:2]]
    (batch,) = run(pool, FakeSampler(), with_features=True)
    expected = [[score_of(pixels(n)), -score_of(pixels(n))] for n in range(2)]
    np.testing.assert_array_equal(batch.features, expected)


def test_nan_score_raises_artifact_error() -> None:
    with pytest.raises(ArtifactError, match="the score nan for 0, which cannot be ranked"):
        rows(POOL, FakeSampler(is_broken=True))


def test_error_of_the_source_is_raised() -> None:
    def entries():
        yield from POOL
        raise RuntimeError("listing failed")

    with pytest.raises(RuntimeError, match="listing failed"):
        rows(entries(), FakeSampler())  # type: ignore[arg-type]


def test_closing_the_stream_early_ends_the_reading_thread() -> None:
    endless = (entry(str(number), pixels(number % 50)) for number in range(10**9))
    engine = FakeSampler()
    stream = score_entries(endless, engine.manifest, lambda: engine, batch=4, workers=1)
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dgaal")]


def test_decoding_is_ahead_by_a_bounded_number_of_images() -> None:
    read_numbers = []

    def entries():
        for number in range(5_000):
            read_numbers.append(number)
            yield entry(str(number), pixels(number % 50))

    engine = FakeSampler()
    stream = score_entries(entries(), engine.manifest, lambda: engine, batch=4, workers=1)
    next(stream)
    threading.Event().wait(0.3)
    assert len(read_numbers) < 200
    stream.close()
