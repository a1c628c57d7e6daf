"""A method that needs only ids queries without pixels, networks and torch."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli.api.query import query
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Warned
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.training import checkpoint
from dgaal_cli.workspace import Workspace

NAMES = [f"{number:03d}.png" for number in range(40)]

PROBE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from dgaal_cli.api.query import query
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.methods.registry import METHODS
from dgaal_cli.workspace import Workspace
METHODS["random"] = replace(METHODS["random"], id_scores={function!r})
opened = set()
sys.addaudithook(lambda event, args: event == "open" and opened.add(str(args[0]).strip("b'")))
workspace = Workspace(Path({root!r}))
try:
    found = query(workspace, configuration(workspace), count=3)
    asked = [item.sample_id for item in found.items]
except Exception:
    asked = []
roots = sorted({{name.partition(".")[0] for name in sys.modules}})
images = sorted(Path(path).name for path in opened if path.endswith(".png"))
print(json.dumps([asked, images, roots]))
"""


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace after the training of round 0 by ``random``."""
    workspace = Workspace(make_workspace(tmp_path / "w", NAMES))
    with workspace.config_path.open("a") as stream:
        stream.write("[query]\nsize = 5\n")
    text = workspace.config_path.read_text()
    workspace.config_path.write_text(text.replace("[pool]", 'method = "random"\n[pool]'))
    with open_store(workspace) as store:
        store.close_query(0)
        uids = [record.uid for record in store.classes()]
    folder = workspace.round_path(1)
    checkpoint.save(folder / "checkpoint", {}, {})
    run = {"method": "random", "class_uids": uids, "watermark": 0, "labels": 0}
    (folder / "run.json").write_text(json.dumps(run))
    return workspace


def ask(workspace, count=None, emit=lambda _: None):
    """Query, and return the names of the asked images."""
    result = query(workspace, configuration(workspace), count=count, emit=emit)
    assert [entry.score for entry in result.entries] == [None] * len(result.entries)
    return [item.sample_id for item in result.items]


def probe(workspace, function):
    """Query in a new process: asked images, opened image files, imported packages."""
    code = PROBE.format(root=str(workspace.root), function=function)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)


def test_query_opens_only_the_images_that_it_asks_and_imports_no_torch(workspace):
    asked, opened, packages = probe(workspace, METHODS["random"].id_scores)
    assert len(asked) == 3
    assert opened == sorted(asked)
    assert not {"torch", "PIL"} & set(packages)


@pytest.mark.slow
def test_control_query_with_networks_is_noticed(workspace):
    """Negative control: without the fact in the registry torch is imported."""
    _, _, packages = probe(workspace, "")
    assert "torch" in packages


def test_missing_and_changed_images_are_not_asked(workspace, tmp_path):
    copy = tmp_path / "copy"
    expected = asked_in_a_copy(workspace, copy)
    pool, warnings = workspace.root / "pool", []
    (pool / expected[0]).unlink()
    (pool / expected[2]).write_bytes(b"other")
    asked = ask(workspace, emit=lambda e: warnings.append(e) if isinstance(e, Warned) else None)
    assert asked[:3] == [expected[1], expected[3], expected[4]]
    assert len(set(asked)) == 5
    assert len(warnings) == 1
    assert expected[0] in warnings[0].message
    with open_store(workspace) as store:
        states = {item.sample_id: item.state for item in store.items() if item.state != "ok"}
    assert states == {expected[0]: "missing", expected[2]: "changed"}


def asked_in_a_copy(workspace, copy):
    """Return what a query of the undamaged workspace asks."""
    shutil.copytree(workspace.root, copy)
    return ask(Workspace(copy))


def test_most_images_missing_leaves_the_others(workspace):
    for name in NAMES[4:]:
        (workspace.root / "pool" / name).unlink()
    assert sorted(ask(workspace)) == NAMES[:4]


def test_request_for_more_images_than_exist_is_refused(workspace):
    for name in NAMES[4:]:
        (workspace.root / "pool" / name).unlink()
    with pytest.raises(UsageError, match="requested 5 images, 4 are unlabeled"):
        ask(workspace, 5)


def test_missing_pool_is_an_error_and_changes_no_image(workspace):
    os.rename(workspace.root / "pool", workspace.root / "away")  # noqa: PTH104
    with pytest.raises(PoolGoneError):
        ask(workspace)
    (workspace.root / "pool").mkdir()
    (workspace.root / "pool/readme.png").write_bytes(b"mount the disk here")
    with pytest.raises(PoolGoneError):
        ask(workspace)
    with open_store(workspace) as store:
        assert {item.state for item in store.items()} == {"ok"}
        assert store.last_query().round == 0


def test_answered_images_are_not_asked(workspace):
    with open_store(workspace) as store:
        label = as_label(store.classes()[0].uid)
        items = store.items()
        store.import_labels(
            [
                ImportedLabel(sample_id=item.sample_id, label=label, annotator="a")
                for item in items[:10]
            ]
        )
        unanswered = set(store.unanswered())
    assert unanswered == {item.item_id for item in items[10:]}
    assert sorted(ask(workspace, 30)) == NAMES[10:]


def test_same_images_are_asked_in_every_run(workspace, tmp_path):
    assert asked_in_a_copy(workspace, tmp_path / "copy") == ask(workspace)


def test_pool_of_other_images_with_the_same_names_is_an_error(workspace):
    for path in (workspace.root / "pool").iterdir():
        path.write_bytes(b"other")
    with pytest.raises(PoolGoneError):
        ask(workspace)
    with open_store(workspace) as store:
        assert {item.state for item in store.items()} == {"ok"}
