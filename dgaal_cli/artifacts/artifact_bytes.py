"""Read an artifact's bytes once and check them before any runtime is imported.

Engines are started from these bytes, never from a path: the checked bytes are those that run, and
no other file that the model may refer to is opened.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dgaal_cli.errors import ArtifactError
from dgaal_cli.escaping import show
from dgaal_cli.runtime.model_file import read_model
from exporters import seal
from exporters.embedded import read_manifest
from exporters.manifest import Manifest, ManifestError
from exporters.registry import SUFFIXES

_FORMATS = {suffix: format_ for format_, suffix in SUFFIXES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedArtifact:
    """Checked bytes of an exported file, with their manifest."""

    name: str
    """For messages; already escaped."""
    format: str
    """``"onnx"`` or ``"torchscript"``."""
    data: bytes = field(repr=False)
    manifest: Manifest
    sha256: bytes
    """Of the whole file; the store of the workspace records it for its own exports."""


def read_artifact(path: Path, *, role: str | None = None) -> CheckedArtifact:
    """Read a file once and check it.

    Args:
        path: An exported ``.onnx`` or ``.ts`` file.
        role: Required role; None accepts any.

    Raises:
        UsageError: The file does not exist.
        ArtifactError: The file is damaged, foreign, of a later version or of another role.
        StorageError: The file cannot be read.
    """
    name = show(str(path))
    format_ = _FORMATS.get(path.suffix.lower())
    data = read_model(
        path,
        wanted="an exported .onnx or .ts file",
        remedy="write one with 'dgaal export'",
    )
    if format_ is None:
        known = " or ".join(_FORMATS)
        raise ArtifactError(f"{name} is not an artifact of dgaal; give a {known} file")
    return check_artifact(data, format_=format_, name=name, role=role)


def check_artifact(
    data: bytes, *, format_: str, name: str = "the artifact", role: str | None = None
) -> CheckedArtifact:
    """Check bytes: seal first, then the manifest, then the role.

    Raises:
        ArtifactError: The bytes are damaged, foreign, of a later version or of another role.
    """
    try:
        seal.check(data, format_)
        manifest = read_manifest(data, format_)
    except (seal.SealError, ManifestError) as error:
        raise ArtifactError(
            f"{name} was not run: {error}; export it again with 'dgaal export'"
        ) from error
    if role is not None and manifest.role != role:
        article = "an" if manifest.role == "encoder" else "a"
        raise ArtifactError(
            f"{name} is {article} {manifest.role}, but a {role} is needed; give that file"
        )
    digest = hashlib.sha256(data).digest()
    return CheckedArtifact(name=name, format=format_, data=data, manifest=manifest, sha256=digest)
