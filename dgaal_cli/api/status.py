"""The status of a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dgaal_cli.config.schema import Config
from dgaal_cli.data.presence import PoolGoneError, check_pool, folder_of, may_exist
from dgaal_cli.errors import WorkspaceError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.methods.registry import has_feature_rule
from dgaal_cli.rounds.accepted_predictions import (
    AcceptedPredictions,
    count_standing,
    read_accepted,
)
from dgaal_cli.rounds.audit_estimate import PoolEstimate, pool_estimate
from dgaal_cli.rounds.goals import parse_goal
from dgaal_cli.rounds.model_record import ModelRecord, newest_model_record
from dgaal_cli.rounds.outlook import Outlook, outlook
from dgaal_cli.rounds.pool_growth import growth_notice
from dgaal_cli.rounds.resume_state import class_changes
from dgaal_cli.rounds.state import RoundState, round_metrics, round_state
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ClassRecord, Counts, ItemState
from dgaal_cli.workspace import Workspace

_LOOKED_FOR = 20
"""Number of images whose files are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything ``dgaal status`` shows."""

    name: str
    method: str
    counts: Counts
    classes: tuple[ClassRecord, ...]
    state: RoundState
    curve: tuple[dict[str, Any], ...]
    """Metrics of every trained round."""
    budget: int
    unreadable: tuple[tuple[SampleId, str], ...]
    left_out: tuple[tuple[SampleId, ItemState], ...]
    """Images whose file is missing or changed; their labels are kept for the old content."""
    estimate: PoolEstimate | None
    """Accuracy of the model on the pool, from audited images; None without any."""
    model: ModelRecord | None
    """The newest task model on features; None without one."""
    groups: int
    """Groups of images that are known, such as patients."""
    grouped: int
    """Images that have such a group; each of the others is a group of its own."""
    accepted: AcceptedPredictions | None
    """Predictions that a person accepted for the rest of the pool; None without any."""
    accepted_standing: int
    """Those of ``accepted`` whose images nobody answered; they are no labels."""
    accepted_problem: str
    """That the file of the accepted predictions is damaged; empty otherwise."""
    outlook: Outlook | None
    """How far the goals are and what more labels bring; None without an audited image."""
    artifacts: tuple[str, ...]
    not_backed_up: int
    """Events in no backup although a backup was due; 0 if the backups are up to date."""
    pool_problem: str
    """That the pool is missing, or none of some known images is in it; empty otherwise."""
    growth: str
    """That new files lie in the pool, as far as a short look shows it; empty otherwise."""
    hindrance: str
    """Why an interrupted training cannot resume; empty if it can, or if there is none."""
    next_step: str
    """The command to type next, without ``dgaal``."""


def status(workspace: Workspace, config: Config, *, until: str | None = None) -> Status:
    """Read the status of a workspace; changes nothing.

    Args:
        workspace: Workspace to read.
        config: Configuration of the workspace.
        until: A goal to judge instead of those of ``[goal]``, as ``goals.parse_goal`` reads it.

    Raises:
        UsageError: ``until`` is no goal.
    """
    location = store_location(workspace)
    accepted, accepted_problem = _accepted(workspace)
    with location.open(read_only=True) as store:
        state = round_state(workspace, store)
        counts = store.counts()
        classes = tuple(store.classes())
        unreadable = tuple(store.quarantined())
        left_out = tuple(store.replaced())
        goal = None if until is None else parse_goal(until, store)
        estimate = pool_estimate(workspace, config, store)
        ahead = estimate and outlook(workspace, config, store, estimate, goal)
        standing = 0 if accepted is None else count_standing(store, accepted)
        groups = store.groups()
        events = store.watermark()
        pool_problem = _pool_problem(workspace, config, store, counts.items)
        growth = "" if pool_problem else growth_notice(workspace, config, store)
        asks_at_once = config.label.at_once and store.last_query() is None
    needs_training = config.encoder.source == "pixels" or not has_feature_rule(config)
    hindrance = _hindrance(workspace, state, classes)
    artifacts = workspace.artifacts_path
    names = sorted(p.name for p in artifacts.iterdir()) if artifacts.is_dir() else []
    return Status(
        name=config.name or workspace.root.name,
        method=config.method,
        counts=counts,
        classes=classes,
        state=state,
        curve=tuple(round_metrics(workspace)),
        budget=config.query.budget,
        unreadable=unreadable,
        left_out=left_out,
        estimate=estimate,
        accepted=accepted,
        accepted_standing=standing,
        accepted_problem=accepted_problem,
        outlook=ahead,
        model=newest_model_record(workspace),
        groups=len(set(groups.values())),
        grouped=len(groups),
        artifacts=tuple(name for name in names if name.endswith((".onnx", ".ts"))),
        not_backed_up=location.overdue(events) or 0,
        pool_problem=pool_problem,
        growth=growth,
        hindrance=hindrance,
        next_step=_next_step(
            state,
            counts,
            hindrance=hindrance,
            asks_at_once=asks_at_once,
            needs_training=needs_training,
        ),
    )


def _accepted(workspace: Workspace) -> tuple[AcceptedPredictions | None, str]:
    """Return the accepted predictions, and why they cannot be read."""
    try:
        return read_accepted(workspace), ""
    except WorkspaceError as error:
        return None, str(error)


def _pool_problem(workspace: Workspace, config: Config, store: Store, count: int) -> str:
    """Look for some images, evenly distributed over the pool."""
    folder = folder_of(workspace.root, config.pool.source)
    ids = [ItemId(number) for number in range(1, count + 1, max(1, count // _LOOKED_FOR))]
    known = (item for item in map(store.item, ids) if not item.is_synthetic and item.state == "ok")
    try:
        check_pool(
            workspace.root,
            config.pool.source,
            known,
            lambda item: folder is None or may_exist(folder / item.sample_id),
        )
    except PoolGoneError as error:
        return str(error)
    return ""


def _hindrance(workspace: Workspace, state: RoundState, classes: Sequence[ClassRecord]) -> str:
    if not state.is_midway:
        return ""
    try:
        return "; ".join(class_changes(workspace.round_path(state.number), classes))
    except WorkspaceError:
        return "the record of its start is damaged"


def _next_step(
    state: RoundState, counts: Counts, *, hindrance: str, asks_at_once: bool, needs_training: bool
) -> str:
    """Return the next command; ``train --fresh`` where ``train`` would refuse.

    Without labels, ``label`` comes first if it ``asks_at_once``. A method that chooses by features
    ``needs_training`` neither for a query nor for an export.
    """
    is_lost = bool(state.damage) and state.trained is None and not state.is_midway
    if hindrance or (state.step == "train" and is_lost):
        return "train --fresh"
    is_begun = state.trained is not None or state.is_midway or counts.labeled > 0
    if state.step == "train" and asks_at_once and not is_begun:
        return "label"
    step = state.step
    if step == "train" and not needs_training and not state.is_midway:
        step = "query"
    return "export" if step == "query" and not counts.unlabeled else step
