"""The manifest inside an artifact: written at export, read before a runtime starts.

Standard library only. The bytes given to ``read_manifest`` must have passed ``seal.check``.
"""

import io
import zipfile

from exporters import onnx_wire
from exporters.manifest import MAX_BYTES, Manifest, ManifestError, parse

KEY = "dgaal.json"
"""ONNX metadata key, and name of the TorchScript extra file."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def embed(data: bytes, manifest: Manifest, format: str) -> bytes:  # noqa: A002
    """Return the unsealed file with this manifest; an older manifest is replaced."""
    document = manifest.to_json().encode()
    if format == "onnx":
        return onnx_wire.with_metadata(data, KEY, document)
    return _repacked(data, document)


def read_manifest(data: bytes, format: str) -> Manifest:  # noqa: A002
    """Read the manifest and check that the model refers to no other file.

    Raises:
        ManifestError: The manifest is missing or has a later schema, or the model refers to other
            files.
    """
    try:
        document = _from_onnx(data) if format == "onnx" else _from_torchscript(data)
    except onnx_wire.WireError as error:
        raise ManifestError(str(error)) from error
    return parse(document)


def _from_onnx(data: bytes) -> bytes:
    documents = [value for key, value in onnx_wire.metadata(data) if key == KEY]
    if len(documents) != 1:
        raise ManifestError("it does not contain exactly one manifest")
    onnx_wire.refuse_dependencies(data)
    return documents[0]


def _from_torchscript(data: bytes) -> bytes:
    try:
        return _extra_file(data)
    except ManifestError:
        raise
    except Exception as error:  # zipfile raises almost any error on hostile bytes
        raise ManifestError("it is not a complete archive") from error


def _extra_file(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = [info for info in archive.infolist() if info.filename.endswith(f"/extra/{KEY}")]
        if len(found) != 1 or found[0].file_size > MAX_BYTES:
            raise ManifestError("it does not contain exactly one manifest")
        with archive.open(found[0]) as stream:
            return stream.read(MAX_BYTES + 1)


def _repacked(data: bytes, document: bytes) -> bytes:
    """Copy the archive without debug records, which contain source paths of the exporting host."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new,
    ):
        folder = old.namelist()[0].split("/", 1)[0]
        extra = f"{folder}/extra/{KEY}"
        new.writestr(zipfile.ZipInfo(extra, _EPOCH), document)
        for info in old.infolist():
            if info.filename != extra and not info.filename.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(info.filename, _EPOCH), old.read(info))
    return target.getvalue()
