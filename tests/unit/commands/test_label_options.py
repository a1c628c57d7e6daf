"""Options of ``dgaal label --serve`` and the label terminal that it serves."""

import pytest
from typer.testing import CliRunner

from dgaal_cli import cli
from dgaal_cli.store.open import store_location
from dgaal_cli.tui.serve import server

pytest.importorskip("textual_serve")


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return a function that runs ``dgaal label --serve``, and the list of served commands."""
    (tmp_path / "dgaal.toml").write_text('[pool]\nsource = "pool"\n')
    store_location(tmp_path / "labels.db").create().close()
    found: list[list[str]] = []
    monkeypatch.setattr(server, "serve", lambda argv, **_: found.append(argv))

    def run(*options: str):
        return CliRunner().invoke(cli.app, ["-C", str(tmp_path), "label", "--serve", *options])

    return run, found


@pytest.mark.parametrize("options", [(), ("--review",)])
def test_served_terminal_gets_the_review_option(served, options):
    run, found = served
    assert run(*options).exit_code == 0
    assert ("--review" in found[0]) == ("--review" in options)


def test_plain_mode_cannot_be_served(served):
    run, found = served
    assert run("--plain").exit_code != 0
    assert found == []
