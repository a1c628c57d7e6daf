"""Compare the pool with the workspace, and take its changes into the store."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.data.grouping import group_rule
from dgaal_cli.data.known_files import KnownFiles
from dgaal_cli.data.presence import check_pool, folder_of, is_gone_from, may_exist
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.events import Emit, ignore
from dgaal_cli.ids import SampleId
from dgaal_cli.rounds.pool_comparison import Groups, PoolPlan, compare
from dgaal_cli.rounds.pool_growth import are_folders_noted, note_folders
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import PoolChange, PoolFile
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.labeling.shared_answers import SharedAnswers
    from dgaal_cli.rounds.near_duplicates import By, NearDuplicates

__all__ = ["PoolReport", "PoolUpdate"]
__all__ += ["pool_duplicates", "pool_status", "pool_update"]
__all__ += ["share_answers", "withdraw_shared_answers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """How the pool differs from the workspace."""

    plan: PoolPlan
    away: tuple[SampleId, ...]
    """Images that were not found, in folders that are empty or missing: perhaps another disk."""
    answered: frozenset[SampleId]
    """Changed images that have a label or another answer, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolUpdate:
    """What ``pool_update`` found and did."""

    report: PoolReport
    added: int
    """Images that the store did not have."""
    is_applied: bool
    """Whether the store was changed; False in a dry run, or if nothing was to change."""
    is_accepted: bool
    """Whether the new content of changed files was accepted."""


def pool_status(workspace: Workspace, config: Config, *, emit: Emit = ignore) -> PoolReport:
    """Compare the pool with the store; change nothing.

    Args:
        workspace: Workspace of the pool.
        config: Configuration of the workspace.
        emit: Listener for progress.

    Raises:
        PoolGoneError: The pool is missing, or contains no image of the workspace.
        InputDataError: The pool cannot be read.
        InterruptedRunError: A signal requested a stop.
    """
    with open_store(workspace, read_only=True) as store:
        return _report(workspace, config, store, store.pool_files(), emit)


def pool_update(
    workspace: Workspace,
    config: Config,
    *,
    is_dry_run: bool = False,
    accept: Callable[[PoolReport], bool] = lambda _: False,
    emit: Emit = ignore,
) -> PoolUpdate:
    """Take the changes of the pool into the store, in one transaction.

    New images are added, renamed ones keep their labels, and unreadable ones that can be read again
    are used again. A file with new content is a new image, if it is accepted: the labels stay with
    the old content, which is set aside under its name and a part of its digest.

    Args:
        workspace: Workspace of the pool.
        config: Configuration of the workspace.
        is_dry_run: Only say what would change.
        accept: Called with the plan before the store is changed; returns whether files with new
            content are accepted. It may raise to stop the update.
        emit: Listener for progress.

    Raises:
        BusyError: Another process updates the pool.
        PoolGoneError: The pool is missing, or contains no image of the workspace.
        InputDataError: The pool cannot be read.
        InterruptedRunError: A signal requested a stop.
    """
    with (
        workspace.lock("pool", doing="updating the pool"),
        open_store(workspace, read_only=is_dry_run) as store,
    ):
        began_ns = time.time_ns()
        files = store.pool_files()
        report = _report(workspace, config, store, files, emit)
        is_accepted = accept(report)
        change = report.plan.change(accepts_changed=is_accepted)
        if is_dry_run or change == PoolChange():
            return PoolUpdate(report=report, added=0, is_applied=False, is_accepted=is_accepted)
        added = store.change_pool(change).new
        moved = (name for name, _ in change.names)
        names = chain(_names(store, files), moved, (item.sample_id for item in change.new))
        note_folders(workspace, config, names, began_ns=began_ns)
    return PoolUpdate(report=report, added=added, is_applied=True, is_accepted=is_accepted)


