"""G15: parsers return a result or raise an error of dgaal for any bytes, never another error."""

import contextlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from label_workspaces import make_store
from sample_images import png

from dgaal_cli.artifacts.artifact_bytes import check_artifact
from dgaal_cli.config.load import load_config
from dgaal_cli.data.images import decode
from dgaal_cli.data.sources import open_source
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import ArtifactError, CheckpointError, DgaalError, InputDataError
from dgaal_cli.store.exchange import csv_table
from dgaal_cli.store.exchange.registry import load_format
from dgaal_cli.store.exchange.resolve import resolve
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.tasks.classification.label import ClassNames

Parse = Callable[[bytes], None]
EXAMPLES = pytest.mark.parametrize("examples", [150, pytest.param(2000, marks=pytest.mark.deep)])
FRAGMENTS = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"'", b"{", b"[", b"]", b"}", b","),
    *(b"NaN", b"1e999", b"-1", b"9" * 400, b"\\ud800", b"[" * 3000, b'{"a":' * 3000, b"../", b"\t"),
    *(b"\xc2\x9b", b"null", b"true", b'""', b"=", b"1979-05-27T07:32:00Z"),
)

CONFIG = (
    b'version = 1\nname = "a"\nseed = 3\n[pool]\nsource = "p"\nimage_size = 8\n[query]\nsize = 4\n'
)
CSV = (
    b"file_name,label,annotator,round,at\n"
    b"000001.png,cat,ann,0,2023-11-14T22:13:20Z\n000002.png,dog,,,\n"
)
JSONL = (
    b'{"file_name": "000001.png", "label": "cat", "kind": "label", "annotator": "a"}\n'
    b'{"file_name": "000002.png", "kind": "cannot_tell", "elapsed_ms": 5}\n'
)
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "000001.png"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
    }
).encode()
LABEL_STUDIO = json.dumps(
    [
        {
            "data": {"image": "000001.png"},
            "annotations": [
                {
                    "result": [
                        {
                            "type": "choices",
                            "from_name": "label",
                            "to_name": "image",
                            "value": {"choices": ["cat"]},
                        }
                    ]
                }
            ],
        }
    ]
).encode()

FIFTYONE = b'{"classes": ["cat", "dog"], "labels": {"000001": 0, "000002": 1}}'


@st.composite
def corrupted(draw: st.DrawFn, valid: bytes) -> bytes:
    """Draw a valid document with pieces replaced, inserted or removed, or arbitrary bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(valid)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        data[at:end] = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=6))
    return bytes(data)


def fuzz(parse: Parse, valid: bytes, allowed: type[DgaalError], *, examples: int, number: int):
    """Parse corrupted documents; every raised error must be of the allowed class."""
    parse(valid)

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(corrupted(valid))
    def check(data: bytes) -> None:
        with contextlib.suppress(allowed):
            parse(data)

    check()


@EXAMPLES
def test_config_parser(tmp_path: Path, request: pytest.FixtureRequest, examples: int):
    number = request.getfixturevalue("seed")
    path = tmp_path / "dgaal.toml"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        load_config(path, environment={})

    fuzz(parse, CONFIG, DgaalError, examples=examples, number=number)


DOCCANO = b"""{"id": 1, "filename": "000001.png", "label": ["cat"], "Comments": []}
{"id": 2, "filename": "000002.png", "label": []}
"""
PRODIGY = b"""{"image": "000001.png", "options": [{"id": 1, "text": "cat"}], "accept": [1],
 "answer": "accept", "_timestamp": 1.7e9}
