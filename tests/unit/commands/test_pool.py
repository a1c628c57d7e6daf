"""``dgaal pool``: what it prints, the question about changed files, and its exit codes."""

import io
import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli import cli
from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel
from dgaal_cli.workspace import Workspace


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "w", ["a.png", "b.png", "c.png"])


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run_dgaal(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dgaal", "-C", str(root), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run_dgaal


def exchange_content(root: Path, name: str) -> None:
    """Let a file have the content of an image that the workspace does not have."""
    other = make_workspace(root.with_name("other"), [f"{number}.png" for number in range(9)])
    (root / "pool" / name).write_bytes((other / "pool/8.png").read_bytes())


def test_status_names_the_command_that_takes_changes_up(root: Path, run):
    assert "next:" not in run("pool", "status").out
    (root / "pool/a.png").rename(root / "pool/\x1b[31mred.png")
    done = run("pool", "status")
    assert done.code == 0
    assert "a.png -> \\u{1b}[31mred.png" in done.out
    assert f"next: dgaal -C {root} pool update" in done.out


def test_json_lists_every_kind(root: Path, run):
    (root / "pool/a.png").rename(root / "pool/sub.png")
    (root / "pool/b.png").unlink()
    document = json.loads(run("pool", "status", "--json").out)
    assert document["renamed"] == [{"old": "a.png", "new": "sub.png"}]
    assert document["missing"] == ["b.png"]
    assert document["unchanged"] == 1
    updated = json.loads(run("pool", "update", "--json").out)
    assert updated["is_applied"]
    assert updated["renamed"] == document["renamed"]


def test_changed_file_is_refused_by_name_without_a_terminal(root: Path, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    exchange_content(root, "a.png")
    done = run("pool", "update")
    assert done.code == 3
    assert "not accepted, because their content changed: a.png" in done.err
    assert "--accept-changed" in done.err
    assert run("pool", "update", "--accept-changed").code == 0
    assert run("pool", "update").out.endswith("nothing to update\n")


def test_folder_exports_leave_out_images_whose_file_has_accepted_content(root: Path, run):
    with open_store(root / "labels.db") as store:
        uid = store.classes()[0].uid
        store.import_labels(
            [
                ImportedLabel(sample_id=SampleId(name), label=as_label(uid), annotator="a")
                for name in ("a.png", "b.png")
            ]
        )
    exchange_content(root, "a.png")
    refused = run("labels", "export", "-f", "imagefolder", "-o", str(root / "out"))
    assert "image a.png has changed since it was labeled" in refused.err
    assert run("pool", "update", "--accept-changed").code == 0
    done = run("labels", "export", "-f", "imagefolder", "-o", str(root / "out"))
    assert done.code == 0, done.err
    assert "1 labels as imagefolder" in done.err
    assert "1 left out, because their files have other content now (a.png@" in done.err
    assert [path.name for path in (root / "out").rglob("*.png")] == ["b.png"]
    assert len(run("labels", "export", "-f", "jsonl").out.splitlines()) == 2


@pytest.mark.parametrize(("answer", "code", "added"), [("y\n", 0, 1), ("n\n", 3, 0)])
def test_changed_file_is_asked_about_on_a_terminal(root, run, monkeypatch, answer, code, added):
    exchange_content(root, "a.png")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = run("pool", "update")
    assert "take 1 changed file as new?" in done.out + done.err
    assert done.code == code
    assert f"the pool is updated: {added} new image" in done.out


def test_dry_run_asks_nothing_and_changes_nothing(root: Path, run, monkeypatch):
    exchange_content(root, "a.png")
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    before = (root / "labels.db").read_bytes()
    done = run("pool", "update", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "nothing was changed (--dry-run)" in done.out
    assert (root / "labels.db").read_bytes() == before


def test_second_update_at_a_time_exits_with_6(root: Path, run):
    with Workspace(root).lock("pool", doing="updating the pool"):
        done = run("pool", "update")
    assert done.code == 6
    assert "updating the pool" in done.err


def test_missing_pool_exits_with_8(root: Path, run):
    (root / "pool").rename(root / "away")
    for command in ("status", "update"):
        done = run("pool", command)
        assert done.code == 8
        assert "no image was set aside" in done.err
