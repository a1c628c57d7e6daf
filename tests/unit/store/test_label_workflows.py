"""``dgaal labels`` commands on a workspace with real image files."""

import json
from pathlib import Path

import pytest
from class_labels import as_label, name_of
from typer.testing import CliRunner

from dgaal_cli.api import labels as workflow
from dgaal_cli.api.label import label
from dgaal_cli.cli import app
from dgaal_cli.config.load import load_config
from dgaal_cli.errors import BusyError, UsageError, WorkspaceError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.labeling.view import Press
from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.open import open_store, store_location
from dgaal_cli.store.records import Answer, ImportedLabel, Label, Query, QueryEntry
from dgaal_cli.store.sqlite import backups
from dgaal_cli.workspace import Workspace

runner = CliRunner()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    import hashlib

    from PIL import Image

    from dgaal_cli.store.records import NewItem

    root = tmp_path / "ws"
    (root / "pool").mkdir(parents=True)
    (root / "dgaal.toml").write_text('version = 1\n[pool]\nsource = "pool"\n')
    with store_location(root / "labels.db").create() as store:
        uid = store.add_class("cat").uid
        store.add_class("dog")
        for number in range(3):
            path = root / "pool" / f"{number}.png"
            Image.new("L", (8, 8), number * 20).save(path)
            digest = hashlib.sha256(path.read_bytes()).digest()
            size = path.stat().st_size
            store.add_items(
                [NewItem(sample_id=path.name, sha256=digest, size_bytes=size, width=8, height=8)]
            )
        answer = Answer(op_id="1", kind="label", item_id=1, label=as_label(uid), elapsed_ms=900)
        store.submit(answer, annotator="sam", session="s")
    return Workspace(root)


def run(workspace: Workspace, *arguments: str):
    return runner.invoke(app, ["-C", str(workspace.root), *arguments], catch_exceptions=True)


