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


def pictured_layers(text):
    """The names of each line, without the explanation behind two or more spaces."""
    return [re.split(r"\s{2,}", line)[0] for line in text.splitlines()]


def test_the_picture_shows_the_layers_of_the_contract():
    assert pictured_layers(blocks("layers")[0]) == contract_layers()


def test_a_missing_layer_is_noticed():
    """Negative control: the comparison fails if the picture lacks one line."""
    lines = blocks("layers")[0].splitlines()
    assert pictured_layers("\n".join(lines[1:])) != contract_layers()


def depth_of(name):
    """The number of the layer of a module, 0 at the top."""
    package = name.split(".")[0]
    if package == "exporters":
        return len(contract_layers())
    found = [n for n, layer in enumerate(contract_layers()) if package in layer.split(" | ")]
    assert found, f"{name} is in no layer"
    return found[0]


def is_defined(name):
    """Whether ``module.function`` or ``module.Class.method`` is in the source."""
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
    """(indentation, name) of each line of a walk."""
    found = []
    for line in walk.splitlines():
        name = line.split("#")[0].rstrip()
        found.append((len(name) - len(name.lstrip()), name.strip()))
    return found


def upward_calls(walk):
    """Callee names that are in a higher layer than their caller."""
    wrong, callers = [], []
    for indent, name in steps(walk):
        while callers and callers[-1][0] >= indent:
            callers.pop()
        if callers and depth_of(name) < depth_of(callers[-1][1]):
            wrong.append(name)
        callers.append((indent, name))
    return wrong


WALKS = blocks("walk")


def test_three_values_are_walked():
    assert len(WALKS) == 3


@pytest.mark.parametrize("walk", WALKS)
def test_every_step_of_a_walk_is_in_the_code_and_goes_down(walk):
    missing = [name for _, name in steps(walk) if not is_defined(name)]
    assert not missing
    assert not upward_calls(walk)


def test_an_upward_step_is_noticed():
    """Negative control: the store calls the API."""
    assert upward_calls("store.open.open_store\n  api.train.train\n") == ["api.train.train"]
    assert not is_defined("api.train.no_such_function")


def named_files(text):
    """Files that the page names in backticks, found in the package or at the top."""
    return re.findall(r"`([\w/.-]+\.(?:py|md|toml))`", text)


def exists(name):
    return (ROOT / name).is_file() or (ROOT / "dgaal_cli" / name).is_file()


def test_every_file_that_the_page_names_exists():
    assert len(named_files(PAGE)) > 15
    assert [name for name in named_files(PAGE) if not exists(name)] == []


def test_a_file_that_is_gone_is_noticed():
    """Negative control."""
    assert not exists("store/labels.py")
