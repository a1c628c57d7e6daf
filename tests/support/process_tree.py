"""Descendants of a process, from /proc, and whether they have ended."""

import time
from pathlib import Path


def descendants(root: int) -> dict[int, str]:
    """Return the ids of all descendants of a process, with their command lines."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields:
            parents[int(path.name)] = int(fields[1])
    found: set[int] = set()
    newest = {root}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest}
        found |= newest
    return {pid: _command(pid) for pid in sorted(found)}


def remaining_after(processes: dict[int, str], seconds: float) -> dict[int, str]:
    """Return the processes that still run after some seconds; return early if all have ended."""
    end = time.monotonic() + seconds
    while (left := {p: c for p, c in processes.items() if is_running(p)}) and (
        time.monotonic() < end
    ):
        time.sleep(0.02)
    return left


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in "ZX"


def _stat(pid: int) -> list[str]:
    """Return the fields after the command: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
