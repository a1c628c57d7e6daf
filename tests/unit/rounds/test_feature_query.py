"""A query by features needs neither a training nor torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
from class_labels import as_label
from label_workspaces import make_workspace
from PIL import Image

from dgaal_cli.api.query import query
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.methods.registry import METHODS, load_feature_rule, method_names
from dgaal_cli.rounds import pool_rows as module
from dgaal_cli.rounds.state import round_state
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.training import checkpoint

NAMES = [f"{number:03d}.png" for number in range(40)]
BY_FEATURES = method_names(lambda info: info.feature_rule)

PROBE = """
import json, sys
from pathlib import Path
from dgaal_cli.api.query import query
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.workspace import Workspace
workspace = Workspace(Path({root!r}))
query(workspace, configuration(workspace), count=3)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace without labels, queries and trainings: four colors, ten images each."""
    root = make_workspace(tmp_path / "w", NAMES)
    for number, name in enumerate(NAMES):
        pixels = np.full((8, 8), 20 + 60 * (number % 4) + number // 4, np.uint8)
        Image.fromarray(pixels).save(root / "pool" / name)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    from dgaal_cli.api.init import InitRequest, init

    request = InitRequest(
        root=root, pool=str(root / "pool"), base=root, classes=("cat", "dog"), query_size=4
    )
    return init(request).workspace


def ask(workspace, method="maxherding", count=None):
    """Query; return the result and the warnings."""
    warnings = []

    def listen(event):
        if isinstance(event, Warned):
            warnings.append(event.message)

    config = configuration(workspace, f"method={method}")
    return query(workspace, config, count=count, emit=listen), warnings


def shades(result):
    return sorted(NAMES.index(item.sample_id) % 4 for item in result.items)


def answer_all(workspace):
    with open_store(workspace) as store:
        asked = [store.item(entry.item_id) for entry in store.open_query().entries]
        label = as_label(store.classes()[0].uid)
        store.import_labels(
            [ImportedLabel(sample_id=i.sample_id, label=label, annotator="a") for i in asked]
        )


def state_of(workspace):
    with open_store(workspace) as store:
        return round_state(workspace, store)


@pytest.mark.parametrize("method", BY_FEATURES)
def test_first_query_covers_the_pool_before_any_training(workspace, method):
    result, _ = ask(workspace, method)
    assert shades(result) == [0, 1, 2, 3]
    assert result.strategy == method
    rule = load_feature_rule(configuration(workspace, f"method={method}"))
    assert {entry.reason for entry in result.entries} == {rule.reason}
    assert all(0 <= entry.percentile <= 100 for entry in result.entries)


@pytest.mark.parametrize("method", BY_FEATURES)
def test_labeled_images_count_as_covered(workspace, method):
    with open_store(workspace) as store:
        label = as_label(store.classes()[0].uid)
        store.import_labels(
            [
                ImportedLabel(sample_id=name, label=label, annotator="a")
                for number, name in enumerate(NAMES)
                if number % 4 in (0, 1) and number < 8
            ]
        )
    result, _ = ask(workspace, method, count=2)
    assert set(shades(result)) <= {2, 3}


def label_by_shade(workspace, numbers):
    """Label images of shades 0 and 1 as cats, of shades 2 and 3 as dogs."""
    with open_store(workspace) as store:
        labels = [as_label(record.uid) for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(sample_id=NAMES[n], label=labels[n % 4 // 2], annotator="a")
                for n in numbers
            ]
        )


@pytest.mark.parametrize("method", BY_FEATURES)
def test_query_after_labels_of_two_classes_predicts_the_class(workspace, method):
    label_by_shade(workspace, range(8))
    result, _ = ask(workspace, method, count=20)
    with open_store(workspace) as store:
        names = {record.uid: record.name for record in store.classes()}
    expected = [("cat", "dog")[NAMES.index(i.sample_id) % 4 // 2] for i in result.items]
    assert [names[entry.predicted] for entry in result.entries] == expected
    assert all(entry.probabilities[0][1] > 0.5 for entry in result.entries)


def test_control_query_after_labels_of_one_class_predicts_nothing(workspace):
    label_by_shade(workspace, [0, 1, 4])
    result, _ = ask(workspace, count=20)
    assert {entry.predicted for entry in result.entries} == {None}


def test_uncertain_images_are_asked_first(workspace):
    """Between cats and dogs lies a shade that the model cannot know."""
    label_by_shade(workspace, range(8))
    certain = ask(workspace, "uncertainty-herding", count=4)[0]
    with open_store(workspace) as store:
        store.close_query(certain.round)
    plain = ask(workspace, "maxherding", count=4)[0]
    scores = [max(entry.score for entry in found.entries) for found in (certain, plain)]
    assert scores[0] < scores[1]


def test_control_query_at_random_does_not_cover_the_pool(workspace):
    asked = [shades(ask(workspace, "random")[0])]
    for _ in range(4):
        answer_all(workspace)
        asked.append(shades(ask(workspace, "random")[0]))
    assert any(found != [0, 1, 2, 3] for found in asked)


def test_query_follows_query_without_training(workspace):
    numbers, asked = [], []
    for _ in range(3):
        result, _ = ask(workspace)
        numbers.append(result.round)
        asked += [item.sample_id for item in result.items]
        answer_all(workspace)
    assert numbers == [0, 1, 2]
    assert len(set(asked)) == 12
    state = state_of(workspace)
    assert (state.step, state.number, state.trained) == ("train", 3, None)


def test_other_methods_ask_by_coverage_until_a_round_is_trained_and_say_so(workspace):
    result, warnings = ask(workspace, "margin")
    assert result.strategy == "maxherding"
    assert shades(result) == [0, 1, 2, 3]
    assert warnings[0] == (
        "nothing is trained yet: images are chosen by 'maxherding', not by 'margin'"
    )


def test_answered_query_of_a_trained_round_is_followed_by_coverage(workspace):
    ask(workspace)
    answer_all(workspace)
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
    folder = workspace.round_path(1)
    checkpoint.save(folder / "checkpoint", {}, {})
    run = {"method": "margin", "class_uids": uids, "watermark": 0, "labels": 0}
    (folder / "run.json").write_text(json.dumps(run))
    assert state_of(workspace).step == "query"
    assert ask(workspace, "maxherding")[0].round == 1
    answer_all(workspace)
    result, warnings = ask(workspace, "margin")
    assert result.round == 2
    assert warnings[0].startswith("round 1 has asked its query already: images are chosen by")
    assert state_of(workspace).to_train == 3


def test_synthetic_images_still_need_a_training(workspace):
    with pytest.raises(UsageError, match="nothing is trained yet; run 'dgaal train' first"):
        query(workspace, configuration(workspace), synthetic=2)


def test_open_query_is_not_replaced(workspace):
    ask(workspace)
    with pytest.raises(UsageError, match="round 0 still asks 4 of 4 images"):
        ask(workspace)


def test_changed_images_are_not_asked(workspace):
    first, _ = ask(workspace)
    with open_store(workspace) as store:
        store.close_query(0)
    gone = first.items[0].sample_id
    (workspace.root / "pool" / gone).unlink()
    result, warnings = ask(workspace)
    assert gone not in {item.sample_id for item in result.items}
    assert len(result.items) == 4
    assert any(gone in message for message in warnings)


def test_whole_pool_can_be_asked(workspace):
    assert len(ask(workspace, count=40)[0].items) == 40
    with pytest.raises(UsageError, match="still asks"):
        ask(workspace, count=1)


def test_thumbnails_are_computed_once(workspace, monkeypatch):
    ask(workspace)
    answer_all(workspace)
    monkeypatch.setattr(module, "add_thumbnails", None)
    assert len(ask(workspace)[0].items) == 4


def test_install_line_is_said(workspace):
    _, warnings = ask(workspace)
    assert len(warnings) == 1
    assert "pip install 'dgaal[encoder]'" in warnings[0]


def test_encoder_that_is_not_there_is_said_and_thumbnails_are_used(workspace):
    with workspace.config_path.open("a") as stream:
        stream.write('[encoder]\nsource = "gone.onnx"\n')
    result, warnings = ask(workspace)
    assert shades(result) == [0, 1, 2, 3]
    assert len(warnings) == 1
    assert warnings[0].startswith("images are compared by thumbnails, because ")
    assert "gone.onnx" in warnings[0]


def test_query_without_training_imports_no_torch(workspace):
    code = PROBE.format(root=str(workspace.root))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    packages = set(json.loads(done.stdout))
    assert "numpy" in packages
    assert not {"torch", "sklearn", "scipy"} & packages


def test_feature_rules_are_coverage_methods():
    assert BY_FEATURES == ["dropquery", "kernel-critic", "maxherding", "uncertainty-herding"]
    assert not any(METHODS[name].has_sampler for name in BY_FEATURES)