""".replace(b"\n ", b" ")
LABELS = {
    "csv": CSV,
    "jsonl": JSONL,
    "coco": COCO,
    "labelstudio": LABEL_STUDIO,
    "doccano": DOCCANO,
    "prodigy": PRODIGY,
}


def label_parser(tmp_path: Path, store: Store, name: str) -> Parse:
    path = tmp_path / f"in.{name}"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        found = resolve(
            store,
            load_format(name).read(path),
            annotator="a",
            may_add_classes=True,
            text=ClassNames(),
        )
        store.import_labels(found.labels, new_classes=found.new_classes, is_dry_run=True)

    return parse


@EXAMPLES
@pytest.mark.parametrize("name", LABELS)
def test_label_file_parsers(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, examples: int
):
    number = request.getfixturevalue("seed")
    make_store(tmp_path / "labels.db", 4)
    with open_store(tmp_path / "labels.db") as store:
        parse = label_parser(tmp_path, store, name)
        fuzz(parse, LABELS[name], DgaalError, examples=examples, number=number)
        assert store.watermark() == 0


FILES = ("000001.png", "000002.png")


@EXAMPLES
@pytest.mark.parametrize("name", ["hf", "fiftyone"])
def test_label_folder_parsers(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, examples: int
):
    number = request.getfixturevalue("seed")
    make_store(tmp_path / "labels.db", 4)
    folder = tmp_path / "in"
    (folder / "data").mkdir(parents=True)
    for file in FILES:
        (folder / "data" / file).touch()
    path = folder / ("metadata.jsonl" if name == "hf" else "labels.json")
    with open_store(tmp_path / "labels.db") as store:

        def parse(data: bytes) -> None:
            path.write_bytes(data)
            read = load_format(name).read(folder)
            found = resolve(store, read, annotator="a", may_add_classes=True, text=ClassNames())
            store.import_labels(found.labels, new_classes=found.new_classes, is_dry_run=True)

        fuzz(
            parse, JSONL if name == "hf" else FIFTYONE, DgaalError, examples=examples, number=number
        )


def pools() -> dict[str, bytes]:
    """Return intact pools of two images, by file name."""
    npz_stream, zip_stream, tar_stream = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(npz_stream, x=np.zeros((2, 8, 8), np.uint8), y=np.array([0, 1]))
    with zipfile.ZipFile(zip_stream, "w") as archive:
        for number, file in enumerate(FILES):
            archive.writestr(file, png(number))
    with tarfile.open(fileobj=tar_stream, mode="w") as archive:
        for number, file in enumerate(FILES):
            info = tarfile.TarInfo(file)
            info.size = len(png(number))
            archive.addfile(info, io.BytesIO(png(number)))
    rows = [{"file_name": file, "label": "cat", "split": "train", "id": file} for file in FILES]
    table = "file_name,label,split,id\n" + "".join(f"{f},cat,train,{f}\n" for f in FILES)
    return {
        "pool.csv": table.encode(),
        "pool.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
        "pool.npz": npz_stream.getvalue(),
        "pool.zip": zip_stream.getvalue(),
        "pool.tar": tar_stream.getvalue(),
    }


@EXAMPLES
@pytest.mark.parametrize("name", pools())
def test_pool_readers(tmp_path: Path, request: pytest.FixtureRequest, name: str, examples: int):
    """A pool is opened, listed and read to the end, as ``init`` and ``score`` do."""
    number = request.getfixturevalue("seed")
    for index, file in enumerate(FILES):
        (tmp_path / file).write_bytes(png(index))

    def parse(data: bytes) -> None:
        (tmp_path / name).write_bytes(data)
        for entry in open_source(name, base=tmp_path).entries():
            with contextlib.suppress(UnreadableImageError):  # listed, not fatal
                decode(entry.read())

    fuzz(parse, pools()[name], DgaalError, examples=examples, number=number)


@EXAMPLES
def test_checkpoint_parser_with_matching_digests(
    tmp_path: Path, request: pytest.FixtureRequest, examples: int
):
    import hashlib

    torch = pytest.importorskip("torch")
    from dgaal_cli.training import checkpoint
    from dgaal_cli.training.checkpoint_folder import COMPLETE_NAME, STATE_NAME, TENSORS_NAME

    number = request.getfixturevalue("seed")
    checkpoint.save(tmp_path / "c", {"module.a": torch.ones(3)}, {"step": 1})
    folder = tmp_path / "c"
    for name in (
        STATE_NAME,
        TENSORS_NAME,
        COMPLETE_NAME,
    ):

        def parse(data: bytes, name: str = name) -> None:
            (folder / name).write_bytes(data)
            if name != COMPLETE_NAME:
                hashes = json.loads((folder / COMPLETE_NAME).read_bytes())
                hashes[name] = hashlib.sha256(data).hexdigest()
                (folder / COMPLETE_NAME).write_text(json.dumps(hashes))
            checkpoint.load(folder)

        valid = (folder / name).read_bytes()
        fuzz(parse, valid, CheckpointError, examples=examples, number=number)
        (folder / name).write_bytes(valid)
        parse(valid)


@EXAMPLES
@pytest.mark.parametrize("format_", ["onnx", "torchscript"])
def test_artifact_parser_with_matching_seal(
    request: pytest.FixtureRequest, format_: str, examples: int
):
    pytest.importorskip("torch")
    from sealed_artifacts import sealed
    from unsealing import unsealed

    from exporters import seal

    body = unsealed(sealed("sampler", format_), format_)

    def parse(data: bytes) -> None:
        try:
            artifact = seal.seal(data, format_)
        except seal.SealError:
            return
        check_artifact(artifact, format_=format_)

    number = request.getfixturevalue("seed")
    document = body.rindex(b'"schema"')
    rng = random.Random(number)
    parse(body)
    for _ in range(examples):
        data = bytearray(body)
        at = (
            document + rng.randrange(-200, 1200) if rng.random() < 0.7 else rng.randrange(len(body))
        )
        at = max(0, min(at, len(data) - 1))
        data[at : at + rng.randrange(6)] = rng.choice(FRAGMENTS)[:64]
        with contextlib.suppress(ArtifactError):
            parse(bytes(data))


def test_control_parser_without_validation_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    number = request.getfixturevalue("seed")
    monkeypatch.setattr(csv_table, "_check_header", lambda row, _: [cell.strip() for cell in row])
    make_store(tmp_path / "labels.db", 4)
    with open_store(tmp_path / "labels.db") as store:
        parse = label_parser(tmp_path, store, "csv")
        with pytest.raises((KeyError, StopIteration, RuntimeError)):
            fuzz(parse, CSV, InputDataError, examples=400, number=number)
