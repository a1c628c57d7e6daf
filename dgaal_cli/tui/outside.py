"""Open an image in the desktop's viewer, if there is a desktop."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from dgaal_cli.escaping import show


def find_viewer(environment: Mapping[str, str]) -> str:
    """Return the program that opens files; empty without a desktop, as over SSH."""
    if sys.platform == "darwin":
        return shutil.which("open") or ""
    has_desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return (shutil.which("xdg-open") or "") if has_desktop else ""


def open_outside(path: str, environment: Mapping[str, str] | None = None) -> str:
    """Open the file at ``path`` without waiting; return a message for the user.

    The absolute path is passed as one argument, never through a shell.
    """
    program = find_viewer(os.environ if environment is None else environment)
    if not path:
        return "this image has no file of its own"
    if not os.path.lexists(path):
        return f"its file is gone: {show(path)}"
    if not program:
        return f"no desktop; the image is {show(path)}"
    try:
        subprocess.Popen(  # noqa: S603 - a fixed program and one absolute path
            [program, os.path.abspath(path)],  # noqa: PTH100 - keeps bytes that are not text
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return f"cannot open the image: {error.strerror}"
    return f"opened {show(os.path.basename(path))}"  # noqa: PTH119
