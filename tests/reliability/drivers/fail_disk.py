"""Make one system call of a command fail, for each call in turn; report broken promises.

Arguments: seed, job (a JSON file), maximum number of calls to fail per kind (0: all). The job names
the command, a pristine folder, modules to import once, and the check to run afterwards. The command
runs in a fork of this process, stopped until strace is attached to its main thread.
"""

import ctypes
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "mkdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "sendfile",
    "copy_file_range",
    "close",
)
_LINE = re.compile(r"^(?P<call>\w+)\((?P<rest>.*)")
_DESCRIPTOR = re.compile(r"^\w+\(\d+<([^<>]*)>")
_NAME = re.compile(r'"([^"]*)"')
_RANDOM_NAME = re.compile(r"[0-9a-f]{8,}")
"""Random parts of file names; they differ between runs."""
SURVIVED = ("openat", "mkdir", "close", "unlink", "sendfile", "copy_file_range")
"""Calls whose failure a command may survive, if its output is complete afterwards."""
# The content of a lock file is only used in messages, and a cache can be lost.
HARMLESS = (".locks", "cache")


class Box:
    """The folder that the command may write in."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.pristine = Path(job["pristine"])
        self.root = self.pristine.with_name("box")
        self.scratch = self.pristine.with_name("scratch")
        self.scratch.mkdir(exist_ok=True)

    def refill(self) -> None:
        """Restore the folder from the pristine copy."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.pristine, self.root, symlinks=True)

    def run(self, strace: list[str]) -> tuple[int, str, str, list[str]]:
        """Run the command under strace; return exit code, stdout, stderr and the trace."""
        out, err, log = (self.scratch / name for name in ("out", "err", "log"))
        log.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            self._work(out, err)
        os.waitpid(child, os.WUNTRACED)
        tracer = subprocess.Popen(
            ["strace", "-y", "-s", "4096", "-o", str(log), "-p", str(child), *strace],
            stderr=subprocess.PIPE,
            text=True,
        )
        first = tracer.stderr.readline()
        assert "attached" in first, first
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        tracer.communicate()
        code = os.waitstatus_to_exitcode(status)
        return code, out.read_text(), err.read_text(), log.read_text().splitlines()

    def _work(self, out: Path, err: Path) -> NoReturn:
        code = 1
        try:
            ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)  # any tracer
            os.chdir(self.root)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            for number, path in ((1, out), (2, err)):
                os.dup2(os.open(path, flags, 0o600), number)
            stdin_path = self.scratch / "in"
            stdin_path.write_text(self.job.get("typed", ""))
            os.dup2(os.open(stdin_path, os.O_RDONLY), 0)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
            sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
            sys.argv = ["dgaal", *self.job["command"]]
            os.kill(os.getpid(), signal.SIGSTOP)
            from dgaal_cli.cli import main

            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - a child must never return into the driver
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code or 0)

    def path_of(self, line: str) -> str:
        """Return the path within the box that a traced call changed; empty for other paths."""
        match = _DESCRIPTOR.match(line)
        names = [match[1]] if match else _NAME.findall(line)
        for name in names:
            if name == str(self.root):
                return "."
            if name.startswith(f"{self.root}/"):
                return name.removeprefix(f"{self.root}/")
            if name and not name.startswith("/"):  # the command's folder is the box
                return name
        return ""


def points(box: Box, lines: list[str], rng: random.Random) -> dict[str, list[int]]:
    """Return the numbers of the calls that change something in the box, by kind of call.

    A job may limit the number of similar calls (one kind, one file): the first, the last and some
    between are kept. A training appends hundreds of lines to one file.
    """
    counts: dict[str, int] = {}
    similar: dict[tuple[str, str], list[int]] = {}
    written: set[str] = set()
    for line in lines:
        match = _LINE.match(line)
        if match is None or match["call"] not in CALLS:
            continue
        call = match["call"]
        counts[call] = counts.get(call, 0) + 1
        path = box.path_of(line)
        if call == "openat" and re.search(r"O_WRONLY|O_RDWR|O_CREAT", line):
            written.add(path)
        is_reading = call in ("openat", "close") and path not in written
        if not is_reading and path:
            similar.setdefault((call, _RANDOM_NAME.sub("*", path)), []).append(counts[call])
    limit = box.job.get("max_similar", 0)
    found: dict[str, list[int]] = {}
    for (call, _), numbers in similar.items():
        if 2 < limit < len(numbers):
            between = rng.sample(numbers[1:-1], limit - 2)
            numbers = [numbers[0], *between, numbers[-1]]  # noqa: PLW2901
        found[call] = sorted([*found.get(call, []), *numbers])
    return found


