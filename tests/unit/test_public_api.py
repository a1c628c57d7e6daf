"""The Python API: its public names load, are documented, and print nothing."""

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
    "compute_features",
    "list_encoders",
    "export_encoder",
    "open_workspace",
    "configuration",
}
NOUNS = {"features": "compute_features", "encoders": "list_encoders"}
"""Commands whose name is that of a package, and their functions."""
LABEL_VERBS = {
    "export_labels",
    "import_labels",
    "label_log",
    "label_stats",
    "class_list",
    "add_class",
    "rename_class",
    "remove_class",
    "merge_classes",
    "order_classes",
    "disputes",
    "adjudicate",
    "label_errors",
    "check",
    "backup",
    "restore",
}


def test_every_public_name_loads_and_has_a_docstring():
    for name in dgaal_cli.__dir__():
        value = getattr(dgaal_cli, name)
        assert isinstance(value, str) if name == "__version__" else value.__doc__


def test_every_command_has_a_function_in_the_api():
    from typer.main import get_group

    from dgaal_cli.cli import app

    functions = {NOUNS.get(name, name) for name in get_group(app).commands}
    assert functions <= VERBS | {"labels", "pool"} <= set(dgaal_cli.__dir__())
    assert all(hasattr(dgaal_cli.labels, name) for name in LABEL_VERBS)
    assert all(hasattr(dgaal_cli.pool, name) for name in ("pool_status", "pool_update"))


def undocumented(function) -> list[str]:
    """Return the parameters that the docstring does not describe."""
    doc = inspect.getdoc(function) or ""
    parameters = [p.strip("*") for p in map(str, inspect.signature(function).parameters)]
    return [name for name in parameters if f"{name}:" not in doc]


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_parameter_of_every_verb_is_documented(name):
    assert undocumented(getattr(dgaal_cli, name)) == []


def test_undocumented_parameter_is_detected():
    def partly_documented(workspace, depth):
        """Do it.

        Args:
            workspace: Where.
        """

    assert undocumented(partly_documented) == ["depth"]


def writes_to_the_terminal(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "print":
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            return True
    return False


def test_api_modules_do_not_print():
    assert writes_to_the_terminal("import sys\nsys.stdout.write('a')")
    assert writes_to_the_terminal("print('a')")
    folder = Path(import_module("dgaal_cli.api").__path__[0])
    printing = [p.name for p in folder.glob("*.py") if writes_to_the_terminal(p.read_text("utf-8"))]
    assert printing == []


def test_importing_the_package_does_not_import_the_api():
    code = "import sys, dgaal_cli; print([m for m in sys.modules if m.startswith('dgaal_cli.api')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_unknown_name_raises_attribute_error():
    assert not hasattr(dgaal_cli, "no_such_name")


def test_api_labels_a_workspace_without_printing(tmp_path, capsys):
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
    assert (status.counts.unlabeled, status.next_step) == (1797, "label")
    with dgaal_cli.label(workspace, config, annotator="ann") as session:
        view = session.open()
        assert (view.state, view.progress.size) == ("labeling", 7)
        assert "ten" in {record.name for record in session.add_class("ten").classes}
    assert [listed.name for listed in dgaal_cli.labels.class_list(workspace)] == ["0", "1", "ten"]
    assert dgaal_cli.labels.check(workspace).problems == ()
    assert capsys.readouterr() == ("", "")
