"""Plot a workspace or a simulation as PNG files and one self-contained HTML page."""

import csv
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dgaal_cli import atomic
from dgaal_cli.api.simulate import SimulationResult, fact_lines, read_simulation
from dgaal_cli.audit.estimate import Interval
from dgaal_cli.config.schema import Config
from dgaal_cli.data.image_reader import ImageReader
from dgaal_cli.data.sample_range import rendering_of
from dgaal_cli.data.unreadable import UnreadableImageError
from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show, uncell
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.gauges import health_warnings
from dgaal_cli.methods.registry import REFERENCE
from dgaal_cli.reports.confusion import draw_confusion
from dgaal_cli.reports.curves import Difference, Series, draw_curves, draw_differences, draw_health
from dgaal_cli.reports.page import Picture, Section, render
from dgaal_cli.reports.sheets import MAX_CELLS, query_sheet
from dgaal_cli.rounds.audit_estimate import pool_estimate
from dgaal_cli.rounds.model_record import newest_model_record
from dgaal_cli.rounds.state import RUN_NAME, read_record, round_metrics, trained_rounds
from dgaal_cli.rounds.stored_query import CSV_NAME
from dgaal_cli.simulation import table
from dgaal_cli.simulation.grid import CACHE_NAME
from dgaal_cli.simulation.plan import FULL_DATA
from dgaal_cli.simulation.pool import load_pool
from dgaal_cli.simulation.summary import Effect
from dgaal_cli.workspace import Workspace

