"""The label terminal starts fast and does not import torch and other heavy packages."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "sklearn", "onnx", "onnxruntime", "matplotlib", "scipy", "pyarrow")


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("dgaal_cli.commands.label", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.api.label", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.start", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.plain", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.keymap", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.gate", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.trainer", (*HEAVY, "textual", "numpy", "PIL")),
        ("dgaal_cli.tui.app", (*HEAVY, "numpy", "PIL", "textual_image")),
        ("dgaal_cli.data.image_reader", HEAVY),
    ],
)
def test_module_does_not_import_heavy_packages(module, forbidden):
    code = f"import sys, {module}; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
