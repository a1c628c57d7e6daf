"""Audited images measure the task model on the pool; it never learns their labels."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from class_labels import as_label
from label_workspaces import make_workspace
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.api.query import query
from dgaal_cli.api.status import status
from dgaal_cli.audit.forecast import LabelsAhead
from dgaal_cli.audit.goal import Bounds, Goal
from dgaal_cli.cli import app
from dgaal_cli.errors import CheckFailedError, UsageError, WorkspaceError
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import Press
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.audit_entries import audit_reason, audited_images, is_audit
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.rounds.outlook import GoalState, verdict
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel, Query, QueryEntry
from dgaal_cli.workspace import Workspace

RUNNER = CliRunner()
AUDITED = 40
INSIDE = {"hf": "metadata.jsonl", "imagefolder": ".dgaal-labels.jsonl", "fiftyone": "labels.json"}
"""File with the marks in the folder of an export."""
NAMES = [f"{number:03d}.png" for number in range(120)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Return the folder of a workspace of bright and dark images without labels."""
    root = make_workspace(tmp_path_factory.mktemp("fresh") / "w", NAMES)
    for number, name in enumerate(NAMES):
        pixels = np.full((8, 8), 10 + 120 * (number % 2) + number // 2, np.uint8)
        Image.fromarray(pixels).save(root / "pool" / name)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    request = InitRequest(
        root=root, pool="pool", base=root, classes=("dark", "bright"), query_size=4
    )
    return init(request).workspace.root


@pytest.fixture(scope="module")
def asked(fresh, tmp_path_factory):
    """Return the folder of a workspace with 8 labels that asks 4 images and audits 40."""
    workspace = copy_of(fresh, tmp_path_factory.mktemp("asked"))
    ask(workspace, count=8)
    answer(workspace)
    close(workspace)
    ask(workspace, audit=AUDITED)
    return workspace.root


def copy_of(root, folder):
    return Workspace(Path(shutil.copytree(root, folder / "w")))


@pytest.fixture
def workspace(fresh, tmp_path):
    return copy_of(fresh, tmp_path)


@pytest.fixture
def audit(asked, tmp_path):
    """Return a workspace whose open query audits 40 images."""
    return copy_of(asked, tmp_path)


def ask(workspace, *settings, **options):
    config = configuration(workspace, "method=maxherding", *settings)
    return query(workspace, config, **options)


def answer(workspace, *, wrong=(), without=(), only=None):
    """Answer the open query by brightness; images of ``wrong`` get the other class."""
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        ids = [entry.item_id for entry in store.open_query().entries]
        asked = [store.item(i) for i in ids if i not in without and (only is None or i in only)]
        labels = [
            ImportedLabel(
                sample_id=item.sample_id,
                label=as_label(uids[(NAMES.index(item.sample_id) + (item.item_id in wrong)) % 2]),
                annotator="a",
            )
            for item in asked
        ]
        store.import_labels(labels)


def close(workspace):
    with open_store(workspace) as store:
        store.close_query(store.open_query().round)


def audited(workspace):
    with open_store(workspace) as store:
        return audited_images(store)


def estimate(workspace):
    return status(workspace, configuration(workspace)).estimate


def test_an_audit_is_asked_in_addition_at_random_places(audit):
    with open_store(audit) as store:
        entries = store.open_query().entries
    places = [e.rank for e in entries if is_audit(e.reason)]
    assert (len(entries), len(places)) == (44, 40)
    assert places not in (list(range(1, 41)), list(range(5, 45)))
    assert [e.rank for e in entries] == list(range(1, 45))
    own = [e for e in entries if not is_audit(e.reason)]
    assert all(e.predicted for e in own)
    assert [e.score for e in own] == sorted((e.score for e in own), reverse=True)


def test_reasons_of_audited_images_state_how_they_were_drawn(audit):
    found = audited(audit)
    assert len(found) == 40
    assert {image.total for image in found} == {120 - 8 - 4}
    assert {image.newest for image in found} == {120}
    assert sum({i.stratum.number: i.stratum.share for i in found}.values()) <= 1 + 1e-9
    one = found[0]
    assert is_audit(audit_reason(one.stratum, total=one.total, newest=one.newest))
    assert not is_audit("audit: it looks odd")


def test_audited_images_are_shown_without_a_guess(audit):
    config = configuration(audit, "label.hints=true")
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="a")
    view = session.open()
    session.load_learner()
    ids = {image.item_id for image in audited(audit)}
    with open_store(audit) as store:
        size = len(store.open_query().entries)
    seen = []
    for _ in range(size):
        seen.append(view.image)
        press = Press(kind="cannot_tell", item_id=view.image.item_id)
        view = session.answer(press)
    session.close()
    blind = [image for image in seen if image.item_id in ids]
    assert len(blind) == AUDITED
    assert all(i.is_blind and not i.predicted and not i.probabilities for i in blind)
    assert {(i.reason, i.score) for i in blind} == {("", None)}
    assert any(image.predicted for image in seen if image.item_id not in ids)


