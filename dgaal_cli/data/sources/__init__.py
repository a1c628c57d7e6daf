"""Sources of images; ``open_source`` opens all kinds."""

from dgaal_cli.data.sources.base import Entry, FileBytes, Source
from dgaal_cli.data.sources.registry import open_source

__all__ = ["Entry", "FileBytes", "Source", "open_source"]
