"""The import contracts of pyproject.toml hold, and upward imports are caught."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lint(folder):
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )


def test_imports_point_down_the_layers():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_control_upward_import_is_caught(tmp_path):
    """Negative control: the same contracts fail for a copy in which the store imports a method."""
    for name in ("dgaal_cli", "exporters"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "dgaal_cli" / "store" / "records.py"
    planted.write_text(planted.read_text() + "\nfrom dgaal_cli.methods import base  # noqa\n")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as c; c()",
            "--no-cache",
        ],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode != 0
    assert "dgaal_cli.store.records -> dgaal_cli.methods.base" in done.stdout
