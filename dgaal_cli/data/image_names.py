"""Which names in a pool may be images, without NumPy."""

NO_IMAGES = frozenset(
    f".{suffix}"
    for suffix in (
        *("txt", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "cls"),
        *("md", "rst", "html", "ini", "db", "log", "py"),
        *("npz", "parquet", "onnx", "ts"),
    )
)
"""Files that are common next to images, including dgaal's; other files are checked by content."""

_SERVER_FOLDERS = frozenset({"@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "__MACOSX"})
"""Folders in which file servers and systems keep thumbnails, metadata and deleted files."""


def may_be_image(name: str) -> bool:
    """Return whether a file may be an image; False only for the suffixes in ``NO_IMAGES``."""
    stem, dot, suffix = name.rpartition(".")
    return not (stem and dot and f".{suffix.lower()}" in NO_IMAGES)


def is_by_server(name: str) -> bool:
    """Return whether a file lies in a folder that a file server or a system made."""
    return not _SERVER_FOLDERS.isdisjoint(name.split("/")[:-1])