def test_the_grid_does_not_offer_audited_images(audit):
    config = configuration(audit)
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="a")
    session.open()
    offered = {image.item_id for image in session.grid()}
    session.close()
    assert offered
    assert not offered & {image.item_id for image in audited(audit)}


def guesses_after_wrong_answers(audit):
    """Answer all audited images wrong in one session; return the guesses before and after."""
    config = configuration(audit)
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="a")
    view = session.open()
    session.load_learner()
    before = {image.item_id: image.probabilities for image in session.grid()}
    uids, presses = [record.uid for record in view.classes], []
    with open_store(audit) as store:
        for image in audited(audit):
            number = NAMES.index(store.item(image.item_id).sample_id) + 1
            label = as_label(uids[number % 2])
            presses.append(Press(kind="label", item_id=image.item_id, label=label))
    session.answer_page(presses)
    after = {image.item_id: image.probabilities for image in session.grid()}
    session.load_learner()
    session.close()
    assert before
    return before, after


def test_the_learner_of_a_session_does_not_learn_audited_images(audit):
    before, after = guesses_after_wrong_answers(audit)
    assert before == after


def test_a_learner_that_learns_audited_images_is_noticed(audit, monkeypatch):
    monkeypatch.setattr("dgaal_cli.labeling.queue.audited_images", lambda _: [])
    before, after = guesses_after_wrong_answers(audit)
    assert before != after


def test_a_learner_that_starts_later_does_not_learn_audited_images(audit):
    answer(audit, wrong={image.item_id for image in audited(audit)})
    config = configuration(audit)
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="b")
    session.open()
    session.load_learner()
    with open_store(audit) as store:
        own = {e.item_id: e.predicted for e in store.open_query().entries if e.predicted}
    found = {image.item_id: image.predicted for image in session.grid()}
    session.close()
    assert found.items() <= own.items()


def test_an_audited_image_that_is_asked_again_has_no_guess(audit):
    ids = [image.item_id for image in audited(audit)][:5]
    close(audit)
    with open_store(audit) as store:
        uid = store.classes()[0].uid
        entries = tuple(
            QueryEntry(
                item_id=item, rank=rank, predicted=uid, probabilities=((uid, 0.9),), reason="near"
            )
            for rank, item in enumerate(ids, start=1)
        )
        store.save_query(Query(round=9, strategy="margin", model_sha=None, entries=entries))
    config = configuration(audit)
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="a")
    view, grid = session.open(), session.grid()
    session.close()
    assert all(i.is_audited and not i.predicted for i in (view.image, *view.upcoming))
    assert grid == ()


def test_labels_of_audited_images_are_not_learned(audit):
    answer(audit)
    ids = {image.item_id for image in audited(audit)}
    with open_store(audit) as store:
        bench = gather(audit, configuration(audit), store, number=2, device=torch.device("cpu"))
    data = bench.data
    assert not ids & set(data.training_ids)
    assert len(data.training_ids) + sum(data.is_held_out) == data.is_labeled.sum() == 52
    rows = [row for row, item in enumerate(data.item_ids) if item in ids]
    assert bench.dataset.is_to_measure[rows].all()


def accuracy_after_wrong_answers(audit):
    """Answer the audited images wrong; return how often a new model repeats these answers."""
    answer(audit, wrong={i.item_id for i in audited(audit)})
    close(audit)
    ask(audit, count=2)
    return estimate(audit).accuracy.value


def test_wrong_answers_of_audited_images_do_not_change_the_model(audit):
    assert accuracy_after_wrong_answers(audit) < 0.3


def test_a_model_that_learns_audited_images_is_noticed(audit, monkeypatch):
    monkeypatch.setattr("dgaal_cli.rounds.pool_labels.audited_images", lambda _: [])
    assert accuracy_after_wrong_answers(audit) > 0.5


