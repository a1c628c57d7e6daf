"""The steps of docs/add-a-method.md, applied to a copy of the project."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEXT_ENTRY = '    "margin": MethodInfo('
LAST_ROW = "| baseline | `random` |"
COPIED = ("dgaal_cli", "exporters", "tests/support", "tests/contracts", "tests/unit/methods")


@pytest.fixture(scope="module")
def project_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the project after the steps of the page."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    page = (ROOT / "docs" / "add-a-method.md").read_text()
    for path, body in re.findall(r"`(dgaal_cli/\S+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(body)
    assert len(list((folder / "dgaal_cli/methods/linear_ae").iterdir())) == 3
    [entry] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    registry = folder / "dgaal_cli" / "methods" / "registry.py"
    replace_once(registry, NEXT_ENTRY, entry + NEXT_ENTRY)
    shutil.copy(ROOT / "README.md", folder)
    replace_once(folder / "README.md", LAST_ROW, LAST_ROW.replace("` |", "`, `linear-ae` |"))
    return folder


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def run_pytest(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_example_method_passes_the_method_contract(project_copy: Path) -> None:
    output = run_pytest(
        project_copy,
        "tests/unit/methods/test_registry.py",
        "tests/contracts/test_methods.py",
        *("-k", "test_registry or linear-ae"),
    )
    assert "failed" not in output, output
    assert int(re.findall(r"(\d+) passed", output)[0]) > 20, output


@pytest.mark.slow
def test_control_example_method_with_false_entry_fails(project_copy: Path) -> None:
    registry = project_copy / "dgaal_cli" / "methods" / "registry.py"
    correct = 'factory="linear_ae.method:LinearAe"'
    replace_once(registry, correct, f'{correct}, generator="prior"')
    try:
        output = run_pytest(
            project_copy,
            "tests/contracts/test_methods.py",
            "-k",
            "facts_in_the_registry and linear-ae",
        )
    finally:
        replace_once(registry, f'{correct}, generator="prior"', correct)
    assert "1 failed" in output, output
    assert "{'generator'}" in output
