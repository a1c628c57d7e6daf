"""docs/architecture.md agrees with the import contracts and with the code."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def contract_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    return next(c["layers"] for c in contracts["contracts"] if c["name"] == "Layers")


def layers_in(text):
    """Return the names of each line, without the explanation after two or more spaces."""
    return [re.split(r"\s{2,}", line)[0] for line in text.splitlines()]


def test_page_lists_the_layers_of_the_contract():
    assert layers_in(blocks("layers")[0]) == contract_layers()


def test_control_missing_layer_is_caught():
    """Negative control: the comparison fails if one line of the block is missing."""
    lines = blocks("layers")[0].splitlines()
    assert layers_in("\n".join(lines[1:])) != contract_layers()


def depth_of(name):
    """Return the number of the layer of a module, 0 at the top."""
    package = name.split(".")[0]
    if package == "exporters":
        return len(contract_layers())
    found = [n for n, layer in enumerate(contract_layers()) if package in layer.split(" | ")]
    assert found, f"{name} is in no layer"
    return found[0]


def is_defined(name):
    """Return whether ``module.function`` or ``module.Class.method`` is in the source."""
    parts = name.split(".")
    top = ROOT if parts[0] == "exporters" else ROOT / "dgaal_cli"
    for length in range(len(parts) - 1, 0, -1):
        path = top.joinpath(*parts[:length]).with_suffix(".py")
        if path.is_file():
            return _has(ast.parse(path.read_text("utf-8")).body, parts[length:])
    return False


def _has(body, names):
    for node in body:
        if getattr(node, "name", "") == names[0]:
            return len(names) == 1 or _has(node.body, names[1:])
    return False


def steps(walk):
    """Return (indentation, name) of each line of a walk."""
    found = []
    for line in walk.splitlines():
        name = line.split("#")[0].rstrip()
        found.append((len(name) - len(name.lstrip()), name.strip()))
    return found


def upward_calls(walk):
    """Return the names of callees in a higher layer than their caller."""
    wrong, callers = [], []
    for indent, name in steps(walk):
        while callers and callers[-1][0] >= indent:
            callers.pop()
        if callers and depth_of(name) < depth_of(callers[-1][1]):
            wrong.append(name)
        callers.append((indent, name))
    return wrong


WALKS = blocks("walk")


def test_page_has_three_walks():
    assert len(WALKS) == 3


@pytest.mark.parametrize("walk", WALKS)
def test_steps_of_a_walk_exist_and_go_down_the_layers(walk):
    missing = [name for _, name in steps(walk) if not is_defined(name)]
    assert not missing
    assert not upward_calls(walk)


def test_control_upward_step_is_caught():
    """Negative control: the store calls the API."""
    assert upward_calls("store.open.open_store\n  api.train.train\n") == ["api.train.train"]
    assert not is_defined("api.train.no_such_function")


def named_files(text):
    """Return the files that the page names in backticks."""
    return re.findall(r"`([\w/.-]+\.(?:py|md|toml))`", text)


def exists(name):
    return (ROOT / name).is_file() or (ROOT / "dgaal_cli" / name).is_file()


def test_files_named_on_the_page_exist():
    assert len(named_files(PAGE)) > 15
    assert [name for name in named_files(PAGE) if not exists(name)] == []


def test_control_missing_file_is_caught():
    """Negative control: this file does not exist."""
    assert not exists("store/labels.py")
