"""README is short, and links between pages lead to files and headings that exist."""

import re
from pathlib import Path

import pytest

from dgaal_cli.version import __version__

ROOT = Path(__file__).parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page whose file or heading does not exist."""
    found: list[str] = []
    for file, anchor in LINK.findall(page.read_text()):
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(f"{file}#{anchor}" if anchor else file)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_exist(page: Path):
    assert broken_links(page) == []


def test_control_broken_links_are_found(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](page.md#one-two) [b](page.md#three) [c](none.md) [d](#one-two)")
    assert broken_links(page) == ["page.md#three", "none.md"]


def test_readme_has_at_most_160_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_readme_links_every_page_of_the_documentation():
    linked = {file for file, _ in LINK.findall((ROOT / "README.md").read_text())}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def test_citation_names_the_version():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
