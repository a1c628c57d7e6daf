"""Fill a space of a feature cache from the entries of a source, and report damaged files."""

import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli import interruption
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.errors import BusyError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.features.cache import RefusedShard
from dgaal_cli.features.fill import FeatureEncoder, FillResult, fill
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter

_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledCache:
    """What a run did, and what the cache holds now."""

    fill: FillResult
    rows: int
    """Images with features of this space."""
    refused: tuple[RefusedShard, ...]
    """Files that were not used; damaged ones were removed."""


def fill_cache(  # noqa: PLR0913 - every option of one run
    folder: Path,
    entries: Iterable[Entry],
    encoder: FeatureEncoder,
    space: FeatureSpace,
    *,
    total: int | None = None,
    checks_all: bool = False,
    workers: int = 0,
    waits: bool = False,
    emit: Emit,
) -> FilledCache:
    """Compute the features of entries that the cache in ``folder`` does not have; see ``fill``.

    With ``checks_all`` the whole cache is compared with its digests first. With ``waits`` another
    process that fills the same space is waited for, such as that of a label session.

    Raises:
        BusyError: Another process fills the cache for the same encoder.
        StorageError: The cache cannot be written; what was saved is kept.
        InterruptedRunError: A signal stopped the run; what was encoded is kept.
    """
    writer = CacheWriter(folder, space, checks_all=checks_all)
    with _opened(writer, waits=waits, emit=emit):
        for refused in writer.refused:
            emit(Warned(message=_refusal(refused)))
        filled = fill(entries, encoder, space, writer, total=total, workers=workers, emit=emit)
        return FilledCache(fill=filled, rows=len(writer), refused=tuple(writer.refused))


@contextmanager
def _opened(writer: CacheWriter, *, waits: bool, emit: Emit) -> Generator[CacheWriter]:
    """Open a writer; with ``waits``, as soon as no other process has it open."""
    with ExitStack() as stack:
        is_told = False
        while True:
            try:
                stack.enter_context(writer)
                break
            except BusyError:
                if not waits:
                    raise
            if not is_told:
                emit(Warned(message="another process computes the features; waiting for it"))
                is_told = True
            interruption.check("stopped while waiting for the features; nothing was changed")
            time.sleep(_POLL_S)
        yield writer


def _refusal(shard: RefusedShard) -> str:
    if shard.is_foreign:
        return f"{shard.path} is not used: {shard.reason}"
    return f"{shard.path} was removed, because {shard.reason}; its images are encoded again"
