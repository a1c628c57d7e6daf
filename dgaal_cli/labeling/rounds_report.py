"""What the round screen shows: every round in a row, junk by class, and what comes next."""

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.standing_answers import StandingAnswer, standing_answers
from dgaal_cli.rounds.learning_curve import learning_curve
from dgaal_cli.rounds.random_baseline import RandomCurve, random_baseline
from dgaal_cli.rounds.state import RUN_NAME, round_state
from dgaal_cli.rounds.unlabelable_synthetics import count_unlabelable
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, Query
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """One round."""

    number: int
    method: str
    asked: int = 0
    """Images of its query, synthetic ones included; 0 where none was asked."""
    labeled: int = 0
    cannot_tell: int = 0
    left: int = 0
    synthetic: int = 0
    """Synthetic images that a person was asked about and answered."""
    junk: int = 0
    """Those of them that nobody could name."""
    median_s: float | None = None
    labels: int | None = None
    """Images of the pool and drawings that somebody had named when it began."""
    accuracy: float | None = None
    """0..1."""
    measured: int | None = None
    random: float | None = None
    """Accuracy of random queries at the same number of labels."""
    is_open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JunkRow:
    """Synthetic images by the class that the model took them for."""

    name: str
    """Empty where the model had no guess."""
    judged: int
    junk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsReport:
    """Everything the round screen draws."""

    rows: tuple[RoundRow, ...]
    junk: tuple[JunkRow, ...]
    is_paused: bool
    """The newest query's synthetic images were junk too often; the next one asks none."""
    max_junk: float
    baseline: RandomCurve
    method: str
    methods: tuple[str, ...]
    query_size: int
    next_step: str
    """``train``, ``query`` or ``label``."""


def rounds_report(workspace: Workspace, config: Config, store: Store) -> RoundsReport:
    """Read rounds, their queries and answers; changes nothing."""
    from dgaal_cli.methods.registry import METHODS

    items = {item.item_id: item for item in store.items()}
    baseline = random_baseline(workspace, config)
    points = {point.round: point for point in learning_curve(workspace)}
    opened = store.open_query()
    last = store.last_query()
    newest = max([last.round if last else -1, *points], default=-1)
    rows: list[RoundRow] = []
    judged: Counter[str] = Counter()
    junk: Counter[str] = Counter()
    for number in range(newest + 1):
        query = _query(store, number)
        answers = standing_answers(store.events(round=number)) if query else []
        point = points.get(number)
        if query is None and point is None:
            continue
        names = _synthetic_guesses(query, items, store)
        for given in answers:
            if given.item_id in names and given.kind != "skip":
                judged[names[given.item_id]] += 1
                junk[names[given.item_id]] += given.kind == "cannot_tell"
        row = _row(workspace, store, number, query, answers, set(names))
        rows.append(
            row
            if point is None
            else _with_point(row, point.labels, point.accuracy, point.measured, baseline)
        )
    is_open = opened is not None
    rows = [
        _opened(row) if is_open and opened is not None and row.number == opened.round else row
        for row in rows
    ]
    table = [JunkRow(name=name, judged=judged[name], junk=junk[name]) for name in sorted(judged)]
    return RoundsReport(
        rows=tuple(rows),
        junk=tuple(table),
        is_paused=count_unlabelable(store).is_over(config.label.max_junk),
        max_junk=config.label.max_junk,
        baseline=baseline,
        method=config.method,
        methods=tuple(METHODS),
        query_size=config.query.size,
        next_step=round_state(workspace, store).step,
    )


def _query(store: Store, number: int) -> Query | None:
    from dgaal_cli.errors import UsageError

    try:
        return store.query(number)
    except UsageError:
        return None


def _row(
    workspace: Workspace,
    store: Store,
    number: int,
    query: Query | None,
    answers: Sequence[StandingAnswer],
    synthetic: set[ItemId],
) -> RoundRow:
    method = _method(workspace, number)
    if query is None:
        return RoundRow(number=number, method=method)
    p = store.query_progress(number)
    told = [given for given in answers if given.item_id in synthetic and given.kind != "skip"]
    times = [given.elapsed_ms / 1000 for given in answers if given.elapsed_ms is not None]
    return RoundRow(
        number=number,
        method=method,
        asked=p.size,
        labeled=p.labeled,
        cannot_tell=p.cannot_tell,
        left=p.left,
        synthetic=len(told),
        junk=sum(given.kind == "cannot_tell" for given in told),
        median_s=statistics.median(times) if times else None,
    )


def _with_point(
    row: RoundRow,
    labels: int,
    accuracy: float,
    measured: int | None,
    baseline: RandomCurve,
) -> RoundRow:
    from dataclasses import replace

    return replace(
        row, labels=labels, accuracy=accuracy, measured=measured, random=baseline.at(labels)
    )


def _opened(row: RoundRow) -> RoundRow:
    from dataclasses import replace

    return replace(row, is_open=True)


def _synthetic_guesses(
    query: Query | None, items: dict[ItemId, ItemRecord], store: Store
) -> dict[ItemId, str]:
    if query is None:
        return {}
    names = {record.uid: record.name for record in store.classes()}
    return {
        entry.item_id: names.get(entry.predicted, "") if entry.predicted else ""
        for entry in query.entries
        if items[entry.item_id].is_synthetic
    }


def _method(workspace: Workspace, number: int) -> str:
    try:
        read = json.loads((workspace.round_path(number) / RUN_NAME).read_bytes())
        return str(read["method"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
