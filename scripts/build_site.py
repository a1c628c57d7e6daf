"""Build the documentation as HTML pages in ``build/site``: ``python scripts/build_site.py``.

The pages are copied to ``build/pages`` with the folders that they have here, so that their links
lead to the same files in an editor, on a code host and on the site. Nothing uses the network.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs", "assets")
"""Files and folders of the repository that become pages and images of the site."""


def build_site() -> int:
    """Build the site; return the exit code, which is not 0 if a link leads nowhere."""
    pages = ROOT / "build" / "pages"
    for old in (pages, ROOT / "build" / "site"):
        shutil.rmtree(old, ignore_errors=True)
    pages.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, pages / part)
        else:
            shutil.copy(source, pages)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603 - a fixed command


if __name__ == "__main__":
    sys.exit(build_site())
