"""``init`` says which files have pages or frames after the first, which are not used."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.data.decoders.base import Target
from dgaal_cli.data.decoders.load import look_at


def pages(count: int) -> list[Image.Image]:
    random = np.random.default_rng(count)
    return [Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(count)]


def encoded(count: int, kind: str, **options) -> bytes:
    first, *rest = pages(count)
    stream = io.BytesIO()
    more = {"save_all": True, "append_images": rest} if rest else {}
    first.save(stream, kind, **more, **options)
    return stream.getvalue()


def has_pages(data: bytes) -> bool:
    return look_at(data, Target(side=32)).has_pages


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP"])
def test_files_with_several_pages_are_told_from_those_with_one(kind):
    assert has_pages(encoded(3, kind))
    assert not has_pages(encoded(1, kind))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_files_of_formats_with_one_page_have_no_further_ones(kind):
    assert not has_pages(encoded(1, kind))


@pytest.mark.filterwarnings("ignore")  # of Pillow, which does not read every BigTIFF
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("is_big", [False, True])
def test_pages_of_every_kind_of_tiff_are_found(order, is_big):
    tifffile = pytest.importorskip("tifffile")
    for count in (1, 2):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, byteorder=order, bigtiff=is_big) as writer:
            for page in pages(count):
                writer.write(np.asarray(page), contiguous=False)
        assert has_pages(stream.getvalue()) is (count == 2)


def test_preview_of_the_first_page_is_no_further_page():
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        first, preview = map(np.asarray, pages(2))
        writer.write(first)
        writer.write(preview[:4, :4], subfiletype=1)
    assert not has_pages(stream.getvalue())


def test_chain_of_pages_without_end_is_left():
    data = bytearray(encoded(1, "TIFF"))
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", data, at + 2 + 12 * count, len(data) + 100)  # behind the end
    assert not has_pages(bytes(data))
    struct.pack_into("<I", data, at + 2 + 12 * count, at)  # itself
    assert isinstance(has_pages(bytes(data)), bool)


def test_init_names_files_with_further_pages(tmp_path):
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "one.tif").write_bytes(encoded(1, "TIFF"))
    (pool / "two.tif").write_bytes(encoded(2, "TIFF"))
    run = CliRunner().invoke
    command = ("init", str(tmp_path / "w"), "--pool", str(pool), "--method", "random")
    told = run(app, command)
    assert "only the first page or frame is used of 1 files that have more, such as two.tif" in (
        told.stderr
    )
    command = ("--json", "init", str(tmp_path / "v"), "--pool", str(pool), "--method", "random")
    assert json.loads(run(app, command).stdout)["paged"] == ["two.tif"]