def test_status_estimates_the_accuracy(audit):
    answer(audit)
    found = estimate(audit)
    assert (found.audited, found.asked, found.added) == (40, 40, 0)
    assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high
    assert found.at_least < found.accuracy.value


def test_a_label_counts_as_the_store_has_it_now(audit):
    answer(audit)
    before = estimate(audit).accuracy.value
    answer(audit, wrong={image.item_id for image in audited(audit)})
    assert estimate(audit).accuracy.value == pytest.approx(1 - before)


def test_a_new_model_is_measured_on_the_same_audit(audit):
    answer(audit)
    close(audit)
    ask(audit, count=6)
    assert estimate(audit).audited == 40


def test_fewer_than_30_audited_images_are_too_few_to_tell(audit):
    answer(audit, only={image.item_id for image in audited(audit)[:5]})
    found = estimate(audit)
    assert (found.audited, found.asked, found.accuracy) == (5, 40, None)


def test_without_an_audit_there_is_no_estimate(workspace):
    assert estimate(workspace) is None
    ask(workspace)
    assert estimate(workspace) is None


def test_an_audit_before_the_first_label_waits_for_a_model(workspace):
    ask(workspace, audit=30)
    assert (estimate(workspace).audited, estimate(workspace).at_least) == (0, 0.0)
    answer(workspace)
    close(workspace)
    ask(workspace)
    found = estimate(workspace)
    assert found.audited == 0 or found.accuracy is not None


def test_one_class_gives_no_estimate(workspace):
    ask(workspace, count=8, audit=30)
    dark = [i for i in range(1, 121) if i % 2]
    answer(workspace, only=dark)
    close(workspace)
    ask(workspace)
    assert estimate(workspace).accuracy is None


def test_the_bound_ends_at_the_first_image_that_is_not_answered(audit):
    first = audited(audit)[0].item_id
    answer(audit, without={first})
    assert (estimate(audit).audited, estimate(audit).at_least) == (39, 0.0)
    answer(audit)
    assert estimate(audit).at_least > 0.5


def test_images_that_were_added_later_are_reported(audit):
    for number in range(3):
        Image.fromarray(np.full((8, 8), 7 + number, np.uint8)).save(
            audit.root / "pool" / f"new{number}.png"
        )
    assert dgaal(audit, "pool", "update").exit_code == 0
    assert estimate(audit).added == 3


@pytest.mark.parametrize(("least", "count"), [(52, 4), (53, 0)])
def test_the_share_applies_from_some_number_of_labels_on(audit, monkeypatch, least, count):
    answer(audit)
    close(audit)
    monkeypatch.setattr("dgaal_cli.rounds.audit_draw.FROM_LABELS", least)
    assert ask(audit, "audit.share=0.5", count=8).audited == count


def test_an_audit_of_more_images_than_are_left_is_refused(workspace):
    with pytest.raises(UsageError, match="requested an audit of 117 images, 116 are left"):
        ask(workspace, audit=117)


def test_an_audit_keeps_the_budget(workspace):
    assert ask(workspace, "query.budget=10", count=8, audit=20).audited == 2


def dgaal(workspace, *arguments):
    return RUNNER.invoke(app, ["-C", str(workspace.root), *arguments])


def until(workspace, target):
    ended = dgaal(workspace, "status", "--until", target)
    return ended.exit_code, ended.stdout


def test_status_until_exits_with_0_once_the_accuracy_is_reached(audit):
    assert until(audit, "0.5")[0] == 5
    answer(audit)
    code, text = until(audit, "0.5")
    assert (code, text[:8]) == (0, "reached:")
    code, text = until(audit, "0.99")
    assert (code, text[:9]) == (5, "not known")


def test_status_until_says_that_a_model_cannot_reach_the_accuracy(audit):
    answer(audit, wrong={image.item_id for image in audited(audit)})
    code, text = until(audit, "0.9")
    assert code == 5
    assert text.startswith("this model cannot reach 90.0%")


def test_status_until_refuses_what_is_no_accuracy(workspace):
    ended = dgaal(workspace, "status", "--until", "95")
    assert isinstance(ended.exception, UsageError)


def test_status_until_judges_the_recall_of_a_class(audit):
    answer(audit)
    code, text = until(audit, "recall:dark=0.3")
    assert (code, text[:27]) == (0, "reached: the recall of dark")
    assert until(audit, "precision:dark=0.99")[0] == 5