def pool_duplicates(
    workspace: Workspace,
    config: Config,
    *,
    by: "By" = "auto",
    threshold: float | None = None,
    keeps_together: bool = False,
    emit: Emit = ignore,
) -> "tuple[NearDuplicates, int]":
    """Find images of the pool that show nearly the same; see ``near_duplicates``.

    Args:
        workspace: Workspace of the pool.
        config: Its configuration.
        by: What is compared: hashes of thumbnails, features, or features if there is an encoder.
        threshold: Differing bits, or cosine distance; None uses the default.
        keeps_together: Give the images of each found group a common group, so that they are held
            out together; images that have a group keep it.
        emit: Listener for progress.

    Returns:
        What was found, and the number of images that got a group.

    Raises:
        UsageError: The threshold is negative, or features are requested without an encoder.
        InputDataError: No image can be read.
        InterruptedRunError: A signal requested a stop.
    """
    from dgaal_cli.rounds.near_duplicates import keep_together, near_duplicates

    if threshold is not None and not threshold >= 0:
        raise UsageError(f"the threshold is {threshold:g}; give a number from 0 on")
    if by == "features" and config.encoder.source == "pixels":
        raise UsageError(
            "features are compared, but no encoder is configured; set encoder.source in "
            "dgaal.toml, or compare by hash"
        )
    with open_store(workspace, read_only=not keeps_together) as store:
        found = near_duplicates(workspace, config, store, by=by, threshold=threshold, emit=emit)
        return found, keep_together(store, found) if keeps_together else 0


def share_answers(
    workspace: Workspace,
    config: Config,
    *,
    by: "By" = "auto",
    threshold: float | None = None,
    emit: Emit = ignore,
) -> "SharedAnswers":
    """Give near duplicates without an answer the label of those that they resemble.

    See ``labeling.shared_answers``; the arguments are those of ``pool_duplicates``.

    Raises:
        UsageError: As ``pool_duplicates``; so for the other errors.
    """
    from dgaal_cli.labeling.shared_answers import share_answers as share

    found, _ = pool_duplicates(workspace, config, by=by, threshold=threshold, emit=emit)
    with open_store(workspace) as store:
        return share(store, found)


def withdraw_shared_answers(workspace: Workspace) -> int:
    """Withdraw all labels that near duplicates share; return their number."""
    from dgaal_cli.labeling.shared_answers import withdraw_shared

    with open_store(workspace) as store:
        return withdraw_shared(store)


def _report(
    workspace: Workspace, config: Config, store: Store, files: list[PoolFile], emit: Emit
) -> PoolReport:
    began_ns = time.time_ns()
    source = _open(workspace, config, files)
    known = KnownFiles.load(workspace.cache_path)
    plan = compare(
        source,
        files,
        dict(store.quarantined()),
        known,
        groups=Groups(known=store.groups(), of_name=group_rule(config.pool.group_by)),
        rendering=rendering_of(config.pool),
        workers=config.threads,
        emit=emit,
    )
    check_pool(workspace.root, config.pool.source, files, lambda _: plan.finds_any)
    if plan.is_empty:
        known.set_container(source.stamp())
        if not are_folders_noted(workspace, config):
            note_folders(workspace, config, _names(store, files), began_ns=began_ns)
    known.save(workspace.cache_path)
    folder = folder_of(workspace.root, config.pool.source)
    away = {
        name
        for name, item_id in plan.missing
        if folder is not None and item_id not in plan.asides and not is_gone_from(folder, name)
    }
    names = {each.item_id: each.new.sample_id for each in plan.changed}
    answered = store.verdicts(items=names)
    return PoolReport(
        plan=replace(plan, missing=tuple(m for m in plan.missing if m[0] not in away)),
        away=tuple(sorted(away)),
        answered=frozenset(names[item_id] for item_id in answered),
    )


def _names(store: Store, files: list[PoolFile]) -> Iterator[SampleId]:
    yield from (file.sample_id for file in files)
    yield from (name for name, _ in store.quarantined())


def _open(workspace: Workspace, config: Config, files: list[PoolFile]) -> Source:
    spec = config.pool.source
    check_pool(workspace.root, spec, (), lambda _: True)
    try:
        return open_source(spec, base=workspace.root)
    except InputDataError:  # an empty folder may be a disk that is not mounted
        folder = folder_of(workspace.root, spec)
        check_pool(
            workspace.root,
            spec,
            files,
            lambda file: folder is None or may_exist(folder / file.sample_id),
        )
        raise
