"""Every kind of pool behind one function: ``open_source``."""

from dgaal_cli.data.sources.base import Entry, FileBytes, Source
from dgaal_cli.data.sources.registry import open_source

__all__ = ["Entry", "FileBytes", "Source", "open_source"]