@pytest.mark.parametrize("text", ["recall:gray=0.5", "recall=0.5", "recall:dark=x", "accuracy=0"])
def test_status_until_refuses_what_is_no_goal(audit, text):
    ended = dgaal(audit, "status", "--until", text)
    assert isinstance(ended.exception, UsageError)


def outlook_of(workspace, *settings):
    return status(workspace, configuration(workspace, *settings)).outlook


def test_goals_of_the_configuration_are_judged(audit):
    answer(audit)
    found = outlook_of(audit, "goal.accuracy=0.3", "goal.recall.dark=0.3")
    assert [state.is_reached for state in found.goals] == [True, True]
    assert found.verdict.startswith("you may stop: accuracy is at least ")
    found = outlook_of(audit, "goal.accuracy=0.999")
    assert found.verdict.startswith("not yet: accuracy is between ")
    assert found.verdict.endswith(
        "three measured models are needed to say how many labels are missing"
    )


def test_a_goal_for_a_class_that_does_not_exist_is_reported(audit):
    found = outlook_of(audit, "goal.precision.gray=0.5")
    assert (
        found.verdict == "the goal for precision of gray cannot be judged: no class has this name"
    )


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        ((30.0, 12.5, 80.2), "13 to 81 more labels, 1 to 5 minutes at this pace"),
        (
            (30.0, 12.5, np.inf),
            "at least 13 more labels, perhaps more than the pool has",
        ),
        ((500.0, 12.5, 900.0), "at least 13 more labels, perhaps more than the pool has"),
        ((500.0, 101.0, 900.0), "more labels of this pool likely do not reach it"),
        ((0.0, 0.0, 30.0), "the model likely reaches it, and an audit of more images can show it"),
    ],
)
def test_sentence_of_a_goal_states_the_interval_of_the_labels_that_are_missing(ahead, expected):
    median, low, high = ahead
    state = GoalState(
        goal=Goal(kind="accuracy", target=0.95),
        bounds=Bounds(low=0.8, high=0.97),
        ahead=LabelsAhead(median=median, low=low, high=high),
    )
    found = verdict([state], None, answer_s=4.0, left=100)
    assert found == (f"not yet: accuracy is between 80.0% and 97.0%, the goal is 95.0%; {expected}")


def test_three_measured_models_give_a_forecast(audit):
    answer(audit)
    for _ in range(3):
        close(audit)
        ask(audit, count=4)
        answer(audit)
    document = json.loads(dgaal(audit, "--json", "status").stdout)["outlook"]
    assert document["gain_of_100_labels"]["low"] <= document["gain_of_100_labels"]["high"]
    assert document["verdict"].startswith("100 more labels likely bring ")
    names = [each["name"] for each in document["stopping_criteria"]]
    assert names[:2] == ["stabilizing predictions", "overall uncertainty"]
    assert all(each["value"] is not None for each in document["stopping_criteria"])
    found = outlook_of(audit, "goal.accuracy=1.0")
    assert found.goals[0].ahead is not None


def test_json_of_status_states_the_estimate(audit):
    answer(audit)
    found = json.loads(dgaal(audit, "--json", "status").stdout)["estimate"]
    assert found["low"] <= found["accuracy"] <= found["high"]
    assert (found["level"], found["audited"]) == (0.95, 40)


def test_status_states_recall_and_precision_of_each_class(audit):
    answer(audit)
    found = json.loads(dgaal(audit, "--json", "status").stdout)["estimate"]
    assert [each["name"] for each in found["classes"]] == ["dark", "bright"]
    assert sum(each["audited"] for each in found["classes"]) == 40
    for each in found["classes"]:
        recall = each["recall"]
        assert 0 < recall["low"] <= recall["value"] <= recall["high"] <= 1
    text = dgaal(audit, "status").stdout
    assert "    dark: recall " in text
    assert "  balanced accuracy: " in text


def exported(workspace, name):
    target = workspace.root / f"labels-{name}"
    assert dgaal(workspace, "labels", "export", "-f", name, "-o", str(target)).exit_code == 0
    return target


