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


def misread_lists(text: str) -> list[str]:
    """Return lines that a code host and the site read differently.

    The site takes a line for a part of a list only if a blank line or the list is before it, and
    for a further paragraph of an item only if four spaces are before it.
    """
    found: list[str] = []
    before, is_code = "", False
    for line in text.splitlines():
        is_fence = line.lstrip().startswith("```")
        follows_text = bool(before.strip()) and not re.match(r"\s|[-*] |\d+\. |\|", before)
        starts_in_text = re.match(r"[-*] |\d+\. ", line) and follows_text
        is_inner = re.match(r" {1,3}(```|[-*] |\d+\. )", line)
        is_paragraph = not before.strip() and re.match(r" {1,3}\S", line)
        if not is_code and (starts_in_text or is_inner or is_paragraph):
            found.append(line)
        is_code ^= is_fence
        before = line
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lists_look_the_same_on_a_code_host_and_on_the_site(page: Path):
    assert misread_lists(page.read_text()) == []


@pytest.mark.parametrize("text", ["text\n- item", "1. item\n\n   more", "1. item\n\n   ```sh"])
def test_control_misread_lists_are_found(text: str):
    assert len(misread_lists(text)) == 1


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
