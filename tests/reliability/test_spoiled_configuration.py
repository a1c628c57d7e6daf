"""Every command checks ``dgaal.toml`` by the same ranges and names, before it does anything."""

import json
import re

import pytest
from label_workspaces import make_workspace
from typer.testing import CliRunner

from dgaal_cli.cli import app
from dgaal_cli.data.presence import PoolGoneError
from dgaal_cli.errors import UsageError

NAMES = [f"{number}.png" for number in range(6)]
SPOILED = {
    "method": '"nope"',
    "query.size": "99999999999999999999",
    "query.overlap": "1000000",
    "label.class_keys": '"11"',
    "pool.source": '""',
    "pool.test": '"/dev/zero"',
    "name": '"a\\u001bb"',
    "querry.size": "3",
}
COMMANDS = [
    ["status"],
    ["label", "--plain"],
    ["query"],
    ["labels", "stats"],
    ["labels", "log"],
    ["labels", "classes"],
    ["labels", "disputes"],
    ["labels", "adjudicate", "0.png", "cat"],
    ["labels", "export"],
    ["labels", "import", "labels.csv"],
    ["score", "pool"],
    ["score", "pool", "--artifact", "sampler.onnx"],
    ["generate", "-o", "new"],
    ["train"],
    ["encoders"],
    ["export"],
    ["report"],
]
STORE_CARE = [["labels", "check"], ["labels", "backup"]]


@pytest.fixture
def root(tmp_path, monkeypatch):
    root = make_workspace(tmp_path / "w", NAMES)
    (root / "labels.csv").write_text("path,label\n0.png,cat\n")
    monkeypatch.chdir(root)
    return root


def spoil(root, key, value):
    """Set a key of the file to a value."""
    path = root / "dgaal.toml"
    table, _, name = key.rpartition(".")
    head, tables = path.read_text().split("[pool]")
    head = re.sub(rf"(?m)^{name} = .*\n", "", head) if not table else head
    tables = re.sub(rf"(?m)^{name} = .*\n", "", tables) if table else tables
    line = f"{name} = {value}\n"
    text = f"{head}{'' if table else line}[pool]\n{line if table == 'pool' else ''}{tables}"
    path.write_text(text + (f"[{table}]\n{line}" if table not in ("", "pool") else ""))


def is_refused(arguments, key):
    """Run a command; return whether it ended with the error for this key."""
    error = CliRunner().invoke(app, arguments).exception
    name = {"method": "'nope'", "querry.size": "'querry'"}.get(key, f"'{key}'")
    return isinstance(error, UsageError) and name in str(error) and "\x1b" not in str(error)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_refuses_every_spoiled_value(root, arguments):
    good = (root / "dgaal.toml").read_text()
    for key, value in SPOILED.items():
        spoil(root, key, value)
        assert is_refused(arguments, key), key
        (root / "dgaal.toml").write_text(good)
    assert not any((root / name).exists() for name in ("rounds", "artifacts", "new"))


@pytest.mark.parametrize("arguments", STORE_CARE, ids=" ".join)
def test_labels_are_cared_for_whatever_the_configuration(root, arguments):
    """Also shows that the harness notices a command that does not check."""
    good = (root / "dgaal.toml").read_text()
    for key, value in SPOILED.items():
        (root / "dgaal.toml").write_text(good)
        spoil(root, key, value)
        assert not is_refused(arguments, key)
    assert CliRunner().invoke(app, arguments).exit_code == 0


def test_doctor_names_the_spoiled_value(root):
    spoil(root, "query.overlap", "1000000")
    done = CliRunner().invoke(app, ["--json", "doctor"])
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert found["dgaal.toml"]["level"] == "risk"
    assert "'query.overlap' is 1000000" in found["dgaal.toml"]["found"]


def test_status_shows_that_the_pool_is_another_folder(root):
    assert json.loads(CliRunner().invoke(app, ["--json", "status"]).stdout)["pool_problem"] == ""
    spoil(root, "pool.source", '"/etc"')
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0
    assert "the pool /etc contains none of the images that init read" in done.stdout
    for command in (["label", "--plain"], ["train"]):
        error = CliRunner().invoke(app, command).exception
        assert isinstance(error, PoolGoneError)
        assert error.exit_code == 8