def digest(root: Path) -> dict[str, Any]:
    """Return the content of the box, without the store's pages, locks and caches."""
    skipped = ("labels.db", ".locks", "cache", "backups")
    return {
        str(path.relative_to(root)): path.read_bytes().hex()[:64] + str(path.stat().st_size)
        for path in sorted(root.rglob("*"))
        if path.is_file() and not str(path.relative_to(root)).startswith(skipped)
    }


def leftovers(root: Path) -> list[str]:
    """Return temporary files that should have been removed."""
    return [str(path.relative_to(root)) for path in root.rglob(".*") if path.name.endswith(".tmp")]


def judge(box: Box, verify: Callable[..., str], result: tuple[int, str, str, list[str]]) -> str:
    """Return a description of the problem after one failure; empty if every promise holds."""
    code, out, err, lines = result
    hit = next((line for line in lines if "(INJECTED)" in line), "")
    path = box.path_of(hit)
    if not hit or not path:
        return ""  # timing shifted the calls: the failure hit another file, or no call
    problem = ""
    # A file that cannot be opened for writing may still be read, as by 'labels export'.
    # SQLite ignores a failed sync of a folder; it matters only once, for a new journal's name.
    is_a_stores_folder = path in (".", "backups") or Path(path).name.endswith(".tmp")
    is_sqlites = hit.startswith("fdatasync") and is_a_stores_folder
    # An existing folder need not be created. A file is synced before it is closed. A file that
    # cannot be removed does no harm. Data that the kernel cannot copy is read and written instead.
    # The check below verifies that the output is complete.
    is_harmless = any(part in HARMLESS for part in Path(path).parts)
    may_succeed = is_harmless or is_sqlites or hit.startswith(SURVIVED)
    if code != 8 and not (code == 0 and may_succeed):
        problem = f"exit {code}: {err.strip()[-300:]}"
    elif code == 8 and len(err.strip().splitlines()) > box.job.get("stderr_lines", 1):
        problem = f"more than one sentence: {err.strip()[-300:]}"
    elif (left := leftovers(box.root)) and not hit.startswith("unlink"):
        problem = f"left behind: {left}"
    else:
        try:
            problem = verify(box.root, box.job, code, out)
        except Exception as error:  # noqa: BLE001 - an output that cannot be loaded is not complete
            problem = f"cannot be loaded: {error!r}"
    return f"{hit[:160]} -> {problem}" if problem else ""


def main() -> None:
    """Run the command once per failing call and print a report."""
    seed, job, limit = int(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
    for module in job["imports"]:
        import_module(module)
    verify = getattr(import_module("failure_checks"), job["verify"])
    box = Box(job)
    rng = random.Random(seed)
    for _ in range(2):  # the first run fills caches
        box.refill()
        code, out, err, lines = box.run(["-e", "trace=" + ",".join(f"?{call}" for call in CALLS)])
        assert code == job.get("code", 0), err
    assert not (wrong := verify(box.root, job, 0, out)), wrong
    tried, reached, wrong = 0, 0, []
    for call, numbers in points(box, lines, rng).items():
        chosen = sorted(rng.sample(numbers, limit)) if 0 < limit < len(numbers) else numbers
        for number in chosen:
            # If a run takes seconds, the two errors alternate.
            has_one = limit or job.get("max_similar")
            error = ("ENOSPC", "EIO")[tried % 2] if has_one else None
            for name in [error] if error else ["ENOSPC", "EIO"]:
                box.refill()
                inject = f"inject={call}:error={name}:when={number}"
                result = box.run(["-e", f"trace={call}", "-e", inject])
                tried += 1
                reached += any("(INJECTED)" in line for line in result[3])
                if problem := judge(box, verify, result):
                    wrong.append(problem)
    report = {"tried": tried, "reached": reached, "wrong": wrong, "calls": len(lines)}
    sys.stdout.write("\n" + json.dumps(report))


if __name__ == "__main__":
    main()
