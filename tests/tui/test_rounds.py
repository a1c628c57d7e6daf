"""The round screen, training during labeling, and what follows a training."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from label_terminal import print_events, script

from dgaal_cli.events import QueryChosen, RoundStarted, RoundTrained, StepDone
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.rounds.drawing_quality import refusal_of_synthesis
from dgaal_cli.rounds.unlabelable_synthetics import UnlabelableCount
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer, Query, QueryEntry
from dgaal_cli.tui.screens.help import HelpDialog
from dgaal_cli.tui.screens.pick_dialogs import NumberDialog, PickDialog
from dgaal_cli.tui.screens.rounds import RoundsScreen
from dgaal_cli.tui.screens.training import TrainingDialog, rate_text
from dgaal_cli.tui.widgets.rows import Rows
from tests.support.class_labels import as_label


def screen_text(t) -> str:
    return "\n".join(strip.text for rows in t.app.screen.query(Rows) for strip in rows._rows)


def make_history(workspace, *, junk: int = 1, opens_next: bool = True) -> None:
    """Answer round 0 (four pool images and synthetic images, some unlabelable); open round 1."""
    with open_store(workspace.store_path) as store:
        uids = [record.uid for record in store.classes()]
        entries = store.open_query().entries
        for position, entry in enumerate(entries):
            is_synthetic = store.item(entry.item_id).is_synthetic
            is_unlabelable = is_synthetic and position >= len(entries) - junk
            store.submit(
                Answer(
                    op_id=f"a{position}",
                    kind="cannot_tell" if is_unlabelable else "label",
                    item_id=entry.item_id,
                    label=as_label(None if is_unlabelable else uids[position % 10]),
                    elapsed_ms=1500,
                ),
                annotator="ann",
                session="s",
            )
        if not opens_next:
            return
        store.close_query(0)
        rest = [i for i in store.items() if not i.is_synthetic][4:6]
        more = tuple(QueryEntry(item_id=i.item_id, rank=r) for r, i in enumerate(rest, start=1))
        store.save_query(Query(round=1, strategy="dgaal", model_sha=None, entries=more))
    for number, (labels, accuracy) in enumerate([(0, 0.1), (9, 0.8125)]):
        folder = workspace.round_path(number)
        folder.mkdir(parents=True)
        metrics = {"labels": labels, "accuracy": accuracy, "measured_count": 500}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "run.json").write_text('{"method": "dgaal"}')
    baseline = workspace.root / "baseline-random" / "rounds" / "001"
    baseline.mkdir(parents=True)
    (baseline / "metrics.json").write_text('{"labels": 9, "accuracy": 0.625}')


async def open_rounds(t) -> RoundsScreen:
    await t.press("h")
    await t.until(lambda: isinstance(t.app.screen, RoundsScreen), "for the rounds")
    await t.until(lambda: "rounds" in screen_text(t))
    return t.app.screen


@pytest.fixture
def workspace(make_workspace):
    return make_workspace(synthetic=6, guess=3)


async def test_table_shows_rounds_unlabelable_images_and_random(terminal, workspace):
    make_history(workspace, junk=2)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        shown = screen_text(t)
        assert "2/6" in shown
        assert "81.2%" in shown
        assert "+71.2" in shown
        assert "62.5%" in shown
        assert "three 2/6" in shown
        assert "continue round 1: 2 of 2 left" in shown
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        await t.press("4")
        assert t.labels()["004.png"] == "four"


def write_simulation(workspace, *, pool="pool", method="random"):
    points = [{"annotations": 5.0, "accuracy": 0.5}, {"annotations": 10.0, "accuracy": 0.75}]
    methods = [{"method": method, "seeds": [0, 1, 2], "curve": points}]
    folder = workspace.root / "dgaal-simulation"
    folder.mkdir()
    result = {"pool": str(workspace.root / pool), "test": "", "methods": methods}
    (folder / "result.json").write_text(json.dumps(result))


async def test_simulation_on_this_pool_is_interpolated_in_the_table(terminal, workspace):
    make_history(workspace)
    shutil.rmtree(workspace.root / "baseline-random")
    write_simulation(workspace)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        assert "70.0%" in screen_text(t)  # 9 labels, between 5 and 10
        assert "random, simulated, 3 seeds" in screen_text(t)


@pytest.mark.parametrize("change", [{"pool": "others"}, {"method": "margin"}, None])
async def test_other_or_damaged_simulation_is_not_shown(terminal, workspace, change):
    make_history(workspace)
    shutil.rmtree(workspace.root / "baseline-random")
    write_simulation(workspace, **change or {})
    if change is None:
        (workspace.root / "dgaal-simulation" / "result.json").write_text('{"pool": ')
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        assert "81.2%" in screen_text(t)
        assert "random: not measured" in screen_text(t)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (44, 12)])
async def test_round_screen_fits_the_terminal(terminal, workspace, size):
    make_history(workspace)
    async with terminal(workspace=workspace, size=size) as t:
        await open_rounds(t)
        for rows in t.app.screen.query(Rows):
            assert all(strip.cell_length == rows.size.width for strip in rows._rows if rows.display)


async def test_method_and_query_size_are_saved_and_shown(terminal, workspace):
    make_history(workspace)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        await t.pilot.press("n")
        await t.until(lambda: isinstance(t.app.screen, NumberDialog))
        await t.pilot.press("3", "7", "enter")
        await t.until(lambda: isinstance(t.app.screen, RoundsScreen))
        await t.until(lambda: "37 per query" in screen_text(t))
        await t.pilot.press("m")
        await t.until(lambda: isinstance(t.app.screen, PickDialog))
        await t.pilot.press(*"marg", "enter")
        await t.until(lambda: isinstance(t.app.screen, RoundsScreen) and "margin" in screen_text(t))
    text = workspace.config_path.read_text()
    assert "size = 37" in text
    assert 'method = "margin"' in text


async def test_curve_names_the_measured_methods(terminal, workspace):
    make_history(workspace)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        await t.pilot.press("m")
        await t.until(lambda: isinstance(t.app.screen, PickDialog))
        await t.pilot.press(*"random", "enter")
        await t.until(
            lambda: isinstance(t.app.screen, RoundsScreen) and "method random" in screen_text(t)
        )
        assert "● dgaal " in screen_text(t)
    (workspace.round_path(1) / "run.json").write_text('{"method": "margin"}')
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        assert "● dgaal, then margin " in screen_text(t)


async def test_method_cannot_be_changed_during_a_training(terminal, workspace, tmp_path):
    make_history(workspace)
    steps = {"train": [*TRAIN[:2], f"GO = {str(tmp_path / 'never')!r}\n{TRAIN[2]}"]}
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        await t.until(lambda: t.app.screen.state and t.app.screen.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        await open_rounds(t)
        await t.pilot.press("m")
        await t.pilot.pause()
        assert "a training is running; change the method after it" in screen_text(t)
        t.screen.stop_processes()


async def test_help_of_the_round_screen_lists_no_class_keys(terminal, workspace):
    make_history(workspace)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        await t.pilot.press("question_mark")
        await t.until(lambda: isinstance(t.app.screen, HelpDialog))
        assert "Synthesize" in t.dialog()
        assert "seven" not in t.dialog()
        assert "No classes" not in t.dialog()


async def test_synthesis_requests_a_number_and_trains_first(terminal, workspace):
    make_history(workspace)
    steps = {
        "train": script("sys.exit(0)"),
        "query --synthetic 5": script(
            print_events(QueryChosen(round=2, size=7, synthetic=5, strategy="dgaal"))
        ),
    }
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("3", "4")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current and not t.busy)
        await open_rounds(t)
        await t.pilot.press("s")
        await t.until(lambda: isinstance(t.app.screen, NumberDialog))
        await t.pilot.press("5", "enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await t.until(lambda: dialog.state and dialog.state.stage in ("done", "failed"))
        assert dialog.state.stage == "done", dialog.state.reason
        assert dialog.state.chosen == 7


async def test_synthesis_is_refused_before_two_classes_have_labels(terminal):
    async with terminal() as t:
        await t.press("3", "3")
        await open_rounds(t)
        await t.pilot.press("s")
        await t.pilot.pause()
        assert isinstance(t.app.screen, RoundsScreen)
        assert "synthesis needs a boundary between classes" in screen_text(t)
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current)
        await t.press("4")
        await open_rounds(t)
        await t.pilot.press("s")
        await t.until(lambda: isinstance(t.app.screen, NumberDialog))


async def test_query_failure_in_the_background_is_not_a_training_failure(
    terminal, workspace, tmp_path
):
    make_history(workspace)
    go = tmp_path / "go"
    steps = {
        "train": [*TRAIN[:2], f"GO = {str(go)!r}\n{TRAIN[2]}"],
        "query": script("sys.exit('no generator')"),
    }
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        await t.until(lambda: t.app.screen.state and t.app.screen.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        go.touch()
        await t.until(lambda: "choosing images failed" in t.text(), "for the news")


async def test_synthesis_pauses_after_too_many_unlabelable_images(terminal, workspace):
    make_history(workspace, junk=4, opens_next=False)
    async with terminal(workspace=workspace) as t:
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        t.clock.now += 1
        await t.pilot.press("escape")
        await t.until(lambda: t.screen.is_current and not t.busy)
        await open_rounds(t)
        await t.pilot.press("s")
        await t.pilot.pause()
        assert isinstance(t.app.screen, RoundsScreen)
        assert "paused" in screen_text(t)
        assert "could not" in screen_text(t)


async def test_synthesis_is_available_again_in_the_next_query(terminal, workspace):
    make_history(workspace, junk=4)
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        await t.pilot.press("s")
        await t.until(lambda: isinstance(t.app.screen, NumberDialog))


@pytest.mark.parametrize(
    ("judged", "junk", "is_over"), [(0, 0, False), (4, 4, False), (6, 3, False), (6, 4, True)]
)
def test_unlabelable_count_over_threshold(judged, junk, is_over):
    assert UnlabelableCount(judged=judged, unlabelable=junk).is_over(0.5) is is_over


TRAIN = script(
    print_events(RoundStarted(round=0, method="dgaal", labels=1, pool=12, device="cpu")),
    print_events(StepDone(phase="fit", step=5, steps=10, rate=1.0, left_s=9.0)),
    "import pathlib",
    "while not pathlib.Path(GO).exists(): time.sleep(0.02)",
    print_events(
        RoundTrained(round=0, labels=1, accuracy=0.75, measured_on="test images", seconds=1.0)
    ),
)


async def test_labeling_continues_during_training_and_next_query_opens(
    terminal, workspace, tmp_path
):
    make_history(workspace)
    go = tmp_path / "go"
    query_script = script(
        "from dgaal_cli.store.open import open_store",
        "from dgaal_cli.store.records import Query, QueryEntry",
        f"store = open_store(__import__('pathlib').Path({str(workspace.store_path)!r}))",
        "entries = (QueryEntry(item_id=store.items()[9].item_id, rank=1),)",
        "store.save_query(Query(round=2, strategy='x', model_sha=None, entries=entries))",
        print_events(QueryChosen(round=2, size=1, synthetic=0, strategy="x")),
    )
    steps = {
        "train": [*TRAIN[:2], f"GO = {str(go)!r}\n{TRAIN[2]}"],
        "query": query_script,
        "export": script("sys.exit(0)"),
        "outlook": script("sys.exit(0)"),
    }
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await t.until(lambda: dialog.state and dialog.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        await t.until(lambda: "training 50%" in t.text(), "for the progress")
        await t.settle()
        await t.press("4")
        assert t.labels()["004.png"] == "four"
        go.touch()
        await t.until(lambda: t.view.round == 2, "for the new query")
        await t.until(lambda: not t.screen.rounds.is_training)
        await t.settle()
        t.clock.now += 0.15
        await t.pilot.press("5")  # meant for the previous image
        await t.pilot.pause()
        assert "009.png" not in t.labels()
        assert "look at it first" in t.text()
        await t.press("5")
        assert t.labels()["009.png"] == "five"


async def test_reopened_training_dialog_follows_the_training_to_its_end(
    terminal, workspace, tmp_path
):
    make_history(workspace)
    go = tmp_path / "go"
    steps = {
        "train": [*TRAIN[:2], f"GO = {str(go)!r}\n{TRAIN[2]}"],
        "query": script(print_events(QueryChosen(round=2, size=1, synthetic=0, strategy="x"))),
        "export": script("sys.exit(0)"),
        "outlook": script("sys.exit(0)"),
    }
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        await t.until(lambda: t.app.screen.state and t.app.screen.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        t.clock.now += 300
        await t.press("t")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await t.until(lambda: "5:0" in t.dialog(), "for the time since it began")
        go.touch()
        await t.until(lambda: dialog.state.stage == "done", "for the end")
        await t.until(lambda: "accuracy 75.0%" in t.dialog(), "for the result")
        t.clock.now += 1
        await t.pilot.press("enter")
        await t.until(lambda: t.screen.is_current)


async def test_labeling_continues_after_training_fails_in_the_background(
    terminal, workspace, tmp_path
):
    make_history(workspace)
    go = tmp_path / "go"
    end = script(
        "import pathlib",
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)",
        "sys.exit('no labels of two classes')",
    )
    steps = {"train": end}
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        dialog = t.app.screen
        await t.until(lambda: dialog.state is not None)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        go.touch()
        await t.until(lambda: "training failed" in t.text(), "for the news")
        await t.settle()
        await t.press("4", "5")
        assert {"004.png", "005.png"} <= set(t.labels())


async def test_leaving_during_a_training_needs_confirmation(terminal, workspace, tmp_path):
    make_history(workspace)
    go = tmp_path / "never"
    steps = {"train": [*TRAIN[:2], f"GO = {str(go)!r}\n{TRAIN[2]}"]}
    async with terminal(workspace=workspace, train=steps) as t:
        await t.press("t")
        await t.pilot.press("enter")
        await t.until(lambda: isinstance(t.app.screen, TrainingDialog))
        await t.until(lambda: t.app.screen.state and t.app.screen.state.round == 0)
        await t.pilot.press("b")
        await t.until(lambda: t.screen.is_current)
        await t.settle()
        await t.press("q")
        assert "A training is running" in t.dialog()
        await t.pilot.press("enter")
        await t.until(lambda: t.app.return_value == 0)
        t.screen.stop_processes()
        assert not t.screen.rounds.is_training


async def test_label_screen_switches_to_a_round_trained_elsewhere(terminal, workspace, monkeypatch):
    loaded_rounds = []
    load = LabelSession.load_learner

    def record_round(session):
        loaded_rounds.append(session._round.query.round)
        return load(session)

    monkeypatch.setattr(LabelSession, "load_learner", record_round)
    async with terminal(workspace=workspace) as t:
        await t.until(lambda: loaded_rounds == [0], "for the learner")
        with open_store(workspace.store_path) as store:
            rest = [item for item in store.items() if not item.is_synthetic][8:10]
            store.close_query(0)
            more = tuple(QueryEntry(item_id=i.item_id, rank=r) for r, i in enumerate(rest, 1))
            store.save_query(Query(round=1, strategy="margin", model_sha=None, entries=more))
        await t.press("3")
        assert t.labels() == {"000.png": "three"}
        assert "round 1" in t.text()
        assert "008.png" in t.text()
        await t.until(lambda: loaded_rounds == [0, 1], "for the learner of the new round")


async def test_palette_runs_a_command_by_name(terminal):
    async with terminal() as t:
        await t.press("3")
        await t.pilot.press("ctrl+p")
        await t.pilot.pause(0.3)
        await t.pilot.press(*"undo")
        await t.pilot.pause(0.6)
        await t.pilot.press("enter")
        await t.until(lambda: [k for k, _, _ in t.events()] == ["label", "undo"], "for undo")


async def test_open_without_desktop_shows_the_path_of_the_image(terminal, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(os.path, "lexists", lambda _: True)
    async with terminal() as t:
        await t.press("o")
        await t.until(lambda: "no desktop; the image is /pool/000.png" in t.text())
        assert t.events() == []


async def test_synthesis_is_refused_if_the_generator_makes_noise(terminal, workspace):
    make_history(workspace)
    newest = sorted(workspace.rounds_path.glob("*/metrics.json"))[-1]
    metrics = json.loads(newest.read_text())
    newest.write_text(json.dumps(metrics | {"health": {"reconstruction_r2": 0.3}}))
    async with terminal(workspace=workspace) as t:
        await open_rounds(t)
        await t.pilot.press("s")
        await t.pilot.pause()
        assert isinstance(t.app.screen, RoundsScreen)
        assert "restores only 30%" in screen_text(t)
        assert "label.min_r2" in screen_text(t)


@pytest.mark.parametrize(
    ("quality", "least", "is_refused"),
    [(0.3, 0.5, True), (0.5, 0.5, False), (-0.3, 0.0, False), (None, 0.5, False)],
)
def test_synthesis_needs_a_reconstruction_of_at_least_min_r2(
    workspace, config, quality, least, is_refused
):
    make_history(workspace)
    newest = sorted(workspace.rounds_path.glob("*/metrics.json"))[-1]
    newest.write_text(json.dumps({"health": {"reconstruction_r2": quality}}))
    settings = replace(config, label=replace(config.label, min_r2=least))
    refusal = refusal_of_synthesis(workspace, settings)
    assert bool(refusal) is is_refused


@pytest.mark.parametrize(("rate", "text"), [(41.5, "41.5 steps/s"), (0.25, "4.0 s a step")])
def test_slow_training_shows_seconds_for_a_step(rate, text):
    assert rate_text(rate) == text
