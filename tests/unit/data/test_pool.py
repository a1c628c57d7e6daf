"""Reading a pool: survey and cached pixels."""

import os
import signal
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from sample_images import encoded, pixels, png

from dgaal_cli import interruption
from dgaal_cli.data.decoders.registry import not_an_image
from dgaal_cli.data.images import resize
from dgaal_cli.data.pool import ChangedPoolError, digest_of, load_pixels, survey
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import InputDataError, InterruptedRunError
from dgaal_cli.ids import SampleId


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    folder = tmp_path / "pool"
    folder.mkdir()
    for number in range(80):
        (folder / f"{number:03d}.png").write_bytes(png(number))
    return folder


def source(folder: Path) -> Source:
    return open_source(str(folder), base=Path("/"))


def test_survey_lists_images_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    data = encoded(pixels(1, height=30, width=20))
    (tmp_path / "cat/a.png").write_bytes(data)
    (tmp_path / "b.png").write_bytes(encoded(pixels(2, height=40, width=50, channels=1)))
    (tmp_path / "c.png").write_bytes(encoded(pixels(2, height=70, width=60)))
    (tmp_path / "d.png").write_bytes(b"text")
    found = survey(source(tmp_path), workers=1)
    assert [item.id for item in found.items] == ["b.png", "c.png", "cat/a.png"]
    item = found.items[2]
    assert (item.sha256, item.size_bytes) == (sha256(data).digest(), len(data))
    assert (item.width, item.height, item.label, item.split) == (20, 30, "cat", "")
    assert found.unreadable == (("d.png", not_an_image().reason),)
    assert found.median_side == 40
    assert found.is_color


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_gray_pixels_in_color_files_do_not_count_as_color(tmp_path: Path, kind: str) -> None:
    y, x = np.mgrid[0:64, 0:64]
    gray = np.repeat(((x + y) * 2).astype(np.uint8)[:, :, None], 3, axis=2)
    (tmp_path / "a").write_bytes(encoded(gray, kind))
    assert not survey(source(tmp_path), workers=1).is_color
    gray[20:40, 20:40] = (200, 30, 30)
    (tmp_path / "b").write_bytes(encoded(gray, kind))
    assert survey(source(tmp_path), workers=1).is_color


def test_pool_without_readable_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputDataError, match=r"none of the 1 files .* is a readable image"):
        survey(source(tmp_path), workers=1)


def test_survey_stops_at_a_signal(pool: Path) -> None:
    with interruption.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(InterruptedRunError, match="nothing was changed"):
            survey(source(pool), workers=1)


@pytest.mark.parametrize("count", [3, 80])
@pytest.mark.parametrize("is_cached", [False, True])
def test_load_pixels_keeps_the_order_of_the_ids(pool: Path, count: int, is_cached: bool) -> None:
    numbers = [(number * 37) % 80 for number in range(count)]
    ids = [SampleId(f"{number:03d}.png") for number in numbers]
    cache = pool.parent / "cache" if is_cached else None
    found = load_pixels(source(pool), ids, size=4, channels=1, cache=cache, workers=2)
    expected = [resize(pixels(number), size=4, channels=1) for number in numbers]
    np.testing.assert_array_equal(found, np.stack(expected))


def test_pixel_cache_is_used_until_a_file_changes(pool: Path) -> None:
    cache = pool.parent / "cache"
    ids = [SampleId(f"{number:03d}.png") for number in range(80)]

    def load() -> np.ndarray:
        return load_pixels(source(pool), ids, size=8, channels=3, cache=cache, workers=1)

    first = load()
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    (written,) = cache.iterdir()
    before = written.stat().st_mtime_ns
    load()
    assert written.stat().st_mtime_ns == before
    (pool / "007.png").write_bytes(encoded(pixels(200, height=9, width=9)))
    changed = load()
    np.testing.assert_array_equal(
        changed[7], resize(pixels(200, height=9, width=9), size=8, channels=3)
    )
    np.testing.assert_array_equal(changed[8], pixels(8))


