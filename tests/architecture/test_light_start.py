"""Commands and modules that must start fast do not import heavy packages."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "onnxruntime", "onnx", "textual", "matplotlib", "sklearn", "scipy")

PROBE = """
import json, sys
sys.argv = ["dgaal", *{arguments!r}]
try:
    {statement}
except SystemExit:
    pass
roots = {{name.partition(".")[0] for name in sys.modules}}
print(json.dumps(sorted(roots)), file=sys.stderr)
"""


def imported_packages(statement, *arguments):
    """Return the top-level packages that a new interpreter has imported after a statement."""
    code = PROBE.format(arguments=list(arguments), statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["score", "--help"], ["nonsense"]]
)
def test_help_and_errors_import_no_heavy_packages(arguments):
    roots = imported_packages("from dgaal_cli.cli import main; main()", *arguments)
    assert "typer" in roots
    assert not roots & set(HEAVY)
    assert "numpy" not in roots


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("dgaal_cli", (*HEAVY, "numpy", "typer", "rich")),
        ("dgaal_cli.methods.registry", (*HEAVY, "numpy")),
        ("dgaal_cli.store.sqlite.location", (*HEAVY, "numpy")),
        ("dgaal_cli.tasks.classification.task", (*HEAVY, "numpy")),
        ("dgaal_cli.api.status", HEAVY),
        ("dgaal_cli.api.label", HEAVY),
        ("dgaal_cli.api.query", HEAVY),
        ("dgaal_cli.api.train", HEAVY),
        ("dgaal_cli.rounds.head_training", HEAVY),
        ("dgaal_cli.tui.app", tuple(name for name in HEAVY if name != "textual")),
        ("dgaal_cli.api.score", tuple(n for n in HEAVY if n != "onnxruntime")),
        ("dgaal_cli.api.init", HEAVY),
        ("exporters.manifest", (*HEAVY, "numpy")),
        ("exporters.seal", (*HEAVY, "numpy")),
    ],
)
def test_light_modules_import_no_heavy_packages(module, forbidden):
    assert not imported_packages(f"import {module}") & set(forbidden)


def test_control_heavy_import_is_found():
    """Negative control: with a probe that finds nothing, every test above would pass."""
    assert "scipy" in imported_packages("import scipy")
