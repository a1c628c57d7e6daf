"""One range of samples for a pool: chosen at ``init``, used wherever its images are decoded."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_sampler import FakeSampler, score_of
from PIL import Image
from raw_images import png as raw_png
from sample_images import encoded, png

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.config.schema import Config, PoolConfig
from dgaal_cli.data.decode_stream import image_digest
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.image_reader import ImageReader
from dgaal_cli.data.pool import load_pixels, survey
from dgaal_cli.data.sample_range import (
    SampleSpread,
    choose_range,
    parse_range,
    rendering_of,
)
from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import UsageError
from dgaal_cli.events import ignore
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.pool_rows import pool_rows
from dgaal_cli.scoring.pipeline import score_entries
from dgaal_cli.store.records import ItemRecord
from dgaal_cli.workspace import Workspace


def deep(number: int, *, top: int = 4095, side: int = 12) -> np.ndarray:
    """Return uint16 samples up to ``top``."""
    samples = np.random.default_rng(number).integers(0, top + 1, (side, side), np.uint16)
    samples[0, 0] = top
    return samples


def deep_png(number: int, **options: int) -> bytes:
    return encoded(Image.fromarray(deep(number, **options)))


def float_tiff(samples: np.ndarray) -> bytes:
    return encoded(Image.fromarray(samples.astype(np.float32)), "TIFF")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def twelve_bits(folder: Path) -> Path:
    return write(folder, {f"{number}.png": deep_png(number) for number in range(4)})


def expected_levels(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    share = np.clip((samples.astype(np.float64) - low) / (high - low), 0, 1)
    return np.floor(share * 255 + 0.5).astype(np.uint8)


def made(tmp_path: Path, pool: Path, **options: str) -> tuple[Workspace, str]:
    request = InitRequest(
        root=tmp_path / "work", pool=str(pool), base=tmp_path, method="random", **options
    )
    result = init(request)
    return result.workspace, result.range_note


def test_init_proposes_the_bits_that_12_bit_images_use(tmp_path: Path) -> None:
    workspace, note = made(tmp_path, twelve_bits(tmp_path / "pool"))
    assert configuration(workspace).pool.range == (0, 4095)
    assert "4 images of more than 8 bits have samples from" in note
    assert "to 4095" in note
    assert "pool.range = [0, 4095]" in note
    assert "range = [0, 4095]" in workspace.config_path.read_text()


def test_labeling_and_training_show_the_same_levels(tmp_path: Path) -> None:
    pool = twelve_bits(tmp_path / "pool")
    workspace, _ = made(tmp_path, pool)
    config = configuration(workspace)
    rendering = rendering_of(config.pool)
    source = open_source(config.pool.source, base=workspace.root)
    ids = [entry.id for entry in source.entries()]
    trained = load_pixels(source, ids, size=12, channels=1, rendering=rendering)
    reader = ImageReader(workspace.root, config.pool.source, rendering)
    for number, name in enumerate(ids):
        expected = expected_levels(deep(number), 0, 4095)
        np.testing.assert_array_equal(trained[number, :, :, 0], expected)
        np.testing.assert_array_equal(reader.read(name)[:, :, 0], expected)
    reader.close()


def test_scoring_uses_the_range_of_the_artifact(tmp_path: Path) -> None:
    import dataclasses

    source = open_source(str(twelve_bits(tmp_path / "pool")), base=tmp_path)
    engine = FakeSampler()
    manifest = dataclasses.replace(engine.manifest, sample_range=(0.0, 4095.0), schema=2)
    found = [
        row.score
        for part in score_entries(source.entries(), manifest, lambda: engine, batch=4, workers=1)
        for row in part.rows
    ]
    eight_bit = [
        Image.fromarray(expected_levels(deep(number), 0, 4095)).resize(
            (8, 8), Image.Resampling.BILINEAR
        )
        for number in range(4)
    ]
    expected = [score_of(np.asarray(one.convert("RGB"))) for one in eight_bit]
    np.testing.assert_allclose(found, expected)
    assert min(found) > 0.4  # without the range nearly black


def test_a_changed_range_is_not_served_from_the_pixel_cache(tmp_path: Path) -> None:
    source = open_source(str(twelve_bits(tmp_path / "pool")), base=tmp_path)
    ids = [SampleId("0.png")]
    for value_range in (None, (0.0, 4095.0), (0.0, 1023.0)):
        found = load_pixels(
            source,
            ids,
            size=12,
            channels=1,
            cache=tmp_path / "cache",
            rendering=Rendering(value_range),
        )
        expected = expected_levels(deep(0), *value_range) if value_range else deep(0) >> 8
        np.testing.assert_array_equal(found[0, :, :, 0], expected)


def thumbnails(tmp_path: Path, pool: str, value_range: tuple[float, float] | None) -> np.ndarray:
    """Return the features of a pool's images that ``tmp_path`` caches."""
    config = Config(threads=1, pool=PoolConfig(source=pool, range=value_range or (), channels=1))
    source = open_source(pool, base=tmp_path)
    items = [
        ItemRecord(
            item_id=ItemId(number),
            sample_id=entry.id,
            sha256=image_digest(entry.read()),
            is_synthetic=False,
            parent=None,
            round=None,
            inherited=None,
            state="ok",
        )
        for number, entry in enumerate(source.entries(), start=1)
    ]
    return np.array(pool_rows(Workspace(tmp_path), config, items, emit=ignore)[1][:])


