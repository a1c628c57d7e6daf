"""What ``dgaal label --serve`` does with the options of the terminal that it serves."""

import pytest
from typer.testing import CliRunner

from dgaal_cli import cli
from dgaal_cli.store.open import create_store
from dgaal_cli.tui.serve import server

pytest.importorskip("textual_serve")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Run ``dgaal label`` in a workspace; collect what would be served."""
    (tmp_path / "dgaal.toml").write_text('[pool]\nsource = "pool"\n')
    create_store(tmp_path / "labels.db").close()
    found: list[list[str]] = []
    monkeypatch.setattr(server, "serve", lambda argv, **_: found.append(argv))

    def run(*options: str):
        return CliRunner().invoke(cli.app, ["-C", str(tmp_path), "label", "--serve", *options])

    return run, found


@pytest.mark.parametrize("options", [(), ("--review",)])
def test_the_served_terminal_begins_as_it_was_asked_to(served, options):
    run, found = served
    assert run(*options).exit_code == 0
    assert ("--review" in found[0]) == ("--review" in options)


def test_lines_are_not_served(served):
    run, found = served
    assert run("--plain").exit_code != 0
    assert found == []
