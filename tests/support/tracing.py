"""strace as a test tool: check that it is available and record a program's writes and syncs."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

_CALL = re.compile(
    r"^\d+\s+(?P<call>\w+)\(\d+<(?P<file>[^>]*)>(?:, \"(?P<data>[^\"]*)\")?(?P<rest>.*)\)\s+= \d+"
)


@cache
def is_traceable() -> bool:
    """Return whether strace is installed and has permission to trace."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    tried = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, check=False)
    return tried.returncode == 0


needs_strace = pytest.mark.skipif(
    not is_traceable(), reason="needs strace (apt-get install strace) and permission to trace"
)


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that changed or synced a file."""

    name: str
    file: str
    """Last component of the path; ``stdout`` for messages to the user."""
    data: bytes
    number: int
    """Offset or length."""


def record(command: list[str], *, prefix: str, log: Path, typed: str = "") -> list[Call]:
    """Run a command and return its writes and syncs of files whose names start with ``prefix``.

    Args:
        command: Command line.
        prefix: Prefix of the file names; locks are ignored.
        log: Scratch file.
        typed: Standard input.
    """
    trace_option = "trace=pwrite64,write,fsync,fdatasync,ftruncate"
    done = subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "70000", "-o", str(log), "-e", trace_option, *command],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Call] = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name = Path(_unescape(match["file"]).decode(errors="replace")).name
        data = _unescape(match["data"] or "")
        if match["call"] == "write" and data.startswith(b"saved:"):
            found.append(Call("saved", "stdout", data, 0))
        elif name.startswith(prefix) and not name.endswith(".lock"):
            numbers = re.findall(r"\d+", match["rest"])
            number = int(numbers[-1]) if numbers else 0
            found.append(Call(match["call"], name, data, number))
    return found


def _unescape(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if "\\x" in text else text.encode()
