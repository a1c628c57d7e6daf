"""Content of the round screen: rounds, unlabelable synthetic images, and the next step."""

import json
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.config.schema import Config
from dgaal_cli.labeling.standing_answers import standing_answers
from dgaal_cli.rounds.drawing_quality import refusal_of_synthesis
from dgaal_cli.rounds.learning_curve import learning_curve
from dgaal_cli.rounds.random_baseline import RandomCurve, random_baseline
from dgaal_cli.rounds.state import RUN_NAME, round_state
from dgaal_cli.rounds.unlabelable_synthetics import count_unlabelable
from dgaal_cli.store.protocol import Store
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.methods.registry import MethodInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One round."""

    number: int
    method: str
    asked: int = 0
    """Images of its query, including synthetic ones; 0 if none was asked."""
    labeled: int = 0
    cannot_tell: int = 0
    synthetic: int = 0
    """Synthetic images that a person answered."""
    junk: int = 0
    """Synthetic images answered with can't tell."""
    median_s: float | None = None
    accuracy: float | None = None
    """Accuracy, 0..1."""
    measured: int | None = None
    random: float | None = None
    """Accuracy of random queries at the same number of labels."""
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JunkRow:
    """Synthetic images by predicted class."""

    name: str
    """Empty without a prediction."""
    judged: int
    junk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsReport:
    """Content of the round screen."""

    rows: tuple[RoundRow, ...]
    junk: tuple[JunkRow, ...]
    is_paused: bool
    """Too many synthetic images of the newest query were unlabelable; the next one asks none."""
    max_junk: float
    refusal: str
    """Why synthetic images would be noise; empty if they may be asked."""
    baseline: RandomCurve
    method: str
    methods: dict[str, str]
    """How each method selects, by its name."""
    query_size: int
    next_step: str
    """``train``, ``query`` or ``label``."""


def rounds_report(workspace: Workspace, config: Config, store: Store) -> RoundsReport:
    """Read rounds, their queries and answers, without changes."""
    from dgaal_cli.methods.registry import METHODS

    items = {item.item_id: item for item in store.items()}
    class_names = {record.uid: record.name for record in store.classes()}
    baseline = random_baseline(workspace, config)
    points = {point.round: point for point in learning_curve(workspace)}
    last, open_round = store.last_query(), store.open_round()
    newest = max([last.round if last else -1, *points], default=-1)
    rows: list[RoundRow] = []
    judged: Counter[str] = Counter()
    junk: Counter[str] = Counter()
    for number in range(newest + 1):
        progress, point = store.query_progress(number), points.get(number)
        if not progress.size and point is None:
            continue
        query = store.query(number) if progress.size else None
        answers = standing_answers(store.events(round=number)) if query else []
        predicted = {
            entry.item_id: class_names.get(entry.predicted, "") if entry.predicted else ""
            for entry in (query.entries if query else ())
            if items[entry.item_id].is_synthetic
        }
        synthetic = [a for a in answers if a.item_id in predicted and a.kind != "skip"]
        unlabelable = [a for a in synthetic if a.kind == "cannot_tell"]
        judged.update(predicted[a.item_id] for a in synthetic)
        junk.update(predicted[a.item_id] for a in unlabelable)
        times = [a.elapsed_ms / 1000 for a in answers if a.elapsed_ms is not None]
        rows.append(
            RoundRow(
                number=number,
                method=_method(workspace, number),
                asked=progress.size,
                labeled=progress.labeled,
                cannot_tell=progress.cannot_tell,
                synthetic=len(synthetic),
                junk=len(unlabelable),
                median_s=statistics.median(times) if times else None,
                accuracy=point.accuracy if point else None,
                measured=point.measured if point else None,
                random=baseline.at(point.labels) if point else None,
                is_open=number == open_round,
            )
        )
    table = [JunkRow(name=name, judged=judged[name], junk=junk[name]) for name in sorted(judged)]
    return RoundsReport(
        rows=tuple(rows),
        junk=tuple(table),
        is_paused=count_unlabelable(store).is_over(config.label.max_junk),
        max_junk=config.label.max_junk,
        refusal=refusal_of_synthesis(workspace, config),
        baseline=baseline,
        method=config.method,
        methods={name: _how(info) for name, info in METHODS.items()},
        query_size=config.query.size,
        next_step=round_state(workspace, store).step,
    )


def _how(info: "MethodInfo") -> str:
    """Return how a method selects, in a few words: the first fact that holds."""
    facts = (
        (info.draws_queries, "asks synthetic images"),
        (info.feature_rule, "by features, without a training"),
        (info.id_scores, "at random"),
        (info.has_own_query_rule and not info.needs_labels, "covers the pool"),
        (info.has_own_task_model, "by a task model of its own"),
        (info.is_classic and info.has_own_query_rule, "classic, spreads its picks"),
        (info.is_classic, "classic, by doubt"),
        (info.generator == "parents", "adversarial, makes copies"),
    )
    return next((text for holds, text in facts if holds), "adversarial")


def _method(workspace: Workspace, number: int) -> str:
    try:
        read = json.loads((workspace.round_path(number) / RUN_NAME).read_bytes())
        return str(read["method"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
