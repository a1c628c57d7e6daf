"""The Python API is there by its names, typed as what it loads, documented, and silent."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import dgaal_cli

VERBS = {
    "init",
    "train",
    "query",
    "label",
    "export",
    "score",
    "generate",
    "simulate",
    "report",
    "report_simulation",
    "status",
    "doctor",
    "demo",
    "open_workspace",
    "configuration",
}
LABEL_VERBS = {
    "export_labels",
    "import_labels",
    "label_log",
    "label_stats",
    "class_list",
    "add_class",
    "rename_class",
    "remove_class",
    "order_classes",
    "disputes",
    "adjudicate",
    "check",
    "backup",
    "restore",
}


def test_every_public_name_loads_and_is_documented():
    for name in dgaal_cli.__dir__():
        value = getattr(dgaal_cli, name)
        assert isinstance(value, str) if name == "__version__" else value.__doc__


def test_every_command_has_its_function():
    from typer.main import get_group

    from dgaal_cli.cli import app

    assert set(get_group(app).commands) <= VERBS | {"labels"} <= set(dgaal_cli.__dir__())
    assert all(hasattr(dgaal_cli.labels, name) for name in LABEL_VERBS)


def undocumented(function) -> list[str]:
    """The parameters that a docstring leaves out."""
    doc = inspect.getdoc(function) or ""
    given = [p.strip("*") for p in map(str, inspect.signature(function).parameters)]
    return [name for name in given if f"{name}:" not in doc]


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_parameter_of_a_verb_is_documented(name):
    assert undocumented(getattr(dgaal_cli, name)) == []


def test_a_parameter_without_a_word_is_found():
    def bad(workspace, depth):
        """Do it.

        Args:
            workspace: Where.
        """

    assert undocumented(bad) == ["depth"]


def writes_to_the_terminal(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "print":
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            return True
    return False


def test_no_verb_prints():
    assert writes_to_the_terminal("import sys\nsys.stdout.write('a')")
    assert writes_to_the_terminal("print('a')")
    folder = Path(import_module("dgaal_cli.api").__path__[0])
    noisy = [p.name for p in folder.glob("*.py") if writes_to_the_terminal(p.read_text("utf-8"))]
    assert noisy == []


def test_the_package_imports_no_verb_before_it_is_used():
    code = "import sys, dgaal_cli; print([m for m in sys.modules if m.startswith('dgaal_cli.api')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(dgaal_cli, "no_such_name")


def test_a_round_from_python(tmp_path, capsys):
    result = dgaal_cli.init(
        dgaal_cli.InitRequest(
            root=tmp_path / "w",
            pool="builtin:digits",
            base=tmp_path,
            preset="tiny",
            classes=["0", "1"],
        )
    )
    workspace = dgaal_cli.open_workspace(tmp_path / "w")
    config = dgaal_cli.configuration(workspace, "query.size=7", "pretrain.min_steps=3")
    assert (result.images, config.query.size) == (1797, 7)
    status = dgaal_cli.status(workspace, config)
    assert (status.counts.unlabeled, status.next_step) == (1797, "train")
    with dgaal_cli.label(workspace, config, annotator="ann") as session:
        assert session.open().state == "empty"
        assert "ten" in {record.name for record in session.add_class("ten").classes}
    assert [listed.name for listed in dgaal_cli.labels.class_list(workspace)] == ["0", "1", "ten"]
    assert dgaal_cli.labels.check(workspace).problems == ()
    assert capsys.readouterr() == ("", "")
