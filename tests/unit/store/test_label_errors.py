"""``dgaal labels errors``: likely wrong labels of a workspace."""

import json

import numpy as np
import pytest
from class_labels import as_label
from label_workspaces import make_workspace
from PIL import Image
from typer.testing import CliRunner

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.cli import app
from dgaal_cli.errors import UsageError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel, PoolChange

NAMES = [f"{number:03d}.png" for number in range(40)]
WRONG = {7, 12}


def run(root, *arguments):
    return CliRunner().invoke(app, ["-C", str(root), *arguments], catch_exceptions=False)


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace of dark and bright images without labels."""
    root = make_workspace(tmp_path / "w", NAMES, side=16)
    generator = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        pixels = generator.integers(0, 60, (16, 16), np.uint8) + np.uint8(120 * (number % 2))
        Image.fromarray(pixels).save(root / "pool" / name)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    request = InitRequest(
        root=root, pool=str(root / "pool"), base=root, classes=("dark", "bright"), query_size=4
    )
    return init(request).workspace


def label(workspace, numbers, *, wrong=frozenset()):
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(
                    sample_id=NAMES[n],
                    label=as_label(uids[(n + (n in wrong)) % 2]),
                    annotator="a",
                )
                for n in numbers
            ]
        )


def test_planted_errors_are_listed_and_the_labels_stay(workspace):
    label(workspace, range(30), wrong=WRONG)
    with open_store(workspace, read_only=True) as store:
        before = store.labels()
    document = json.loads(run(workspace.root, "--json", "labels", "errors").stdout)
    assert {suspect["sample_id"] for suspect in document["suspects"]} == {NAMES[n] for n in WRONG}
    assert (document["checked"], document["unchecked"], document["flagged"]) == (30, 0, 0)
    (seventh,) = (each for each in document["suspects"] if each["sample_id"] == NAMES[7])
    assert (seventh["given"], seventh["suggested"]) == ("dark", "bright")
    assert seventh["given_probability"] < 0.5 < seventh["suggested_probability"]
    with open_store(workspace, read_only=True) as store:
        assert store.labels() == before
        assert store.flagged() == []


def test_control_correct_labels_are_not_suspect(workspace):
    label(workspace, range(30))
    assert json.loads(run(workspace.root, "--json", "labels", "errors").stdout)["suspects"] == []


def test_flagged_suspects_wait_for_the_review(workspace):
    label(workspace, range(30), wrong=WRONG)
    done = run(workspace.root, "labels", "errors", "--flag", "5", "--annotator", "eve")
    assert done.exit_code == 0
    assert "2 flagged" in done.stderr
    with open_store(workspace, read_only=True) as store:
        assert {item.sample_id for item in store.flagged()} == {NAMES[n] for n in WRONG}
        assert len(store.labels()) == 30
    again = run(workspace.root, "labels", "errors", "--flag", "5", "--annotator", "eve")
    assert "flagged" not in again.stderr
    with open_store(workspace, read_only=True) as store:
        assert len(store.flagged()) == 2


def test_listing_is_limited_and_says_how_many_more(workspace):
    label(workspace, range(30), wrong=WRONG)
    done = run(workspace.root, "labels", "errors", "--top", "1")
    assert len(done.stdout.splitlines()) == 1
    assert "2 of 30 checked labels are likely wrong; 1 more with --top 2" in done.stderr


def test_the_only_label_of_a_class_is_counted_as_unchecked(workspace):
    run(workspace.root, "labels", "classes", "--add", "gray")
    label(workspace, range(30))
    with open_store(workspace) as store:
        gray = store.class_by_name("gray").uid
        store.import_labels(
            [ImportedLabel(sample_id=NAMES[35], label=as_label(gray), annotator="a")]
        )
    done = run(workspace.root, "labels", "errors")
    assert "1 labels could not be checked" in done.stderr


def test_too_few_labels_are_refused_in_one_sentence(workspace):
    label(workspace, [0, 2, 4])
    with pytest.raises(UsageError, match="at least two classes need two labels each"):
        run(workspace.root, "labels", "errors")


def test_labels_of_one_group_do_not_check_each_other(workspace):
    label(workspace, range(30), wrong=WRONG)
    with open_store(workspace) as store:
        ids = [item.item_id for item in store.items()]
        store.change_pool(PoolChange(groups={item: "ab"[at % 2] for at, item in enumerate(ids)}))
    document = json.loads(run(workspace.root, "--json", "labels", "errors").stdout)
    assert document["checked"] == 30
    with open_store(workspace) as store:
        store.change_pool(PoolChange(groups=dict.fromkeys(ids, "a")))
    with pytest.raises(UsageError, match="need two labels each, not of one group"):
        run(workspace.root, "labels", "errors")