@pytest.mark.parametrize(
    "name", ["csv", "jsonl", "coco", "labelstudio", "hf", "imagefolder", "fiftyone"]
)
def test_exports_mark_audited_images(audit, name):
    answer(audit)
    with open_store(audit) as store:
        ids = {image.item_id for image in audited_images(store)}
        expected = {item.sample_id: item.item_id in ids for item in store.items()}
    target = exported(audit, name)
    text = (target / INSIDE[name] if name in INSIDE else target).read_text()
    if name == "csv":
        lines = list(csv.DictReader(text.splitlines()))
        found = {line["file_name"]: line["audited"] == "true" for line in lines}
    elif name == "coco":
        document = json.loads(text)
        names = {image["id"]: image["file_name"] for image in document["images"]}
        marks = document["annotations"]
        found = {names[each["image_id"]]: each["attributes"]["audited"] for each in marks}
    elif name == "fiftyone":
        document = json.loads(text)
        found = {f"{stem}.png": stem in document["audited"] for stem in document["labels"]}
    elif name == "labelstudio":
        found = {t["data"]["file_name"]: t["meta"]["audited"] for t in json.loads(text)}
    else:
        lines = map(json.loads, text.splitlines())
        found = {line.get("id", line["file_name"]): line["audited"] for line in lines}
    assert sum(found.values()) == AUDITED
    assert found.items() <= expected.items()
    assert dgaal(audit, "labels", "import", str(target), "-f", name).exit_code == 0


def test_an_export_without_an_audit_has_no_mark(workspace):
    ask(workspace)
    answer(workspace)
    assert "audited" not in exported(workspace, "csv").read_text()
    assert "audited" not in exported(workspace, "jsonl").read_text()
    for name, inside in INSIDE.items():
        assert "audited" not in (exported(workspace, name) / inside).read_text()


def test_a_session_states_the_accuracy_on_the_pool(audit):
    answer(audit)
    config = configuration(audit)
    session = LabelSession(open_store(audit), config=config, workspace=audit, annotator="a")
    assert session.open().estimate is None
    assert session.load_learner().estimate == estimate(audit).accuracy
    session.close()


def test_a_class_without_audited_images_is_too_few_to_tell(audit):
    answer(audit)
    with open_store(audit) as store:
        store.add_class("scratch")
    text = dgaal(audit, "status").stdout
    assert "    scratch: recall: too few to tell (no audited image; about 0 unlabeled" in text
    assert "balanced accuracy" not in text
    assert json.loads(dgaal(audit, "--json", "status").stdout)["estimate"]["accuracy"]


def test_a_damaged_file_of_predictions_gives_no_estimate(audit):
    answer(audit)
    (audit.round_path(1) / "audit.json").write_text("{")
    assert estimate(audit).audited == 0


def test_a_query_asks_the_images_that_resemble_one(workspace):
    result = query(workspace, configuration(workspace), count=4, like="010.png")
    assert result.strategy == "similar"
    assert {item.sample_id for item in result.items} == {
        "006.png",
        "008.png",
        "012.png",
        "014.png",
    }
    assert {entry.reason for entry in result.entries} == {"resembles 010.png"}


def test_a_query_like_an_image_that_does_not_exist_is_refused(workspace):
    ended = dgaal(workspace, "query", "--like", "none.png")
    assert isinstance(ended.exception, UsageError)
    ended = dgaal(workspace, "query", "--like", "010.png", "--synthetic", "2")
    assert isinstance(ended.exception, UsageError)


def test_status_states_how_many_images_of_a_class_are_unlabeled(audit):
    answer(audit)
    found = estimate(audit).unfound
    counts = status(audit, configuration(audit)).counts
    assert len(found) == 2
    for uid, left in found.items():
        true = 60 - counts.by_class[uid]
        assert left.low <= true <= left.high
        assert left.low < left.value < left.high
    assert "; about " in dgaal(audit, "status").stdout


def test_later_labels_lower_the_number_of_unlabeled_images(audit):
    answer(audit)
    before = sum(left.value for left in estimate(audit).unfound.values())
    close(audit)
    ask(audit, count=6)
    answer(audit)
    assert sum(left.value for left in estimate(audit).unfound.values()) == pytest.approx(before - 6)


