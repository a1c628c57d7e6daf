"""The pool's images for a round; changed images are excluded with a warning."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

from dgaal_cli.config.schema import Config
from dgaal_cli.data.images import Pixels
from dgaal_cli.data.pool import (
    ChangedPoolError,
    Difference,
    digest_of,
    find_differences,
    has_cache,
    load_pixels,
    read_some,
)
from dgaal_cli.data.presence import check_pool, folder_of, may_exist
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, Warned
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, ItemState
from dgaal_cli.workspace import Workspace

Loaded = TypeVar("Loaded")
"""What is read of the images."""

_KINDS = ("missing", "changed", "unreadable")
_NAMED = 5
_SAMPLE_S = 2.0
"""Seconds of decoding a sample."""
_SAMPLED = 4096
"""Images of a sample: about a second of decoding if they are small."""


def sound_pixels(
    workspace: Workspace, config: Config, store: Store, emit: Emit, newest_item: int = 0
) -> tuple[list[ItemRecord], Pixels]:
    """Return the unchanged images with their pixels, row by row; see ``sound_images``."""

    def load(source: Source, items: Sequence[ItemRecord]) -> Pixels:
        return load_pixels(
            source,
            [item.sample_id for item in items],
            size=config.pool.image_size,
            channels=config.pool.channels,
            cache=workspace.cache_path,
            workers=config.threads,
            sha256=[item.sha256 for item in items],
            rendering=rendering_of(config.pool),
            emit=emit,
        )

    return sound_images(workspace, config, store, load, emit, newest_item)


def sound_images(
    workspace: Workspace,
    config: Config,
    store: Store,
    load: Callable[[Source, Sequence[ItemRecord]], Loaded],
    emit: Emit,
    newest_item: int = 0,
) -> tuple[list[ItemRecord], Loaded]:
    """Return the unchanged images and what ``load`` returns for them.

    A label belongs to the bytes that were labeled: other images are never trained on with it.
    Changed images are marked in the store, and used again when the old file is back.

    Args:
        workspace: Workspace of the pool.
        config: Configuration.
        store: Open store.
        load: Reads images; raises ``ChangedPoolError`` for changed ones, and is called again
            without them.
        emit: Listener for warnings.
        newest_item: Images with a greater number are left out; 0 takes all.

    Raises:
        PoolGoneError: The pool is missing, or contains no image; the store is unchanged.
        InputDataError: The pool has no readable image; the store is unchanged.
    """
    pool = [i for i in _pool_items(store) if not newest_item or i.item_id <= newest_item]
    _check_pool(workspace, config, pool)
    source = open_source(config.pool.source, base=workspace.root)
    not_ok = [item for item in pool if item.state != "ok"]
    back = {i.item_id for i in not_ok if digest_of(source, i.sample_id) == i.sha256}
    usable = [item for item in pool if item.state == "ok" or item.item_id in back]
    if not usable:
        raise InputDataError("the pool has no readable image; see 'dgaal status'")
    items = usable
    lost: list[Difference] = []
    while True:
        try:
            loaded = load(source, items)
            break
        except ChangedPoolError as error:
            names = {difference.id for difference in error.differences}
            items = [item for item in items if item.sample_id not in names]
            lost += error.differences
            # A disk may have been removed while it was read.
            _check_pool(workspace, config, usable, lost={difference.id for difference in lost})
    returned = [item for item in items if item.item_id in back]
    _save_states(store, pool, lost, returned)
    if lost:
        emit(Warned(message=_excluded_message(lost)))
    if returned:
        emit(Warned(message=f"restored: {_named([i.sample_id for i in returned])}"))
    return items, loaded


def sample_reading(workspace: Workspace, config: Config, store: Store, emit: Emit) -> None:
    """Decode some images of a pool of files, before all are listed, and report the progress.

    Nothing is read if there are decoded pixels of the pool, since it may not be decoded again, or
    if networks learn from features.

    Args:
        workspace: Workspace of the pool.
        config: Configuration.
        store: Open store.
        emit: Listener for progress; it stops the decoding if it raises.
    """
    if config.encoder.source != "pixels" or has_cache(workspace.cache_path):
        return
    if folder_of(workspace.root, config.pool.source) is None:
        return
    source = open_source(config.pool.source, base=workspace.root)
    total, items = store.usable(_SAMPLED)
    read_some(
        source,
        [item.sample_id for item in items],
        size=config.pool.image_size,
        channels=config.pool.channels,
        workers=config.threads,
        total=total,
        seconds=_SAMPLE_S,
        emit=emit,
        rendering=rendering_of(config.pool),
    )


def sound_items(
    workspace: Workspace,
    config: Config,
    store: Store,
    ids: Iterable[ItemId],
    *,
    count: int,
    emit: Emit,
) -> list[ItemRecord]:
    """Return the first ``count`` of some images whose bytes are unchanged; decode none.

    Changed images are marked in the store, as in ``sound_pixels``.

    Raises:
        PoolGoneError: The pool is missing, or contains no image; the store is unchanged.
    """
    rest = iter(ids)
    batch = [store.item(item_id) for item_id in islice(rest, count)]
    _check_pool(workspace, config, chain(batch, _pool_items(store)))
    source = open_source(config.pool.source, base=workspace.root)
    checked: list[ItemRecord] = []
    lost: dict[SampleId, Difference] = {}
    while batch:
        names, digests = [i.sample_id for i in batch], [i.sha256 for i in batch]
        lost |= {found.id: found for found in find_differences(source, names, digests)}
        checked += batch
        missing = count - (len(checked) - len(lost))
        batch = [store.item(item_id) for item_id in islice(rest, missing)]
    if lost:
        # A disk may have been removed while it was read.
        usable = (item for item in _pool_items(store) if item.state == "ok")
        _check_pool(workspace, config, usable, lost=lost)
        _save_states(store, checked, [*lost.values()], ())
        emit(Warned(message=_excluded_message([*lost.values()])))
    return [item for item in checked if item.sample_id not in lost]


def check_presence(workspace: Workspace, config: Config, store: Store) -> None:
    """Raise ``PoolGoneError`` if the pool is missing, or contains none of its images."""
    _check_pool(workspace, config, _pool_items(store))


def _pool_items(store: Store) -> Iterator[ItemRecord]:
    yield from (item for item in store.items() if not item.is_synthetic)


def _check_pool(
    workspace: Workspace,
    config: Config,
    known: Iterable[ItemRecord],
    *,
    lost: Container[SampleId] = (),
) -> None:
    """Raise ``PoolGoneError`` unless the pool contains a ``known`` image that is not ``lost``."""
    folder = folder_of(workspace.root, config.pool.source)
    check_pool(
        workspace.root,
        config.pool.source,
        known,
        lambda item: (
            item.sample_id not in lost and (folder is None or may_exist(folder / item.sample_id))
        ),
    )


def _save_states(
    store: Store, pool: Sequence[ItemRecord], lost: Sequence[Difference], back: Sequence[ItemRecord]
) -> None:
    ids = {item.sample_id: item.item_id for item in pool}
    states: dict[ItemId, ItemState] = {item.item_id: "ok" for item in back}
    states |= {ids[d.id]: d.kind for d in lost if d.kind != "unreadable"}
    if states:
        store.set_states(states)
    unreadable = [(d.id, d.detail) for d in lost if d.kind == "unreadable"]
    if unreadable:
        store.mark_unreadable(unreadable)


def _excluded_message(lost: Sequence[Difference]) -> str:
    names = {kind: [d.id for d in lost if d.kind == kind] for kind in _KINDS}
    parts = "; ".join(f"{kind}: {_named(own)}" for kind, own in names.items() if own)
    return (
        f"left out, because they changed since 'dgaal init': {parts}; their labels are kept "
        "and count again when the old files are back"
    )


def _named(names: Sequence[str]) -> str:
    listed = ", ".join(show(name) for name in names[:_NAMED])
    more = ", ..." if len(names) > _NAMED else ""
    return f"{len(names):,} image{'s' * (len(names) != 1)} ({listed}{more})"
