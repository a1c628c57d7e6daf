"""Run the loop on the built-in digits: dgaal and random at the same label counts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli import atomic, events, interruption
from dgaal_cli.api.export import export
from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.score import score
from dgaal_cli.api.train import train
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.configuration import read_configuration
from dgaal_cli.rounds.random_baseline import TWIN
from dgaal_cli.rounds.state import round_metrics, round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.training.seeds import numpy_generator
from dgaal_cli.workspace import CONFIG_NAME, Workspace
from exporters.registry import FORMATS

MARK = "demo.json"
"""File that marks a folder as a demo."""
POOL = "builtin:digits#train"
TEST = "builtin:digits#test"
FIRST_LABELS = 40
QUERY_SIZE = 40
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow:
    """Both accuracies at one label count."""

    labels: int
    dgaal: float
    random: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo measured and wrote."""

    workspace: Workspace
    rows: tuple[DemoRow, ...]
    test_images: int
    paths: tuple[Path, ...]
    was_complete: bool
    """Whether the demo had finished before, so that nothing was computed."""


def demo(
    root: Path,
    *,
    seed: int = 0,
    emit: Emit = events.ignore,
    on_message: Callable[[str], None] = lambda _text: None,
) -> DemoResult:
    """Run the loop, or resume an interrupted one; a finished demo is only read.

    Args:
        root: Folder of the demo.
        seed: Seed of first labels and training.
        emit: Listener for progress.
        on_message: Called with a line of text for each step.

    Raises:
        UsageError: The folder is not empty and not a demo.
        InterruptedRunError: A signal stopped the demo; the next call continues.
    """
    root = root.absolute()
    _check_folder(root)
    with interruption.listening():
        mark = _read_mark(root, seed)
        was_complete = bool(mark["is_complete"])
        workspace = _arm(root, "dgaal", mark["seed"])
        baseline = _arm(root / TWIN, "random", mark["seed"])
        if not was_complete:
            truth = true_labels(POOL, base=root)
            for arm, place in (("dgaal", workspace), ("random", baseline)):
                on_message(
                    f"{arm}: {ROUNDS} rounds, {FIRST_LABELS} labels first, then {QUERY_SIZE} each"
                )
                _run_rounds(place, truth, emit=emit)
            _finish(workspace, emit=emit, on_message=on_message)
            atomic.write_text(root / MARK, json.dumps({**mark, "is_complete": True}) + "\n")
    return _result(workspace, baseline, was_complete=was_complete)


def _check_folder(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; name a folder for the demo")
    if root.is_dir() and any(root.iterdir()) and not (root / MARK).is_file():
        raise UsageError(
            f"{root} is not empty and not a demo of dgaal; name another folder: dgaal demo DIR"
        )


def _read_mark(root: Path, seed: int) -> dict[str, int]:
    path = root / MARK
    if not path.is_file():
        root.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, json.dumps({"seed": seed, "is_complete": False}) + "\n")
    try:
        mark = json.loads(path.read_text("utf-8"))
        return {"seed": int(mark["seed"]), "is_complete": bool(mark["is_complete"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged; name another folder: dgaal demo DIR") from error


def _arm(root: Path, method: str, seed: int) -> Workspace:
    if not (root / CONFIG_NAME).is_file():
        init(
            InitRequest(
                root=root,
                pool=POOL,
                base=root,
                test=TEST,
                classes=[str(digit) for digit in range(10)],
                method=method,
                preset="tiny",
                name="digits",
                seed=seed,
                query_size=QUERY_SIZE,
                accepts_network_folder=True,  # no person's work: the demo can be repeated
            )
        )
    return Workspace(root)


def _run_rounds(workspace: Workspace, truth: dict[SampleId, str], *, emit: Emit) -> None:
    """Run the next step until the last round is trained."""
    config = _config(workspace)
    while True:
        interruption.check("the demo stopped; run the same command to continue")
        with open_store(workspace) as store:
            if not store.watermark():
                items = store.items()
                picked = numpy_generator(config.seed, "first labels").permutation(len(items))
                answer_items(store, [items[i].item_id for i in picked[:FIRST_LABELS]], truth)
            state = round_state(workspace, store)
            if state.trained == ROUNDS - 1:
                return
            if state.step == "label":
                opened = store.open_query()
                assert opened is not None
                answered = {record.item_id for record in store.labels()}
                asked = [entry.item_id for entry in opened.entries]
                answer_items(store, [item for item in asked if item not in answered], truth)
                continue
        if state.step == "train":
            train(workspace, config, emit=emit)
        else:
            query(workspace, config)


def _finish(workspace: Workspace, *, emit: Emit, on_message: Callable[[str], None]) -> None:
    """Export, score the pool with the exported sampler, and leave an open query."""
    config = _config(workspace)
    on_message("exporting sampler, generator and classifier")
    export(workspace, config, formats=tuple(FORMATS), listener=emit)
    on_message("scoring the pool with the exported sampler")
    score(
        POOL,
        artifact=workspace.artifacts_path / "sampler.onnx",
        base=workspace.root,
        output=workspace.root / "scores.csv",
    )
    with open_store(workspace) as store:
        state = round_state(workspace, store)
    if state.step == "query":
        query(workspace, config)


def _config(workspace: Workspace) -> Config:
    """Read the configuration without environment variables.

    One thread: networks for 8 x 8 pixels gain nothing from more, and on a busy host several
    threads took twenty times as long.
    """
    return read_configuration(workspace.config_path, environment={}, assignments=["threads=1"])


def _result(workspace: Workspace, baseline: Workspace, *, was_complete: bool) -> DemoResult:
    ours, theirs = round_metrics(workspace)[:ROUNDS], round_metrics(baseline)[:ROUNDS]
    return DemoResult(
        workspace=workspace,
        rows=tuple(
            DemoRow(labels=own["labels"], dgaal=own["accuracy"], random=other["accuracy"])
            for own, other in zip(ours, theirs, strict=True)
        ),
        test_images=ours[0]["measured_count"],
        paths=(workspace.artifacts_path, workspace.root / "scores.csv", workspace.rounds_path),
        was_complete=was_complete,
    )
