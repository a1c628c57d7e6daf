"""The page of the Python functions, read from their source: torch is not imported."""

import ast
import inspect
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import dgaal_cli

ROOT = Path(__file__).resolve().parents[1]
INTRO = """\
# Python functions

The public functions and classes of `dgaal_cli`.

[Use it from Python](python.md) shows how they work together. An error that a user can cause is a
subclass of `dgaal_cli.errors.DgaalError`, with the exit code of the command.
`scripts/write_reference.py` writes this page from the program.
"""
SECTION = re.compile(r"^(Args|Returns|Yields|Raises):\n((?: +.*\n?|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^(\w+): ", re.MULTILINE)
GROUPS = ("labels", "pool")
"""Modules of the API that hold the functions of a group of commands."""
Definition = ast.FunctionDef | ast.ClassDef


def python_page() -> str:
    """Return the page of all public functions and classes."""
    parts = [INTRO]
    for name in dir(dgaal_cli):
        module = f"dgaal_cli.api.{name}"
        if name in GROUPS:
            for inner in _exported(module):
                parts += _entry(f"dgaal_cli.{name}.{inner}", _definition(module, inner))
        elif name != "__version__":
            parts += _entry(f"dgaal_cli.{name}", _definition("dgaal_cli", name))
    return "\n".join(parts)


def attribute_docstrings(definition: ast.ClassDef) -> dict[str, str]:
    """Return the string that follows each documented field of a class."""
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def code_spans(docstring: str) -> str:
    """Return a docstring with the code spans of Markdown."""
    return re.sub("``(.+?)``", r"`\1`", docstring, flags=re.DOTALL)


@cache
def _module(name: str) -> ast.Module:
    path = ROOT / name.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _definition(module: str, name: str) -> Definition:
    """Find a function or class, also where a module only imports it."""
    body = _module(module).body
    conditional = [inner for node in body if isinstance(node, ast.If) for inner in node.body]
    for node in [*body, *conditional]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _definition(node.module, alias.name)
    raise LookupError(f"{module} does not define {name}")


def _exported(module: str) -> list[str]:
    """Return the names in ``__all__``."""
    names: list[str] = []
    for node in _module(module).body:
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
                names += ast.literal_eval(node.value)
    return sorted(names)


def _entry(name: str, definition: Definition) -> Iterator[str]:
    yield f"## {name}\n"
    if isinstance(definition, ast.FunctionDef):
        yield f"```python\n{_signature(definition)}\n```\n"
    yield _text(ast.get_docstring(definition) or "")
    if isinstance(definition, ast.ClassDef):
        documented = attribute_docstrings(definition)
        yield "".join(
            _item(
                _declared(node.target.id, node.annotation, None), documented.get(node.target.id, "")
            )
            for node in definition.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        )


def _signature(function: ast.FunctionDef) -> str:
    arguments = list(_arguments(function.args))
    returned = f" -> {_source(function.returns)}" if function.returns else ""
    line = f"def {function.name}({', '.join(arguments)}){returned}: ..."
    if len(line) <= 100:
        return line
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"def {function.name}(\n{lines}){returned}: ..."


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    missing = len(arguments.args) - len(arguments.defaults)
    for argument, default in zip(
        arguments.args, [None] * missing + arguments.defaults, strict=True
    ):
        yield _declared(argument.arg, argument.annotation, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _declared(argument.arg, argument.annotation, default)


def _declared(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    kind = f": {_source(annotation)}" if annotation else ""
    return f"{name}{kind}" + (f" = {_quoted(ast.unparse(default))}" if default else "")


def _source(annotation: ast.expr) -> str:
    """Return an annotation as written, without the quotes around one that is not imported."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return _quoted(ast.unparse(annotation))


def _quoted(code: str) -> str:
    """Return code with the quotes that ruff writes."""
    return code if '"' in code else code.replace("'", '"')


def _text(docstring: str) -> str:
    """Return a docstring in Google style as Markdown, its sections as lists."""

    def section(found: re.Match[str]) -> str:
        title, body = found.group(1), inspect.cleandoc(found.group(2))
        entries = re.split(r"\n(?=\S)", body) if title in ("Args", "Raises") else [body]
        return f"*{title}*\n\n" + "".join(_item(*_divided(entry)) for entry in entries) + "\n"

    return code_spans(SECTION.sub(section, f"{docstring}\n")).rstrip() + "\n"


def _divided(entry: str) -> tuple[str, str]:
    found = ENTRY.match(entry)
    return (found.group(1), entry[found.end() :]) if found else ("", entry)


def _item(title: str, text: str) -> str:
    start = f"**`{title}`**" if title else ""
    words = code_spans(" ".join(text.split()))
    return f"- {': '.join(part for part in (start, words) if part)}\n"