def test_a_change_of_an_older_label_does_not_lower_the_number_of_unlabeled_images(audit):
    answer(audit)
    before = {uid: left.value for uid, left in estimate(audit).unfound.items()}
    with open_store(audit) as store:
        asked_now = {entry.item_id for entry in store.open_query().entries}
        older = [record for record in store.labels() if record.item_id not in asked_now]
        other = {record.uid: as_label(record.uid) for record in store.classes()}
        changes = [
            ImportedLabel(
                sample_id=record.sample_id,
                label=next(label for label in other.values() if label != record.label),
                annotator="a",
            )
            for record in older
        ]
        store.import_labels(changes)
    assert len(older) == 8
    assert {uid: left.value for uid, left in estimate(audit).unfound.items()} == before


def test_a_plan_starts_from_the_workspace(workspace):
    document = json.loads(dgaal(workspace, "--json", "plan", "--hours", "0.1").stdout)
    assert not document["is_pace_known"]
    assert sum(each["images"] for each in document["rounds"]) == 72
    text = dgaal(workspace, "plan").stdout
    assert text.splitlines()[-1].split()[-2:] == ["120", "unknown"]
    assert isinstance(dgaal(workspace, "plan", "--hours", "0").exception, UsageError)


def accept(workspace, *options):
    return dgaal(workspace, "labels", "accept-predicted", *options)


def test_predictions_are_accepted_and_marked_and_revoked_as_one(audit):
    answer(audit)
    before = status(audit, configuration(audit)).counts
    ended = accept(audit, "--max-error", "0.4")
    assert ended.exit_code == 0, ended.stderr
    lines = list(csv.DictReader(exported(audit, "csv").read_text().splitlines()))
    predicted = [line for line in lines if line["provenance"] == "predicted"]
    assert len(predicted) == int(ended.stdout.split()[0]) > 0
    assert len(lines) == before.labeled + len(predicted)
    names = {line["file_name"]: line["label"] for line in predicted}
    right = [label == ("dark", "bright")[NAMES.index(name) % 2] for name, label in names.items()]
    assert np.mean(right) > 0.6
    assert status(audit, configuration(audit)).counts == before
    assert accept(audit, "--revoke").stdout == "accepted predictions revoked\n"
    (audit.root / "labels-csv").unlink()
    assert "predicted" not in exported(audit, "csv").read_text()
    assert accept(audit, "--revoke").stdout == "no predictions are accepted\n"


@pytest.mark.parametrize("name", ["csv", "jsonl", "coco", "labelstudio", "hf"])
def test_accepted_predictions_are_never_imported_as_labels(audit, name):
    answer(audit)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    target = exported(audit, name)
    text = (target / "metadata.jsonl" if name == "hf" else target).read_text()
    assert '"predicted"' in text or ",predicted," in text
    before = status(audit, configuration(audit)).counts
    ended = dgaal(audit, "labels", "import", str(target), "-f", name)
    assert ended.exit_code == 0, ended.stderr
    assert status(audit, configuration(audit)).counts == before


def test_a_corrected_prediction_becomes_a_label_of_who_imports_it(audit):
    answer(audit)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    target, changed = exported(audit, "csv"), []
    lines = target.read_text().splitlines()
    for at, line in enumerate(lines):
        if ",predicted," in line and not changed:
            changed = line.split(",")
            changed[1] = "dark" if changed[1] == "bright" else "bright"
            lines[at] = ",".join(changed)
    target.write_text("\n".join(lines) + "\n")
    options = ("-f", "csv", "--annotator", "eve")
    assert dgaal(audit, "labels", "import", str(target), *options).exit_code == 0
    with open_store(audit) as store:
        own = [a for a in store.answers() if a.annotator == "eve"]
        assert not [a for a in store.answers() if a.annotator == "model"]
    assert [(a.sample_id, a.provenance) for a in own] == [(changed[0], "imported")]


@pytest.mark.parametrize("name", ["imagefolder", "fiftyone"])
def test_formats_that_cannot_mark_predictions_leave_them_out(audit, name):
    answer(audit)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    target = audit.root / "folder"
    ended = dgaal(audit, "--json", "labels", "export", "-f", name, "-o", str(target))
    found = json.loads(ended.stdout)
    assert found["count"] == status(audit, configuration(audit)).counts.labeled
    assert found["predicted_left_out"] > found["predicted"] == 0


def test_predictions_of_a_class_that_was_merged_are_not_accepted(audit, monkeypatch):
    monkeypatch.setattr("dgaal_cli.api.accept_predicted.most_errors", lambda *_: 0.0)
    answer(audit)
    close(audit)
    assert dgaal(audit, "labels", "classes", "--merge", "bright", "dark").exit_code == 0
    ended = accept(audit, "--max-error", "0.5")
    assert ended.exit_code == 0, ended.stderr
    lines = list(csv.DictReader(exported(audit, "csv").read_text().splitlines()))
    predicted = [line for line in lines if line["provenance"] == "predicted"]
    assert len(predicted) == int(ended.stdout.split()[0]) > 0
    assert {line["label"] for line in predicted} == {"dark"}