def test_labels_are_exported_to_stdout_and_imported_again(workspace, tmp_path):
    result = run(workspace, "labels", "export", "--format", "csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].startswith("0.png,cat,sam,human,20")
    assert run(workspace, "labels", "export", "-f", "csv", "-o", "-").stdout == result.stdout
    table = tmp_path / "in.csv"
    table.write_text("file_name,label\n1.png,dog\n")
    dry = run(workspace, "labels", "import", str(table), "--dry-run", "--annotator", "eve")
    assert "would import 1 labels" in dry.stdout
    result = run(workspace, "--json", "labels", "import", str(table), "--annotator", "eve")
    assert json.loads(result.stdout) == {
        "format": "csv",
        "added": 1,
        "replaced": 0,
        "unchanged": 0,
        "older": 0,
        "left_out": 0,
        "unknown": [],
        "by_part": {},
        "passed_over": {},
        "cleared": 0,
        "conflicts": [],
        "overruled": [],
        "new_classes": [],
        "is_dry_run": False,
    }
    with open_store(workspace.store_path) as store:
        assert [(r.sample_id, name_of(store, r), r.annotator) for r in store.labels()] == [
            ("0.png", "cat", "sam"),
            ("1.png", "dog", "eve"),
        ]


def test_answers_that_differ_between_copies_are_listed(workspace, tmp_path):
    copy = tmp_path / "copy.jsonl"
    newest = {"op_id": "of the copy", "at": "2999-01-01T00:00:00Z", "annotator": "sam"}
    copy.write_text(json.dumps({"file_name": "0.png", "label": "dog", **newest}))
    result = run(workspace, "labels", "import", str(copy), "--dry-run")
    assert "would import 1 labels" in result.stdout
    assert "1 answers differ between the copies; the newer one counts:" in result.stdout
    assert "0.png  sam: dog (2999-01-01 00:00:00), not cat (2" in result.stdout
    (conflict,) = json.loads(run(workspace, "--json", "labels", "import", str(copy)).stdout)[
        "conflicts"
    ]
    assert (conflict["sample_id"], conflict["annotator"]) == ("0.png", "sam")
    assert (conflict["kept"], conflict["dropped"]) == ("dog", "cat")
    assert conflict["kept_at"] > conflict["dropped_at"]
    assert json.loads(run(workspace, "--json", "labels", "stats").stdout)["by_class"] == [
        ["cat", 0],
        ["dog", 1],
    ]


def test_imagefolder_export_links_to_the_pool(workspace, tmp_path):
    target = tmp_path / "out"
    result = run(workspace, "labels", "export", "-f", "imagefolder", "-o", str(target))
    assert result.exit_code == 0, result.output
    assert (target / "cat" / "0.png").readlink() == workspace.root / "pool" / "0.png"
    assert (target / "dog").is_dir()


def test_export_writes_array_rows_as_images(workspace, tmp_path):
    import numpy as np
    from PIL import Image

    np.savez(workspace.root / "pool.npz", x=np.full((2, 4, 4), 7, np.uint8))
    workspace.config_path.write_text('version = 1\n[pool]\nsource = "pool.npz"\n')
    workspace.store_path.unlink()
    from dgaal_cli.data.sources import open_source
    from dgaal_cli.store.records import NewItem

    entry = next(iter(open_source("pool.npz", base=workspace.root).entries()))
    with store_location(workspace.store_path).create() as store:
        uid = store.add_class("cat").uid
        store.add_items(
            [NewItem(sample_id=entry.id, sha256=b"x" * 32, size_bytes=1, width=4, height=4)]
        )
        answer = Answer(op_id="1", kind="label", item_id=1, label=as_label(uid))
        store.submit(answer, annotator="sam", session="s")
    result = run(workspace, "labels", "export", "-f", "hf", "-o", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    (image,) = (tmp_path / "out").rglob("*.png")
    with Image.open(image) as opened:
        assert (opened.size, opened.getpixel((0, 0))) == ((4, 4), 7)


def test_label_log_lists_newest_event_first(workspace):
    with open_store(workspace.store_path) as store:
        store.undo("sam", "s")
    lines = run(workspace, "labels", "log").stdout.splitlines()
    assert lines[0].endswith("sam  undo of #1  0.png")
    assert lines[1].endswith("sam  label cat  0.png")
    assert len(run(workspace, "labels", "log", "-n", "1").stdout.splitlines()) == 1
    (newest, _) = json.loads(run(workspace, "--json", "labels", "log", "--all").stdout)
    assert (newest["kind"], newest["refers_to"]) == ("undo", 1)


def test_stats_count_classes_annotators_and_provenance(workspace):
    stats = json.loads(run(workspace, "--json", "labels", "stats").stdout)
    assert stats["by_class"] == [["cat", 1], ["dog", 0]]
    assert stats["by_annotator"] == [["sam", 1]]
    assert stats["by_provenance"] == [["human", 1]]
    assert (stats["median_ms"], stats["disagreements"]) == (900, 0)
    assert "1 of 3 images labeled" in run(workspace, "labels", "stats").stdout


def test_check_repairs_state_from_the_events(workspace):
    assert run(workspace, "labels", "check").stdout.startswith("no problems: 1 events")
    with open_store(workspace.store_path) as store, store.database.write() as connection:
        connection.execute("DELETE FROM verdict")
    with pytest.raises(WorkspaceError, match="do not match the events"):
        runner.invoke(
            app,
            ["-C", str(workspace.root), "labels", "check"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    result = workflow.check(workspace, repairs=True)
    assert (result.problems, result.mended, result.events) == ((), 1, 1)


def test_restore_uses_backup_and_keeps_damaged_store(workspace):
    made = Path(run(workspace, "labels", "backup").stdout.strip())
    assert backups.verify(made) == 1
    garbage = b"\xa5" * 9000
    workspace.store_path.write_bytes(garbage)
    with pytest.raises(WorkspaceError):
        open_store(workspace.store_path)
    restored = workflow.restore(workspace)
    assert (restored.backup, restored.events) == (made, 1)
    assert restored.set_aside.read_bytes() == garbage
    with open_store(workspace.store_path) as store:
        assert [name_of(store, label) for label in store.labels()] == ["cat"]
    assert not list(workspace.root.glob(".*tmp"))


def test_restore_skips_damaged_backups_and_fails_without_intact_one(workspace):
    intact = workflow.backup(workspace)
    broken = intact.with_name("labels-99999999T000000-000000Z-manual.db")
    broken.write_bytes(b"broken")
    assert workflow.restore(workspace).backup == intact
    intact.unlink()
    before = workspace.store_path.read_bytes()
    with pytest.raises(WorkspaceError, match="no intact backup"):
        workflow.restore(workspace)
    assert workspace.store_path.read_bytes() == before


@pytest.mark.parametrize("name", ["train", "label-sam", "labels.db"])
def test_restore_is_refused_while_the_store_is_in_use(workspace, name):
    workflow.backup(workspace)
    with workspace.lock(name, doing="working"), pytest.raises(BusyError, match="working"):
        workflow.restore(workspace)


def test_synthetic_images_are_exported_only_on_request(workspace, tmp_path):
    import hashlib

    from dgaal_cli.store.records import NewSynthetic

    folder = workspace.round_path(0) / "synthetic"
    folder.mkdir(parents=True)
    (folder / "000001.png").write_bytes(b"drawn")
    with open_store(workspace.store_path) as store:
        made = store.add_synthetic(
            [
                NewSynthetic(
                    sample_id="synthetic/000/000001.png",
                    sha256=hashlib.sha256(b"drawn").digest(),
                    size_bytes=5,
                    width=8,
                    height=8,
                    parent=1,
                    round=0,
                    inherited=as_label(store.class_by_name("dog").uid),
                )
            ]
        )
        store.promote_synthetic(made, 0)
    result = run(workspace, "labels", "export", "-f", "jsonl")
    assert [json.loads(line)["file_name"] for line in result.stdout.splitlines()] == ["0.png"]
    assert "1 of synthetic images omitted" in result.stderr
    target = tmp_path / "out"
    run(workspace, "labels", "export", "-f", "hf", "-o", str(target), "--include-synthetic")
    assert (target / "synthetic" / "000" / "000001.png").read_bytes() == b"drawn"
    lines = [json.loads(line) for line in (target / "metadata.jsonl").read_text().splitlines()]
    assert [line["provenance"] for line in lines] == ["human", "inherited"]


def listed(done) -> list[tuple[str, int]]:
    assert done.exit_code == 0, done.output
    return [(entry["name"], entry["labels"]) for entry in json.loads(done.stdout)]


def test_classes_are_listed_added_renamed_ordered_and_removed(workspace):
    before = json.loads(run(workspace, "--json", "labels", "classes").stdout)
    assert [(entry["name"], entry["labels"]) for entry in before] == [("cat", 1), ("dog", 0)]

    def classes(*arguments: str) -> list[tuple[str, int]]:
        return listed(run(workspace, "--json", "labels", "classes", *arguments))

    assert classes("--add", "eel") == [("cat", 1), ("dog", 0), ("eel", 0)]
    assert classes("--rename", "cat", "lynx") == [("lynx", 1), ("dog", 0), ("eel", 0)]
    assert classes("--order", "eel, dog") == [("eel", 0), ("dog", 0), ("lynx", 1)]
    assert classes("--remove", "dog") == [("eel", 0), ("lynx", 1)]
    after = json.loads(run(workspace, "--json", "labels", "classes").stdout)
    assert after[1]["uid"] == before[0]["uid"]
    with open_store(workspace.store_path) as store:
        assert [name_of(store, label) for label in store.labels()] == ["lynx"]
    output = run(workspace, "labels", "classes").stdout
    assert output == "      0  eel\n      1  lynx\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "cat"], "1 answers name it"),
        (["--rename", "cow", "bull"], "no class is named cow"),
        (["--rename", "cat", "Dog"], "exists already as dog"),
        (["--order", "dog,dog"], "named twice"),
        (["--order", "dgo"], "did you mean 'dog'"),
        (["--add", "a", "--remove", "b"], "one of --add"),
    ],
)
def test_invalid_class_change_is_refused_completely(workspace, arguments, message):
    with pytest.raises(UsageError, match=message):
        runner.invoke(
            app,
            ["-C", str(workspace.root), "labels", "classes", *arguments],
            catch_exceptions=False,
        )
    assert listed(run(workspace, "--json", "labels", "classes")) == [("cat", 1), ("dog", 0)]


def answer_of_copy(kind: str, label: Label | None) -> ImportedLabel:
    return ImportedLabel(
        sample_id=SampleId("1.png"),
        label=label,
        kind=kind,
        annotator="sam",
        at="2999-01-01",
        op_id="of a copy",
    )


@pytest.mark.parametrize("kind", ["label", "undo"])
def test_session_shows_an_imported_answer_and_that_undo_does_not_change_it(workspace, kind):
    with open_store(workspace) as store:
        cat, dog = (as_label(record.uid) for record in store.classes())
        entry = QueryEntry(item_id=ItemId(2), rank=1)
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=(entry,)))
    with label(
        workspace, load_config(workspace.config_path, environment={}), annotator="sam"
    ) as session:
        session.open()
        session.answer(Press(op_id="a", kind="label", item_id=ItemId(2), label=cat, elapsed_ms=9))
        with open_store(workspace) as store:
            store.import_labels([answer_of_copy(kind, dog if kind == "label" else None)])
        expected = [(ItemId(2), dog)] if kind == "label" else []
        for change in (session.undo, session.redo):
            assert "nothing changed: what was imported" in change().note
            given = [(answer.item_id, answer.label) for answer in session.review()]
            assert given == [*expected, (ItemId(1), cat)]
    log = run(workspace, "labels", "log", "--all").stdout
    assert f"import {'dog' if kind == 'label' else 'undo'}" in log


