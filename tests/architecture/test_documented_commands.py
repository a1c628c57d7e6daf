"""Commands, options, settings and Python code of the pages are those that the program has."""

import ast
import contextlib
import io
import re
import tomllib
from pathlib import Path

import pytest
import typer
from documented import BLOCK, Command, blocks, commands
from feature_workspaces import NAMES, feature_workspace

from dgaal_cli import cli
from dgaal_cli.config.load import build_config
from dgaal_cli.store.open import open_store

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").glob("*.md"))]
CHECKERS = ("ruff", "lint-imports", "pyright", "cd", "git", "sh")
"""Other programs, whose arguments are not checked here."""
OF_OTHER_PROGRAMS = {
    "--nproc-per-node",
    "--shard",
    "--record-durations",
    "--photos",
    "--photographs",
}
"""Options of torchrun, of the tests and of benchmarks that sentences name."""
SPELLING = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def parse(words: tuple[str, ...]) -> None:
    """Parse the arguments of ``dgaal``, without running the command; ``N`` stands for a number."""
    arguments = ["1" if word == "N" else word for word in words]
    command = typer.main.get_command(cli.app)
    context = command.make_context("dgaal", cli._globals_first(arguments))
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def problem(command: Command) -> str | None:
    """Return what is wrong with a command of a page, or None."""
    program = command.words[0].rpartition("/")[2]
    if program == "dgaal":
        return parsing_problem(command.words[1:], is_mention=command.is_mention)
    if program in ("python", "python3", "pip"):
        return python_problem(command.words[1:])
    return None if program in CHECKERS else f"unknown program {program}"


def parsing_problem(words: tuple[str, ...], *, is_mention: bool) -> str | None:
    if not words or words[0] == "COMMAND":
        return None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            parse(words)
    except typer.Exit:  # --help
        return None
    except Exception as error:  # noqa: BLE001 - not all errors of usage have a public class
        is_incomplete = type(error).__name__ == "MissingParameter" or "requires an argument" in str(
            error
        )
        return None if is_mention and is_incomplete else str(error) or repr(error)
    return None


def python_problem(words: tuple[str, ...]) -> str | None:
    """Check that files, their options and the extras of installations exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for names in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        if unknown := set(names.split(",")) - extras["optional-dependencies"].keys():
            return f"no extra {unknown}"
    files = [ROOT / word for word in words if re.match(r"[\w/]+\.py|tests/", word)]
    if missing := [file for file in files if not file.exists()]:
        return f"no file {missing}"
    if "pytest" in words or not files:
        return None
    source = "".join(file.read_text() for file in files)
    options = [word for word in words if word.startswith("--")]
    return next((f"no option {option}" for option in options if f'"{option}"' not in source), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_accepted_by_the_program(page: Path):
    problems = {command.line: problem(command) for command in commands(page)}
    assert {line: found for line, found in problems.items() if found} == {}


def test_pages_have_many_commands():
    assert sum(len(commands(page)) for page in PAGES) > 80


@pytest.mark.parametrize(
    "line",
    [
        "dgaal label --never",
        "dgaal labels exports",
        "dgaal query -n many",
        "dgaal query --like",
        "dgaal generate",
        "python benchmarks/none.py",
        "python benchmarks/bench_score.py --never",
        "pip install 'dgaal[nothing]'",
        "another-program x",
    ],
)
def test_control_wrong_commands_are_found(tmp_path: Path, line: str):
    page = tmp_path / "page.md"
    page.write_text(f"```console\n$ {line}   # a comment\n```\n")
    (command,) = commands(page)
    assert problem(command)


def known_options() -> set[str]:
    """Return the spellings of all options, as the page of commands has them."""
    page = (ROOT / "docs" / "commands.md").read_text()
    titles = re.findall(r"^- \*\*`(-.+?)`\*\*", page, re.MULTILINE)
    return {spelling for title in titles for spelling in SPELLING.findall(title)} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_named_in_sentences_exist(page: Path):
    prose = BLOCK.sub("", page.read_text())
    named = {
        spelling
        for span in re.findall(r"`([^`\n]+)`", prose)
        if not re.match(r"\S*(python|pytest|torchrun|ruff|sh|\.py) ", span)
        for spelling in SPELLING.findall(span)
    }
    assert named - known_options() - OF_OTHER_PROGRAMS == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_and_python_code_are_valid(page: Path):
    for block in blocks(page, "toml"):
        build_config({"pool": {"source": "."}, **tomllib.loads(block)})
    for block in blocks(page, "python"):
        ast.parse(block)


@pytest.mark.slow
def test_python_page_labels_the_whole_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = feature_workspace(tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs" / "python.md", "python")
    exec(compile(code, "python.md", "exec"), {})
    with open_store(made) as store:
        assert len(store.labels()) == len(NAMES)