@pytest.mark.slow
def test_features_of_another_range_or_page_rule_are_not_used_again(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    twelve_bits(tmp_path / "pool")
    tifffile.imwrite(tmp_path / "pool" / "stack.tif", np.stack([deep(8), deep(9)]))
    low, high = (0.0, 1023.0), (0.0, 4095.0)
    settings = [("pool", None), ("pool", high), ("pool", low), ("pool#pages=max", low)]
    found = [thumbnails(tmp_path, *each) for each in settings]
    for number, each in enumerate(settings):
        fresh = tmp_path / f"fresh{number}"
        shutil.copytree(tmp_path / "pool", fresh / "pool")
        np.testing.assert_array_equal(found[number], thumbnails(fresh, *each))
    stacks = {rows[-1].tobytes() for rows in found}
    assert len(stacks) == len(settings)


def test_8_bit_images_beside_deep_ones_stay_as_they_are(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool", {"a.png": png(1), "b.png": deep_png(1)})
    source = open_source(str(pool), base=tmp_path)
    rendering = Rendering((0, 4095))
    found = load_pixels(source, [SampleId("a.png")], size=8, channels=3, rendering=rendering)
    with Image.open(io.BytesIO(png(1))) as image:
        np.testing.assert_array_equal(found[0], np.asarray(image))


@pytest.mark.parametrize("top", [20_000, 65_535])
def test_images_that_use_their_bits_get_no_range(tmp_path: Path, top: int) -> None:
    pool = write(tmp_path / "pool", {"a.png": deep_png(1, top=top), "b.png": png(1)})
    workspace, note = made(tmp_path, pool)
    assert configuration(workspace).pool.range == ()
    assert note == ""
    assert "range" not in workspace.config_path.read_text()


def test_full_keeps_the_brightness_of_the_files(tmp_path: Path) -> None:
    workspace, note = made(tmp_path, twelve_bits(tmp_path / "pool"), sample_range="full")
    assert configuration(workspace).pool.range == ()
    assert note == ""


def test_floating_point_images_become_readable_with_the_range_of_the_pool(tmp_path: Path) -> None:
    files = {f"{n}.tif": float_tiff(deep(n) / 10 - 100) for n in range(3)}
    pool = write(tmp_path / "pool", files | {"8-bit.png": png(3)})
    workspace, note = made(tmp_path, pool)
    low, high = configuration(workspace).pool.range
    values = [deep(n) / np.float32(10) - 100 for n in range(3)]
    assert low == pytest.approx(min(map(np.min, values)), abs=0.01)
    assert high == pytest.approx(max(map(np.max, values)), abs=0.01)
    assert low <= min(map(np.min, values))
    assert high >= max(map(np.max, values))
    assert "3 have no defined brightness" in note


def test_floating_point_images_are_unreadable_with_full(tmp_path: Path) -> None:
    files = {"a.tif": float_tiff(deep(1)), "b.png": png(1)}
    source = open_source(str(write(tmp_path / "pool", files)), base=tmp_path)
    found = survey(source, workers=1, range_request=parse_range("full"))
    assert [item.id for item in found.items] == ["b.png"]
    assert found.unreadable[0][0] == "a.tif"
    assert "set pool.range" in found.unreadable[0][1]


def test_percentiles_leave_outliers_out(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for number in range(3):
        samples = deep(number, side=40)
        samples[5, 5] = 65_535  # a defect of the sensor
        files[f"{number}.png"] = encoded(Image.fromarray(samples))
    pool = write(tmp_path / "pool", files)
    workspace, _ = made(tmp_path, pool, sample_range="1%,99%")
    low, high = configuration(workspace).pool.range
    assert 0 < low < 100
    assert 3_900 < high < 4_096


def test_dark_colors_are_found_in_deep_images(tmp_path: Path) -> None:
    color = np.stack([deep(1), deep(2), deep(3)], axis=2)
    gray = np.repeat(deep(1)[:, :, None], 3, axis=2)
    for samples, is_color in ((color, True), (gray, False)):
        folder = write(tmp_path / str(is_color), {"a.png": raw_png(samples, depth=16, color=2)})
        found = survey(open_source(str(folder), base=tmp_path), workers=1)
        assert found.is_color is is_color
        assert found.range.range == (0, 4095)


def test_images_without_any_data_have_no_range(tmp_path: Path) -> None:
    blank = encoded(Image.fromarray(np.full((4, 4), 9, np.uint16)), transparency=9)
    folder = write(tmp_path / "pool", {"a.png": blank})
    assert survey(open_source(str(folder), base=tmp_path), workers=1).range.range is None


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (0, 1023, (0, 1023)),
        (12, 1024, (0, 2047)),
        (0, 16_383, (0, 16_383)),
        (-5, 100, (-5, 100)),
        (7, 7, (0, 7)),
        (0, 0, (0, 1)),
        (-3, -3, (-3, -2)),
    ],
)
def test_proposed_range_holds_all_samples(
    lowest: float, highest: float, expected: tuple[float, float]
) -> None:
    spread = SampleSpread(lowest=lowest, highest=highest, full=65_535, is_undefined=lowest < 0)
    found = choose_range(parse_range("auto"), [spread]).range
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "0", "5,5", "9,1", "a,b", "0,nan", "0,inf", "1%,2", "-1%,5%", "1%,101%", "0,1,2"]
)
def test_text_that_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a range"):
        parse_range(text)


def test_fixed_range_is_taken_as_given(tmp_path: Path) -> None:
    workspace, note = made(tmp_path, twelve_bits(tmp_path / "pool"), sample_range="-10.5,2000")
    assert configuration(workspace).pool.range == (-10.5, 2000)
    assert note == ""


def test_control_a_reader_without_the_range_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    original = ImageReader.__init__
    monkeypatch.setattr(
        ImageReader, "__init__", lambda self, root, spec, rendering: original(self, root, spec)
    )
    with pytest.raises(AssertionError):
        test_labeling_and_training_show_the_same_levels(tmp_path)


def test_pool_update_reads_new_images_with_the_range_of_the_pool(tmp_path: Path) -> None:
    from dgaal_cli.data.known_files import KnownFiles
    from dgaal_cli.rounds.pool_comparison import compare

    pool = write(tmp_path / "pool", {"a.tif": float_tiff(deep(1))})
    source = open_source(str(pool), base=tmp_path)
    for value_range, count in ((None, 0), ((0.0, 4095.0), 1)):
        plan = compare(source, [], {}, KnownFiles(), rendering=Rendering(value_range), workers=1)
        assert len(plan.new) == count
