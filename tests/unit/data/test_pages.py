"""Pages of TIFF and frames of DICOM as images, or their brightest samples."""

import io
from pathlib import Path

import numpy as np
import pytest

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.labels import export_labels
from dgaal_cli.api.pool import pool_status, pool_update
from dgaal_cli.data.decoders.base import Target
from dgaal_cli.data.decoders.load import load_picture
from dgaal_cli.data.image_reader import ImageReader
from dgaal_cli.data.page_names import file_and_page, page_name
from dgaal_cli.data.sources import open_source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.pool_growth import growth_notice
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.tasks.classification.label import class_label

tifffile = pytest.importorskip("tifffile")
STACK = np.random.default_rng(0).integers(0, 200, (3, 8, 8), dtype=np.uint8)
NAMES = ["one.tif", "stack.tif", "stack.tif#page=2", "stack.tif#page=3"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pool = tmp_path / "pool"
    pool.mkdir()
    tifffile.imwrite(pool / "one.tif", STACK[0] + 50)
    with tifffile.TiffWriter(pool / "stack.tif") as writer:
        for page in STACK:
            writer.write(page, contiguous=False)
        writer.write(STACK[0, :4, :4], subfiletype=1)  # a preview
    return tmp_path


def levels(source, name: str) -> np.ndarray:
    return np.asarray(load_picture(source.get(SampleId(name)).read(), Target()).image)


def test_each_page_is_an_image_and_the_first_keeps_the_name_of_its_file(folder):
    source = open_source("pool#pages=each", base=folder)
    assert [entry.id for entry in source.entries()] == NAMES
    for name, expected in zip(NAMES[1:], STACK, strict=True):
        assert (levels(source, name) == expected).all()
    assert len({entry.read() for entry in source.entries()}) == 4
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(SampleId("stack.tif#page=4"))
    with pytest.raises(InputDataError, match="contains no image"):
        source.get(SampleId("one.tif#page=2"))


def test_brightest_samples_of_all_pages_are_one_image(folder):
    source = open_source("pool#pages=max", base=folder)
    assert [entry.id for entry in source.entries()] == NAMES[:2]
    assert (levels(source, "stack.tif") == STACK.max(axis=0)).all()


def test_white_is_zero_makes_the_lowest_sample_the_brightest(folder):
    with tifffile.TiffWriter(folder / "pool/white.tif") as writer:
        for page in STACK:
            writer.write(page, photometric="miniswhite", contiguous=False)
    source = open_source("pool#pages=max", base=folder)
    assert (levels(source, "white.tif") == 255 - STACK.min(axis=0)).all()


def test_pages_of_different_sizes_have_no_brightest_samples(folder):
    with tifffile.TiffWriter(folder / "pool/odd.tif") as writer:
        for page in (STACK[0], STACK[1, :4]):
            writer.write(page, contiguous=False)
    source = open_source("pool#pages=max", base=folder)
    with pytest.raises(UnreadableImageError, match="different sizes"):
        levels(source, "odd.tif")


def test_frames_of_dicom_are_pages(folder):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for name, value in {
        "Rows": 8, "Columns": 8, "NumberOfFrames": 3, "SamplesPerPixel": 1, "BitsAllocated": 8,
        "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2", "PixelData": STACK.tobytes(),
    }.items():  # fmt: skip
        setattr(dataset, name, value)
    dataset.preamble = bytes(128)
    pydicom.dcmwrite(folder / "pool/scan.dcm", dataset, enforce_file_format=False)
    source = open_source("pool#pages=each", base=folder)
    names = [entry.id for entry in source.entries() if entry.id.startswith("scan")]
    assert names == ["scan.dcm", "scan.dcm#page=2", "scan.dcm#page=3"]
    for name, expected in zip(names, STACK, strict=True):
        assert (levels(source, name) == expected).all()
    whole = open_source("pool#pages=max", base=folder)
    assert (levels(whole, "scan.dcm") == STACK.max(axis=0)).all()


def test_a_deflated_dicom_file_is_not_inflated_to_count_its_frames(folder, monkeypatch):
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.NumberOfFrames = 3
    dataset.preamble = bytes(128)
    pydicom.dcmwrite(folder / "pool/scan.dcm", dataset, enforce_file_format=False)
    monkeypatch.setattr(pydicom, "dcmread", lambda *_, **__: pytest.fail("it is inflated"))
    source = open_source("pool#pages=each", base=folder)
    assert [e.id for e in source.entries() if e.id.startswith("scan")] == ["scan.dcm"]


@pytest.mark.parametrize("spec", ["pool#pages=all", "pool#pages="])
def test_unknown_rule_is_refused(folder, spec):
    with pytest.raises(InputDataError, match="is not understood"):
        open_source(spec, base=folder)


@pytest.mark.parametrize("name", ["a#page=1", "a#page=02", "#page=2", "a#page=x", "a"])
def test_other_names_are_of_files(name):
    assert file_and_page(name) == (name, 1)
    assert file_and_page(page_name(name, 7)) == (name, 7)


@pytest.fixture
def made(folder):
    request = InitRequest(
        root=folder / "w", pool="pool", base=folder, pages="each", classes=("cat",), method="random"
    )
    return init(request)


def test_workspace_of_pages_shows_and_exports_them(made, folder):
    workspace, config = made.workspace, configuration(made.workspace)
    assert (made.images, made.paged) == (4, ())
    reader = ImageReader(workspace.root, config.pool.source)
    assert (reader.read(SampleId(NAMES[2]))[:, :, 0] == STACK[1]).all()
    reader.close()
    with open_store(workspace) as store:
        uid = store.class_by_name("cat").uid
        labels = [
            ImportedLabel(sample_id=SampleId(name), label=class_label(uid), annotator="a")
            for name in NAMES
        ]
        store.import_labels(labels)
        assert growth_notice(workspace, config, store) == ""
    export_labels(workspace, config, format="imagefolder", target=folder / "out")
    names = sorted(path.name for path in (folder / "out/cat").iterdir())
    assert names == ["one.tif", "stack.tif", "stack.tif#page=2.png", "stack.tif#page=3.png"]


def test_pages_that_are_added_are_new_images(made, folder):
    workspace, config = made.workspace, configuration(made.workspace)
    assert pool_status(workspace, config).plan.is_empty
    with tifffile.TiffWriter(folder / "pool/more.tif") as writer:
        for page in STACK[:2] + 7:
            writer.write(page, contiguous=False)
    assert pool_update(workspace, config).added == 2
    assert pool_status(workspace, config).plan.is_empty


def test_file_with_the_start_of_a_page_is_decoded_like_any_other():
    from dgaal_cli.data.decoders.page_bytes import with_page

    stream = io.BytesIO()
    tifffile.imwrite(stream, STACK[0])
    nested = with_page(with_page(stream.getvalue(), 0), 0)
    with pytest.raises(UnreadableImageError):
        load_picture(nested, Target())
    with pytest.raises(UnreadableImageError):
        load_picture(with_page(stream.getvalue(), 5), Target())
    with pytest.raises(UnreadableImageError):
        load_picture(with_page(b"", 1), Target())
