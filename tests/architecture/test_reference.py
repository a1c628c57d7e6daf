"""The pages of commands and settings are what the program has now."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("commands.md", "settings.md", "python-functions.md")


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    folder = str(ROOT / "scripts")
    sys.path.insert(0, folder)
    try:
        import write_reference
    finally:
        sys.path.remove(folder)
    return write_reference


@pytest.mark.parametrize("name", PAGES)
def test_page_is_as_new_as_the_program(reference: ModuleType, name: str):
    written = (ROOT / "docs" / name).read_text()
    is_current = written == reference.PAGES[name]()
    assert is_current, f"docs/{name} is out of date; run: python scripts/write_reference.py"


def test_control_new_option_changes_the_page(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    from dgaal_cli.commands import doctor

    def changed(*, is_new: bool = False) -> None:
        """Check versions."""

    before = reference.commands_page()
    changed.__annotations__["is_new"] = reference.typing.Annotated[
        bool, reference.OptionInfo(default="--new", help="A new option.")
    ]
    monkeypatch.setattr(doctor, "doctor", changed)
    assert "**`--new`**: A new option." in reference.commands_page()
    assert "**`--new`**" not in before


def test_every_option_of_help_is_on_the_page(reference: ModuleType):
    import re

    from typer.testing import CliRunner

    from dgaal_cli.cli import app

    for command in (["train"], ["labels", "export"], ["pool", "update"]):
        section = reference.commands_page().partition(f"## dgaal {' '.join(command)}\n")[2]
        section = section.partition("\n## ")[0]
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
        options = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", shown, re.MULTILINE)) - {"--help"}
        assert options
        assert {option for option in options if f"{option}" not in section} == set()


def test_settings_page_has_every_key_with_its_range_and_default(reference: ModuleType):
    page = reference.settings_page()
    assert "- **`query.size`**: Images per query: labels requested per round. " in page
    assert "(integer; must be above 0 and at most 1000000; default `24`)" in page


def test_python_page_has_arguments_fields_and_errors(reference: ModuleType):
    page = reference.python_page()
    section = page.partition("## dgaal_cli.train\n")[2].partition("\n## ")[0]
    assert "def train(\n    workspace: Workspace,\n" in section
    assert "- **`is_fresh`**: Discard an interrupted training" in section
    assert "*Raises*" in section
    assert "- **`kind: AnswerName`**" in page.partition("## dgaal_cli.Press\n")[2]
    assert "## dgaal_cli.labels.export_labels\n" in page


def test_python_page_has_every_public_name(reference: ModuleType):
    import dgaal_cli

    titles = set(reference.python_page().splitlines())
    modules = {"labels", "pool", "__version__"}
    names = set(dir(dgaal_cli)) - modules
    assert {name for name in names if f"## dgaal_cli.{name}" not in titles} == set()