def test_export_does_not_replace_a_file_that_is_no_export(workspace, tmp_path):
    target = tmp_path / "notes.csv"
    target.write_text("my notes\n")
    result = run(workspace, "labels", "export", "-o", str(target))
    assert target.read_text() == "my notes\n"
    assert "is no export in this format" in str(result.exception)
    target.write_text("")
    for _ in range(2):  # an empty file, and an export
        assert run(workspace, "labels", "export", "-o", str(target)).exit_code == 0


def test_csv_that_another_program_wrote_back_is_read(workspace, tmp_path):
    table = tmp_path / "in.csv"
    table.write_text("file_name,label,round\n1.png,dog,1.0\n")
    assert run(workspace, "labels", "import", str(table), "--annotator", "eve").exit_code == 0
    table.write_text("file_name;label\n1.png;dog\n")
    result = run(workspace, "labels", "import", str(table))
    assert "separated by ';', write commas" in str(result.exception)


def test_review_lists_labels_of_others_and_decides_them(workspace):
    with open_store(workspace) as store:
        cat, dog = (as_label(record.uid) for record in store.classes())
        store.import_labels(
            [
                ImportedLabel(
                    sample_id=SampleId(f"{number}.png"), label=cat, annotator=who, at="2020-01-01"
                )
                for number, who in ((1, SOURCE), (2, "eve"))
            ]
        )
    config = load_config(workspace.config_path, environment={})
    with label(workspace, config, annotator="sam") as session:
        session.open()
        listed = {answer.sample_id: answer.given_by for answer in session.review()}
        assert listed == {"0.png": "", "1.png": SOURCE, "2.png": "eve"}
        for label_, name in ((dog, "dog"), (cat, "cat"), (dog, "dog")):
            for given in session.review():
                press = Press(
                    op_id=f"{name}{given.event_id}",
                    kind="label",
                    item_id=given.item_id,
                    label=label_,
                    elapsed_ms=9,
                )
                assert session.change(press).note == ""
            with open_store(workspace, read_only=True) as store:
                assert {record.label for record in store.labels()} == {label_}
                assert store.disputed_ids() == set()
        assert not any(answer.given_by for answer in session.review())
        with open_store(workspace, read_only=True) as store:
            kinds = {a.sample_id: a.kind for a in store.answers() if a.annotator == "sam"}
        assert kinds == {"0.png": "label", "1.png": "adjudicate", "2.png": "adjudicate"}
