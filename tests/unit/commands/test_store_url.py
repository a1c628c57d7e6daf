"""The key ``store`` in ``dgaal.toml`` sets the label store of every command."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from label_workspaces import make_workspace

from dgaal_cli.cli import main
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace


@dataclass
class Done:
    code: object
    stdout: str
    stderr: str


@pytest.fixture
def run(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    monkeypatch.chdir(root)

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["dgaal", "-C", str(root), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Done(ended.value.code or 0, captured.out, captured.err)

    return call


def set_store(root: Path, url: str) -> None:
    config = root / "dgaal.toml"
    config.write_text(f'store = "{url}"\n{config.read_text()}')


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "w", ["1.png", "2.png", "3.png"])


def files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("is_relative", [True, False])
def test_every_command_uses_the_configured_store(run, root: Path, is_relative: bool):
    store_path = root / "labels" / "of-all.db"
    store_path.parent.mkdir()
    (root / "labels.db").rename(store_path)
    set_store(root, f"sqlite:{store_path.relative_to(root) if is_relative else store_path}")
    assert json.loads(run("--json", "status").stdout)["images"] == 3
    assert run("labels", "classes", "--add", "eel").code == 0
    with open_store(store_path) as store:
        assert [record.name for record in store.classes()] == ["cat", "dog", "eel"]
    backup = Path(run("labels", "backup").stdout.strip())
    assert backup.parent == store_path.parent / "backups"
    assert run("labels", "restore").code == 0
    with open_store(Workspace(root), read_only=True) as store:
        assert len(store.items()) == 3
    assert not (root / "labels.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["train"],
        ["query"],
        ["label", "--plain"],
        ["export"],
        ["report"],
        ["doctor"],
        ["labels", "stats"],
        ["labels", "log"],
        ["labels", "check"],
        ["labels", "backup"],
        ["labels", "restore"],
        ["labels", "classes"],
        ["labels", "disputes"],
        ["labels", "export"],
        ["labels", "import", "dgaal.toml", "--format", "csv"],
    ],
    ids=" ".join,
)
def test_unknown_kind_of_store_is_refused_and_changes_no_file(
    run, root: Path, arguments: list[str]
):
    set_store(root, "postgresql://host/labels")
    before = files(root)
    done = run(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == "dgaal: no kind of store is named postgresql; use sqlite:PATH\n"
    assert files(root) == before


def test_store_can_only_be_set_in_dgaal_toml(run, root: Path, monkeypatch: pytest.MonkeyPatch):
    for arguments in (["train", "--set", "store=sqlite:other.db"], ["status"]):
        done = run(*arguments)
        assert (done.code, done.stderr) == (
            2,
            "dgaal: 'store' can only be set in dgaal.toml, for all commands alike\n",
        )
        monkeypatch.setenv("DGAAL_STORE", "sqlite:other.db")
    assert not (root / "other.db").exists()


def test_store_that_is_not_a_string_is_refused(run, root: Path):
    config = root / "dgaal.toml"
    config.write_text("store = 7\n" + config.read_text())
    done = run("labels", "backup")
    assert done.code == 2
    assert "write store = " in done.stderr