PAGE_NAME = "index.html"
MAX_SHEETS = 8
"""Maximum number of queries shown; the latest are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """Files that a report wrote."""

    page: Path
    pictures: tuple[Path, ...]
    notes: tuple[str, ...]
    """Plots that are missing, with the reason."""


def report(workspace: Workspace, config: Config, *, folder: Path | None = None) -> ReportResult:
    """Plot learning curve, confusion, queries and health of a workspace's rounds.

    Args:
        workspace: Workspace to read.
        config: Configuration of the workspace.
        folder: Folder for page and pictures; None uses ``report`` in the workspace.

    Raises:
        UsageError: Nothing is trained yet.
        StorageError: The folder cannot be written.
    """
    if not trained_rounds(workspace):
        raise UsageError("nothing is trained yet, so there is nothing to plot; run 'dgaal train'")
    notes: list[str] = []
    curve = round_metrics(workspace)
    sections = [
        _workspace_curve(curve),
        *_workspace_model(workspace),
        *_workspace_audit(workspace, config),
        *_workspace_confusion(workspace, config, notes),
        *_workspace_health(curve),
        *_workspace_queries(workspace, config, notes),
        *_workspace_pictures(workspace),
    ]
    title = config.name or workspace.root.name
    return _write(title, sections, folder or workspace.report_path, notes)


def report_simulation(simulation: Path, *, folder: Path | None = None) -> ReportResult:
    """Plot curves, differences, confusion, first queries and health of a simulation.

    Args:
        simulation: Folder of the simulation.
        folder: Folder for page and pictures; None uses ``report`` in the simulation's folder.

    Raises:
        UsageError: The folder is not a simulation, or no trial is finished.
        StorageError: The folder cannot be written.
    """
    result = read_simulation(simulation)
    notes: list[str] = []
    sections = [
        Section(title="What was run", lines=fact_lines(result)),
        Section(title="In words", lines=table.sentences(result.summary)),
        _simulation_curves(result),
        Section(title="Methods", table=table.method_rows(result.summary)),
        *_systems_and_published(result),
        Section(title="Confusion after the last round", pictures=_confusions(result)),
        *_simulation_queries(result, notes),
        *_simulation_health(result),
    ]
    title = f"dgaal simulation {result.plan.preset}".strip()
    return _write(title, sections, folder or result.folder / "report", notes)


def _workspace_curve(curve: Sequence[Mapping[str, Any]]) -> Section:
    measured = [m for m in curve if m["accuracy"] is not None]
    rows = [["round", "labels", "accuracy", "measured on", "seconds"]]
    for m in curve:
        value = "" if m["accuracy"] is None else f"{m['accuracy']:.1%}"
        where = f"{m['measured_count']} {m['measured_on']}"
        rows.append([str(m["round"]), str(m["labels"]), value, where, f"{m['seconds']:.1f}"])
    pictures: list[Picture] = []
    if measured:
        line = Series(
            name="accuracy",
            labels=tuple(float(m["labels"]) for m in measured),
            accuracies=tuple(float(m["accuracy"]) for m in measured),
        )
        png = draw_curves([line], ylabel=f"accuracy on {measured[-1]['measured_on']}")
        pictures = [Picture(name="curve", png=png, caption="Accuracy over labels")]
    return Section(title="Learning curve", table=rows, pictures=pictures)


def _workspace_model(workspace: Workspace) -> list[Section]:
    """State which task model on features is the newest, and how well it is calibrated."""
    record = newest_model_record(workspace)
    if record is None:
        return []
    temperatures = ", ".join(f"{value:.2f}" for value in record.temperatures)
    lines = [f"Round {record.round}: {record.in_words}", f"Temperature: {temperatures}"]
    return [Section(title="Task model", lines=[show(line) for line in lines])]


def _workspace_audit(workspace: Workspace, config: Config) -> list[Section]:
    """State the accuracy on the pool and that of each class, if images were audited."""
    from dgaal_cli.store.open import open_store

    with open_store(workspace, read_only=True) as store:
        found, names = pool_estimate(workspace, config, store), store.class_names()
    if found is None:
        return []
    rows = [["class", "audited", "recall", "precision"]]
    rows += [
        [
            show(names[each.uid]),
            str(each.labeled),
            _interval(each.recall),
            _interval(each.precision),
        ]
        for each in found.classes
    ]
    return [Section(title="Accuracy on the pool", lines=[found.in_words], table=rows)]


def _interval(found: Interval | None) -> str:
    return (
        f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})" if found else "too few to tell"
    )


def _workspace_confusion(workspace: Workspace, config: Config, notes: list[str]) -> list[Section]:
    """Plot the confusion matrix of T on the test images, or on the held-out labels."""
    number = trained_rounds(workspace)[-1]
    run = read_record(workspace.round_path(number) / RUN_NAME)
    if run.get("confusion") is not None:  # a training without networks records it
        counts = np.array(run["confusion"], np.int64)
        return [_confusion(counts, [str(name) for name in run["class_names"]], number)]
    from dgaal_cli.rounds.load_round import load_round
    from dgaal_cli.store.open import open_store
    from dgaal_cli.training.classifier import measure

    try:
        with open_store(workspace) as store:
            trained = load_round(workspace, config, store)
    except UsageError as error:  # the pool is missing, or classes changed since
        notes.append(f"no confusion matrix: {error}")
        return []
    data = trained.bench.data
    found = measure(trained.method.classifier, data) if data.can_learn else None
    if found is None:
        notes.append("no confusion matrix: there are no images to measure on yet")
        return []
    counts = data.task.confusion(found.targets, found.predicted)
    return [_confusion(counts, data.class_names, trained.number)]


def _confusion(counts: npt.NDArray[np.int64], names: list[str], number: int) -> Section:
    png = draw_confusion(counts, names, title=f"round {number}")
    caption = f"{int(counts.sum())} images not used for training; rows are shares of a class"
    picture = Picture(name="confusion", png=png, caption=caption)
    return Section(title="Confusion", pictures=[picture])


def _workspace_health(curve: Sequence[Mapping[str, Any]]) -> list[Section]:
    png = draw_health([(int(m["round"]), m["health"]) for m in curve])
    if png is None:
        return []
    lines = health_warnings(curve[-1]["health"]) or ["all gauges are in range"]
    picture = Picture(name="health", png=png, caption="Gauges of the sampler by round")
    return [Section(title="Sampler health", lines=lines, pictures=[picture])]


def _workspace_queries(workspace: Workspace, config: Config, notes: list[str]) -> list[Section]:
    paths = sorted(workspace.rounds_path.glob(f"*/{CSV_NAME}"))[-MAX_SHEETS:]
    with closing(
        ImageReader(workspace.root, config.pool.source, rendering_of(config.pool))
    ) as reader:
        sheets = [_query_sheet(path, reader, notes) for path in paths]
    pictures = [sheet for sheet in sheets if sheet is not None]
    return [Section(title="Queries", pictures=pictures)] if pictures else []


def _query_sheet(path: Path, reader: ImageReader, notes: list[str]) -> Picture | None:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    images: list[npt.NDArray[np.uint8]] = []
    captions: list[str] = []
    for row in rows[:MAX_CELLS]:
        name = SampleId(uncell(row["id"]))
        try:
            images.append(reader.read(name, is_synthetic=name.startswith("synthetic/")))
        except (UnreadableImageError, InputDataError, OSError) as error:
            notes.append(f"{show(name)} is missing on a sheet: {show(str(error))}")
            continue
        captions.append(f"{row['rank']}: {uncell(row['predicted'])}")
    if not images:
        return None
    number = path.parent.name
    caption = f"Round {int(number)}: first {len(images)} of {len(rows)} images, rank and T's guess"
    return Picture(name=f"query-{number}", png=query_sheet(images, captions), caption=caption)


def _workspace_pictures(workspace: Workspace) -> list[Section]:
    """Collect the pictures that training wrote in the last round."""
    plots = workspace.round_path(trained_rounds(workspace)[-1]) / "plots"
    pictures = [
        Picture(name=name, png=path.read_bytes(), caption=caption)
        for name, caption in (
            ("losses", "Losses of the last round"),
            ("samples", "Pool images and the outputs of the last round's generator"),
            ("synthetic", "Synthetic images so far, latest first"),
        )
        if (path := plots / f"{name}.png").is_file()
    ]
    return [Section(title="Last round", pictures=pictures)] if pictures else []


def _systems_and_published(result: SimulationResult) -> list[Section]:
    """Return the optional sections: systems, baselines and published numbers."""
    sections: list[Section] = []
    if any(m.system for m in result.summary.methods):
        rows = table.system_rows(result.summary)
        sections.append(Section(title="Systems: T as the method itself trains it", table=rows))
    if len(rows := table.baseline_rows(result.summary)) > 1:
        sections.append(Section(title=table.BASELINES_TITLE, table=rows))
    if result.plan.published:
        sections.append(Section(title=table.PUBLISHED_TITLE, lines=result.plan.published))
    return sections


def _simulation_curves(result: SimulationResult) -> Section:
    methods, full = result.summary.methods, result.summary.full_data
    series = [_series(m.name, m.selection) for m in methods]
    level = None if full is None else full.mean
    png = draw_curves(series, ylabel="accuracy", level=level)
    caption = "Accuracy over annotations with the same T; bands are 95 % intervals"
    pictures = [Picture(name="curves", png=png, caption=caption)]
    differences = [
        Difference(name=m.name, mean=d.mean, low=d.interval[0], high=d.interval[1])
        for m in methods
        if (d := m.selection.vs_random) is not None and d.interval is not None
    ]
    if differences:
        caption = "Paired differences to random in the area under the budget curve"
        png = draw_differences(differences)
        pictures.append(Picture(name="differences", png=png, caption=caption))
    systems = [_series(f"{m.name} (system)", m.system) for m in methods if m.system is not None]
    if systems:
        reference = [_series(m.name, m.selection) for m in methods if m.name == REFERENCE]
        png = draw_curves([*reference, *systems], ylabel="accuracy", level=level)
        caption = "Systems: T as each method trains it, against random with plain T"
        pictures.append(Picture(name="systems", png=png, caption=caption))
    rows = table.accuracy_rows(result.summary)
    return Section(title="Accuracy in %", table=rows, pictures=pictures)


def _series(name: str, effect: Effect) -> Series:
    points = effect.curve
    bands = [point.accuracy.interval for point in points]
    return Series(
        name=name,
        labels=tuple(point.annotations for point in points),
        accuracies=tuple(point.accuracy.mean for point in points),
        band=tuple(band for band in bands if band is not None) if None not in bands else (),
    )


def _confusions(result: SimulationResult) -> list[Picture]:
    pictures: list[Picture] = []
    for place, (name, trials) in enumerate(result.trials.items()):
        counts = [rounds[-1].confusion for rounds in trials.values()]
        total = np.sum([c for c in counts if c is not None], axis=0)
        png = draw_confusion(total, list(result.facts["classes"]), title=name)
        caption = f"{show(name)}: test images of {len(counts)} seeds"
        pictures.append(Picture(name=f"confusion-{place}", png=png, caption=caption))
    return pictures


def _simulation_queries(result: SimulationResult, notes: list[str]) -> list[Section]:
    """Show the first query of each method for the first seed: all start from the same labels."""
    first = {
        name: rounds[0]
        for name, trials in result.trials.items()
        if name != FULL_DATA and (rounds := trials[min(trials)])[0].queried
    }
    if not first:
        return []
    try:
        pool = load_pool(result.plan, cache=result.folder / CACHE_NAME)
    except InputDataError as error:
        notes.append(f"no query sheets: {error}")
        return []
    pictures: list[Picture] = []
    for place, (name, record) in enumerate(first.items()):
        rows = record.queried[:MAX_CELLS]
        classes = [pool.class_names[int(pool.truth[row])] for row in rows]
        texts = [f"{rank}: {text}" for rank, text in enumerate(classes, start=1)]
        png = query_sheet([np.asarray(pool.pixels[row]) for row in rows], texts)
        caption = f"{show(name)}, seed {record.seed}: first query, rank and true class"
        pictures.append(Picture(name=f"query-{place}", png=png, caption=caption))
    return [Section(title="First queries", pictures=pictures)]


def _simulation_health(result: SimulationResult) -> list[Section]:
    lines: list[str] = []
    pictures: list[Picture] = []
    for place, (name, trials) in enumerate(result.trials.items()):
        seed = min(trials)
        png = draw_health([(record.round, record.health) for record in trials[seed]])
        if png is not None:
            caption = f"{show(name)}, seed {seed}: gauges by round"
            pictures.append(Picture(name=f"health-{place}", png=png, caption=caption))
            # The last round asks no query, so it has no health.
            gauged = [record.health for record in trials[seed] if record.health]
            last = {k: math.nan if v is None else v for k, v in gauged[-1].items()}
            lines += [f"{show(name)}: {warning}" for warning in health_warnings(last)]
    return [Section(title="Sampler health", lines=lines, pictures=pictures)] if pictures else []


def _write(
    title: str, sections: Sequence[Section], folder: Path, notes: Sequence[str]
) -> ReportResult:
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make {folder}: {error.strerror}") from error
    paths: list[Path] = []
    for picture in (picture for section in sections for picture in section.pictures):
        paths.append(folder / f"{picture.name}.png")
        atomic.write_bytes(paths[-1], picture.png)
    if notes:
        sections = [*sections, Section(title="Missing plots", lines=notes)]
    page = folder / PAGE_NAME
    atomic.write_text(page, render(title, sections))
    return ReportResult(page=page, pictures=tuple(paths), notes=tuple(notes))
