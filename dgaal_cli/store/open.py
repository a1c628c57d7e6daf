"""Open a store by its URL; the scheme selects the kind of store."""

import re
from importlib import import_module
from pathlib import Path
from typing import cast

from dgaal_cli.config.toml_file import read_text_key
from dgaal_cli.errors import UsageError
from dgaal_cli.store.instants import Clock, system_clock
from dgaal_cli.store.protocol import LEASE_S, Store, StoreLocation
from dgaal_cli.workspace import Workspace

KINDS = {"sqlite": "dgaal_cli.store.sqlite.location:SqliteLocation"}
"""Scheme of the URL to ``module:class``, imported on use. The class takes the rest of the URL and
the folder that a relative path is relative to."""

_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*):")


def store_location(url: str | Path | Workspace) -> StoreLocation:
    """Return the location of a store without opening it.

    Args:
        url: ``sqlite:PATH``, a path, or a workspace: its ``dgaal.toml`` names the store.

    Raises:
        UsageError: The kind of store is unknown.
        ConfigError: ``dgaal.toml`` is not valid TOML.
    """
    base = Path()
    if isinstance(url, Workspace):
        base, url = (
            url.root,
            (read_text_key(url.config_path, "store", example="sqlite:PATH") or url.store_path),
        )
    scheme = _SCHEME.match(url) if isinstance(url, str) else None
    kind = scheme[1].lower() if scheme else "sqlite"
    if kind not in KINDS:
        raise UsageError(f"no kind of store is named {kind}; use {' or '.join(KINDS)}:PATH")
    module, _, attribute = KINDS[kind].partition(":")
    place = url[scheme.end() :] if scheme and isinstance(url, str) else str(url)
    return cast("StoreLocation", getattr(import_module(module), attribute)(place, base))


def open_store(
    url: str | Path | Workspace,
    *,
    clock: Clock = system_clock,
    read_only: bool = False,
    lease_s: float = LEASE_S,
    accepts_network_folder: bool = False,
    checks_all: bool = False,
) -> Store:
    """Open an existing store; see ``StoreLocation.open``."""
    return store_location(url).open(
        clock=clock,
        read_only=read_only,
        lease_s=lease_s,
        accepts_network_folder=accepts_network_folder,
        checks_all=checks_all,
    )