def test_damaged_cache_is_rewritten(pool: Path) -> None:
    cache = pool.parent / "cache"
    ids = [SampleId("001.png"), SampleId("002.png")]
    load_pixels(source(pool), ids, size=8, channels=3, cache=cache, workers=1)
    (written,) = cache.iterdir()
    written.write_bytes(written.read_bytes()[:200])
    found = load_pixels(source(pool), ids, size=8, channels=3, cache=cache, workers=1)
    np.testing.assert_array_equal(found, np.stack([pixels(1), pixels(2)]))


def test_old_caches_are_deleted(pool: Path) -> None:
    cache = pool.parent / "cache"
    for size in range(4, 14):
        load_pixels(
            source(pool), [SampleId("001.png")], size=size, channels=1, cache=cache, workers=1
        )
    assert len(list(cache.iterdir())) == 6


@pytest.mark.parametrize("count", [3, 80])
def test_error_names_missing_or_damaged_sample(pool: Path, count: int) -> None:
    ids = [SampleId(f"{number:03d}.png") for number in range(count)]
    (pool / "001.png").write_bytes(b"text")
    with pytest.raises(InputDataError, match=r"001\.png is no longer readable"):
        load_pixels(source(pool), ids, size=8, channels=3, cache=pool.parent / "c", workers=1)
    assert not list((pool.parent / "c").iterdir())
    (pool / "001.png").unlink()
    with pytest.raises(InputDataError, match=r"contains no image 001\.png"):
        load_pixels(source(pool), ids, size=8, channels=3, workers=1)


def test_load_pixels_without_ids_returns_empty_array(pool: Path) -> None:
    assert load_pixels(source(pool), [], size=8, channels=3, cache=pool).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("is_cached", [False, True])
def test_error_lists_every_changed_image(pool: Path, is_cached: bool) -> None:
    ids = [SampleId(f"{number:03d}.png") for number in range(80)]
    digests = [sha256(png(number)).digest() for number in range(80)]
    cache = pool.parent / "cache" if is_cached else None

    def load() -> np.ndarray:
        return load_pixels(
            source(pool), ids, size=8, channels=3, cache=cache, workers=1, sha256=digests
        )

    np.testing.assert_array_equal(load()[7], pixels(7))
    (pool / "007.png").write_bytes(png(200))
    (pool / "070.png").write_bytes(b"text")
    with pytest.raises(ChangedPoolError, match=r"007\.png has changed") as caught:
        load()
    assert [(d.id, d.kind) for d in caught.value.differences] == [
        ("007.png", "changed"),
        ("070.png", "unreadable"),
    ]
    (pool / "003.png").unlink()
    (pool / "004.png").unlink()
    with pytest.raises(ChangedPoolError, match=r"contains no image 003\.png") as caught:
        load()
    assert [(d.id, d.kind) for d in caught.value.differences] == [
        ("003.png", "missing"),
        ("004.png", "missing"),
    ]


def test_cached_pixels_without_digests_are_not_trusted(pool: Path) -> None:
    name, cache = SampleId("001.png"), pool.parent / "cache"
    load_pixels(source(pool), [name], size=8, channels=3, cache=cache, workers=1)
    with pytest.raises(ChangedPoolError):
        load_pixels(
            source(pool), [name], size=8, channels=3, cache=cache, workers=1, sha256=[bytes(32)]
        )


def test_digest_of_equals_the_digest_of_the_survey(pool: Path) -> None:
    assert digest_of(source(pool), SampleId("001.png")) == sha256(png(1)).digest()
    assert digest_of(source(pool), SampleId("gone.png")) is None
    np.savez(pool / "a.npz", x=np.stack([pixels(number) for number in range(3)]))
    arrays = source(pool / "a.npz")
    items = survey(arrays, workers=1).items
    assert [digest_of(arrays, item.id) for item in items] == [item.sha256 for item in items]
