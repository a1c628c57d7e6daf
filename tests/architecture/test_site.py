"""The documentation is built as a site without the network, and loads nothing from other hosts."""

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARKDOWN = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
COPIED = (*MARKDOWN, "mkdocs.yml", "docs", "assets", "scripts")
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


class Loads(HTMLParser):
    """Collects the addresses from which a page loads scripts, styles, fonts and images."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADED.get(tag, "")) or ""
        if "://" in address or address.startswith("//"):
            self.found.append(address)


def foreign_loads(page: str) -> list[str]:
    parser = Loads()
    parser.feed(page)
    return parser.found


def without_network() -> list[str]:
    """Return a command prefix that takes the network away, empty where that is not possible."""
    prefix = ["unshare", "-rn"]
    if shutil.which(prefix[0]) is None:
        return []
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return [] if tried.returncode else prefix


def build(root: Path) -> subprocess.CompletedProcess[str]:
    command = [*without_network(), sys.executable, str(root / "scripts" / "build_site.py")]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    pytest.importorskip("zensical", reason="needs the extra docs")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path)
    return tmp_path


@pytest.mark.slow
def test_site_has_every_page_and_loads_nothing_from_other_hosts(copy: Path):
    built = build(copy)
    assert built.returncode == 0, built.stdout + built.stderr
    site = copy / "build" / "site"
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / "docs" / f"{page.stem}.html").is_file(), page.name
    loads = {page.name: foreign_loads(page.read_text()) for page in site.rglob("*.html")}
    assert len(loads) > 20
    assert [name for name, found in loads.items() if found] == []


@pytest.mark.slow
def test_control_a_broken_link_fails_the_build(copy: Path):
    with (copy / "docs" / "pools.md").open("a") as page:
        page.write("\n[a page that does not exist](none.md)\n")
    built = build(copy)
    assert built.returncode != 0
    assert "page does not exist" in built.stdout + built.stderr


def test_control_foreign_loads_are_found():
    page = (
        '<link href="https://a.example/font.css"><script src="//b.example/x.js"></script>'
        '<img src="own.png"><a href="https://c.example">a link</a>'
    )
    assert foreign_loads(page) == ["https://a.example/font.css", "//b.example/x.js"]


def test_navigation_names_every_page():
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [
        page.name
        for page in (ROOT / "docs").glob("*.md")
        if f": docs/{page.name}" not in navigation
    ] == []
