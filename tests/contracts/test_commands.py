"""The contract of every command in the registry of commands."""

import json
import re
import sys

import pytest

from dgaal_cli import cli
from dgaal_cli.cli import COMMANDS
from dgaal_cli.errors import UsageError
from dgaal_cli.runtime.devices import parse_device

EVERY = pytest.mark.parametrize("name", sorted(COMMANDS))
NEEDS_WORKSPACE = ("train", "query", "export", "status")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs dgaal in an empty folder and returns code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run_dgaal(*arguments):
        monkeypatch.setattr(sys, "argv", ["dgaal", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run_dgaal


@EVERY
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_describes_the_command_and_exits_with_0(name, flag, run):
    code, out, _ = run(name, flag)
    assert code == 0
    assert f"Usage: dgaal {name}" in out
    assert len(out.splitlines()) > 4


@pytest.mark.parametrize("name", ["score", "generate", "export"])
def test_help_lists_exactly_the_devices_of_the_engines(name, run):
    with pytest.raises(UsageError) as error:
        parse_device("mps")
    known = str(error.value).partition("; use ")[2]
    assert known == "auto, cpu, cuda or cuda:N"
    assert f"Processor: {known}." in " ".join(run(name, "--help")[1].split())


@EVERY
def test_unknown_option_exits_with_2(name, run):
    code, out, err = run(name, "--no-such-option")
    assert code == 2
    assert "no-such-option" in err
    assert "Traceback" not in out + err


@EVERY
def test_list_of_commands_describes_each_command(name, run):
    _, out, _ = run("--help")
    assert re.search(rf"^  {name} +\S.+", out, re.MULTILINE)


@pytest.mark.parametrize("name", NEEDS_WORKSPACE)
def test_command_outside_a_workspace_suggests_init_and_demo(name, run):
    code, _, err = run(name)
    assert code == 2
    assert "dgaal init" in err
    assert "dgaal demo" in err


@pytest.mark.parametrize("name", NEEDS_WORKSPACE)
def test_folder_that_is_not_a_workspace_is_named_in_the_error(name, run, tmp_path):
    (tmp_path / "\x1b[31mred").mkdir()
    code, _, err = run("-C", "\x1b[31mred", name)
    assert code == 2
    assert "\\u{1b}[31mred is not a workspace" in err
    assert "\x1b" not in err


def test_unknown_command_exits_with_2(run):
    code, _, err = run("trian")
    assert code == 2
    assert "trian" in err


def test_global_options_may_follow_the_command(run):
    before = run("-C", "absent", "--json", "status")
    after = run("status", "--json", "-C", "absent")
    assert before[0] == after[0] == 2
    assert before[2] == after[2]


def test_version_is_printed(run):
    code, out, _ = run("--version")
    assert code == 0
    assert re.fullmatch(r"dgaal \d+\.\d+\.\d+\n", out)


def test_doctor_prints_json_outside_a_workspace(run):
    code, out, _ = run("doctor", "--json")
    assert code == 0
    names = {finding["name"] for finding in json.loads(out)}
    assert {"dgaal", "python", "numpy", "torch", "sqlite", "terminal"} <= names


def test_bug_is_reported_and_traceback_needs_vv(run, monkeypatch):
    monkeypatch.setattr(
        "dgaal_cli.api.doctor.doctor", lambda *_: (_ for _ in ()).throw(KeyError("\x1bboo"))
    )
    code, _, err = run("doctor")
    assert code == 1
    assert "bug in dgaal (KeyError" in err
    assert "\x1b" not in err
    assert "Traceback" not in err
    assert "Traceback" in run("-vv", "doctor")[2]