def test_status_states_the_accepted_predictions_that_stand(audit):
    answer(audit)
    assert json.loads(dgaal(audit, "--json", "status").stdout)["accepted_predictions"] is None
    count = int(accept(audit, "--max-error", "0.4").stdout.split()[0])
    assert f"  {count} predictions stand accepted by " in dgaal(audit, "status").stdout
    assert "labels accept-predicted --revoke' takes them back" in dgaal(audit, "status").stdout
    close(audit)
    ask(audit, count=4)
    answer(audit)
    found = json.loads(dgaal(audit, "--json", "status").stdout)["accepted_predictions"]
    assert count - 4 <= found["count"] < count
    assert found["error_at_most"] <= found["max_error"] == 0.4
    assert accept(audit, "--revoke").exit_code == 0
    assert "predictions stand accepted" not in dgaal(audit, "status").stdout


def test_status_reports_a_damaged_file_of_accepted_predictions(audit):
    (audit.root / "predicted.json").write_text("{")
    ended = dgaal(audit, "status")
    assert ended.exit_code == 0
    assert "predicted.json is damaged; revoke its predictions with " in ended.stdout


def accepted_numbers(workspace):
    """Return the numbers of the images whose predictions stand accepted."""
    lines = csv.DictReader(exported(workspace, "csv").read_text().splitlines())
    names = {line["file_name"] for line in lines if line["provenance"] == "predicted"}
    with open_store(workspace) as store:
        return {item.item_id for item in store.items() if item.sample_id in names}


def test_predictions_of_images_that_one_audit_does_not_cover_are_not_accepted(audit, monkeypatch):
    answer(audit)
    first, *others = audited(audit)
    images = [replace(first, newest=60), *others]
    monkeypatch.setattr("dgaal_cli.api.accept_predicted.audited_images", lambda _: images)
    monkeypatch.setattr("dgaal_cli.api.accept_predicted.most_errors", lambda *_: 0.0)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    assert 0 < max(accepted_numbers(audit)) <= 60


def test_predictions_of_images_asked_with_an_audit_are_not_accepted(audit, monkeypatch):
    monkeypatch.setattr("dgaal_cli.api.accept_predicted.most_errors", lambda *_: 0.0)
    drawn = {image.item_id for image in audited(audit)}
    with open_store(audit) as store:
        beside = {entry.item_id for entry in store.open_query().entries} - drawn
    answer(audit, only=drawn)
    close(audit)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    accepted = accepted_numbers(audit)
    assert accepted
    assert not accepted & beside


def test_an_answer_counts_instead_of_an_accepted_prediction(audit):
    answer(audit)
    assert accept(audit, "--max-error", "0.4").exit_code == 0
    count = exported(audit, "jsonl").read_text().count('"predicted"')
    close(audit)
    ask(audit, count=4)
    answer(audit)
    (audit.root / "labels-jsonl").unlink()
    assert exported(audit, "jsonl").read_text().count('"predicted"') < count


def test_predictions_are_not_accepted_at_an_error_that_the_audit_does_not_show(audit):
    answer(audit, wrong={image.item_id for image in audited(audit)})
    ended = accept(audit, "--max-error", "0.1")
    assert isinstance(ended.exception, CheckFailedError)
    assert "predictions with at most 10.0% errors are requested" in str(ended.exception)
    assert not (audit.root / "predicted.json").exists()


def test_accepting_without_enough_audited_images_is_refused(audit):
    assert "0 audited images are answered" in str(accept(audit, "--max-error", "0.4").exception)
    assert isinstance(accept(audit, "--max-error", "2").exception, UsageError)
    assert isinstance(accept(audit).exception, UsageError)


def test_a_damaged_file_of_accepted_predictions_is_reported(audit):
    (audit.root / "predicted.json").write_text("{")
    ended = dgaal(audit, "labels", "export", "-f", "csv", "-o", str(audit.root / "x.csv"))
    assert isinstance(ended.exception, WorkspaceError)
    assert accept(audit, "--revoke").exit_code == 0
