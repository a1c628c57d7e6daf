"""Refusals and what must be true when dgaal says them.

A sentence that is not in ``TRUE_IF`` fails the run, so that each new one gets its condition.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from month.forks import Ended, Plan
from month.model import State
from month.reader import Reading
from month.world import IMAGES, Command, World


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The world when a command refused, and the command."""

    world: World
    command: Command
    done: Ended
    plan: Plan
    found: Reading
    before: State
    files: dict[str, tuple[int, int]]
    """Inode and time of change of each file in the box before the command."""
    holder: int = 0
    """Process of the other command, while it is stopped."""
    is_restored: bool = False
    """Whether the store was restored from a backup while the command was stopped."""

    @property
    def is_disk_failing(self) -> bool:
        """Whether a call was made to fail."""
        return bool(self.done.hit) and (
            self.plan.action in ("fail", "fail on") or bool(self.plan.denied)
        )

    @property
    def is_unchanged(self) -> bool:
        """Whether the store has the state from before the command."""
        return self.before.is_met_by(self.found.state)

    def keeps(self, path: str) -> bool:
        """Return whether a file is the one from before the command."""
        return files_of(self.world.box).get(path) == self.files.get(path)


def files_of(box: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of change of each file."""
    found: dict[str, tuple[int, int]] = {}
    for folder, _, names in os.walk(box):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - of many files
            status = os.lstat(path)
            found[path] = (status.st_ino, status.st_mtime_ns)
    return found


UNREADABLE = 3
"""Exit code of a command that is done, although some images are unreadable."""
Condition = Callable[[Scene, "re.Match[str]"], bool]


def problem_of(scene: Scene, counts: Counter[str]) -> str:
    """Return what is wrong with the refusal of a command; empty if it did not refuse."""
    done = scene.done
    if done.code is None or done.code <= 0 or done.code == UNREADABLE:
        return "a traceback" if "Traceback" in done.err else ""
    failed = [line[11:] for line in done.out.splitlines() if line.startswith("NOT SAVED: ")]
    said = [line[7:] for line in done.err.splitlines() if line.startswith("dgaal: ")]
    if len(failed + said) != 1 or "Traceback" in done.err:
        return f"exit {done.code} with {len(failed + said)} sentences: {done.err[-600:]!r}"
    text = (failed + said)[0]
    for pattern, condition in TRUE_IF.items():
        match = re.search(pattern, text)
        if match:
            counts[pattern] += 1
            return "" if condition(scene, match) else f"exit {done.code}, not true: {text}"
    return f"a sentence without a condition, exit {done.code}: {text}"


def _fails(scene: Scene, _: "re.Match[str]") -> bool:
    return scene.is_disk_failing


def _fails_and_keeps(scene: Scene, match: "re.Match[str]") -> bool:
    # A training removes the files of an interrupted one, and writes some of its own twice.
    is_own = scene.command.family == "train" and _is_whole(Path(match[1]))
    return scene.is_disk_failing and (is_own or scene.keeps(match[1]))


def _is_whole(path: Path) -> bool:
    """Check that a file is missing, or is JSON and complete."""
    if path.exists() and path.suffix == ".json":
        try:
            json.loads(path.read_text())
        except ValueError:
            return False
        return True
    return not path.exists()


def _is_damaged(scene: Scene, _: "re.Match[str]") -> bool:
    return bool(scene.found.problem) and scene.found.problem != "missing"


def _harm(*names: str) -> Condition:
    return lambda scene, _: scene.world.harm in names


def _holds(scene: Scene, match: "re.Match[str]") -> bool:
    """Check the process that is named; a holder that has not written its id yet has no name.

    The id of a killed holder is in the file until then.
    """
    return int(match[1]) == scene.holder or not Path(f"/proc/{match[1]}").exists()


def _is_named(scene: Scene, match: "re.Match[str]") -> bool:
    uid = scene.before.uid(match[1])
    answers = [event for _, event in scene.before.standing().values() if event.uid == uid]
    return len(answers) == int(match[2]) and scene.is_unchanged


def _is_unlabeled(scene: Scene, _: "re.Match[str]") -> bool:
    return len(set(scene.before.labels().values())) < 2


TRUE_IF: dict[str, Condition] = {
    # The disk
    r"^cannot use .*: (the disk is full|reading or writing|it cannot|it is not|permission)": _fails,
    r"^cannot write (\S+): .*; the previous file, if any, is unchanged": _fails_and_keeps,
    r"^cannot write into (\S+): .*; the previous files, if any, are unchanged": _fails_and_keeps,
    r"^cannot write (\S+): [^;]*$": (
        lambda scene, match: scene.is_disk_failing and not Path(match[1]).exists()
    ),
    r"^cannot restore a backup to (\S+): .*; it was not changed": (
        lambda scene, _: scene.is_disk_failing and scene.is_unchanged
    ),
    r"has the new content, but the disk did not confirm it": _fails,
    r"^cannot write a backup to": _fails,
    r"^a backup in .* cannot be read back.*; no older backup was removed": _fails,
    r"^cannot (write in|make) \S+: ": _fails,
    r"^cannot read or write": _fails,
    r"^cannot write the checkpoint .*; the previous one is unchanged": _fails,
    # The store
    r"^there is no label store at": lambda scene, _: not scene.world.store.exists(),
    r"labels.db (is damaged|is not a label store)": _is_damaged,
    r"labels.db was (replaced|moved or deleted|overwritten|emptied or damaged)": (
        lambda scene, _: scene.is_restored or scene.world.harm.startswith("open session")
    ),
    r"^there is no intact backup in": _harm("no backups"),
    r"in use by process (\d+) ": _holds,
    r"is being written by process (\d+) ": _holds,
    r"(is being written by process unknown|in use by another process;)": (
        lambda scene, _: bool(scene.holder)
    ),
    r"is in use by another process, perhaps of another program": lambda scene, _: bool(
        scene.holder
    ),
    # Classes and labels
    r"^class (\S+) cannot be removed: (\d+) answers name it": _is_named,
    r"^class (\S+) exists already as": lambda scene, match: bool(scene.before.uid(match[1])),
    r"line \d+(, column \d+: |, column label: no class is named|: 1 cells, the header names 2)": (
        lambda scene, _: scene.world.harm == "cut table" and scene.is_unchanged
    ),
    r"line \d+, column file_name: (this workspace has no image|the name is missing)": (
        lambda scene, _: scene.world.harm == "cut table" and scene.is_unchanged
    ),
    # Files of the workspace
    r"(dgaal.toml is not valid TOML|^wrong value in the configuration|dgaal.toml: )": _harm(
        "spoiled configuration"
    ),
    r"is not a workspace \(no dgaal.toml\)": _harm("no configuration"),
    r"^the pool \S+ (does not exist|contains none of the images)": _harm("no pool"),
    r"image (\S+) is missing from the pool": _harm("no pool"),
    r"image \S+ has changed since it was labeled": _harm("image changed"),
    # Rounds
    r"^requested \d+ images, (\d+) are unlabeled": (
        lambda scene, match: int(match[1]) == IMAGES - len(scene.before.verdicts())
    ),
    r"^nothing is trained yet": _harm("no rounds"),
    r"^round \d+ stopped midway and cannot be resumed: pool changed": _harm("image changed"),
    r"^round \d+ stopped midway and cannot be resumed": (
        lambda scene, _: not scene.world.is_resumable
    ),
    r"^round \d+ still asks (\d+) of \d+ images": (
        lambda scene, match: int(match[1]) == scene.found.left
    ),
    r"^round \d+ is trained on all (\d+) current labels": (
        lambda scene, match: int(match[1]) == len(scene.before.labels())
    ),
    r"^classes changed since round \d+ was trained": (
        lambda scene, _: any(each != scene.before.classes for each in scene.world.trained)
    ),
    r"has no sampler yet": _harm("no artifacts"),
    r"^nothing to export yet: the task model needs labels of two classes": _is_unlabeled,
}
"""What must hold for each refusal, by a pattern of its text."""
