"""The exchange formats by name."""

from importlib import import_module
from pathlib import Path
from typing import cast

from dgaal_cli.errors import UsageError
from dgaal_cli.store.exchange.base import FileFormat, FolderFormat

FORMATS = {
    "csv": "dgaal_cli.store.exchange.csv_table:CsvTable",
    "jsonl": "dgaal_cli.store.exchange.json_lines:JsonLines",
    "imagefolder": "dgaal_cli.store.exchange.image_folder:ImageFolder",
    "coco": "dgaal_cli.store.exchange.coco:Coco",
    "labelstudio": "dgaal_cli.store.exchange.label_studio:LabelStudio",
    "fiftyone": "dgaal_cli.store.exchange.fifty_one:FiftyOne",
    "hf": "dgaal_cli.store.exchange.hugging_face:HuggingFace",
    "doccano": "dgaal_cli.store.exchange.doccano:Doccano",
    "prodigy": "dgaal_cli.store.exchange.prodigy:Prodigy",
}
"""Name to ``module:class``; modules are imported on use."""

HF_METADATA = ("metadata.jsonl", "metadata.csv")
"""Files of Hugging Face's ``imagefolder``, of which a folder has one."""


def load_format(name: str, **options: str) -> FileFormat | FolderFormat:
    """Return a format by name.

    Args:
        name: A name of ``FORMATS``.
        options: Arguments of the format.

    Raises:
        UsageError: The format is unknown; the message lists all formats.
    """
    if name not in FORMATS:
        raise UsageError(f"no format is named {name}; known: {', '.join(FORMATS)}")
    module, _, attribute = FORMATS[name].partition(":")
    return cast("FileFormat | FolderFormat", getattr(import_module(module), attribute)(**options))


def guess_format(path: Path) -> str:
    """Return the format of a file or folder by its suffix or content.

    Raises:
        UsageError: Several formats are possible; ``--format`` is needed.
    """
    if path.is_dir():
        if any((path / name).is_file() for name in HF_METADATA):
            return "hf"
        return "fiftyone" if (path / "labels.json").is_file() else "imagefolder"
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return "hf" if path.name in HF_METADATA else "jsonl"
    if suffix == ".csv":
        return "hf" if path.name in HF_METADATA else "csv"
    raise UsageError(
        f"the format of {path} is not clear; give --format, one of {', '.join(FORMATS)}"
    )
