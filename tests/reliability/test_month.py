"""G31: a month of work under faults loses and changes no label, and dgaal says nothing false.

Each month is a random order of faults that meet commands: kills and failing disks at calls on
files, jumping clocks, lost lines, merged copies, files harmed from outside, other commands at
the same time. A model without dgaal's code says what the labels must be, and a table what each
refusal claims. Run one month again with its seed::

    python tests/reliability/drivers/simulate_month.py SEED FOLDER 1 sound
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Drive = Callable[..., Any]
pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform != "linux", reason="needs Linux and a C compiler"
)


def simulate(drive: Drive, folder: Path, months: int, *options: str, variant: str = "sound") -> Any:
    """Run months and return the report; the files are in memory where possible."""
    timeout = 60.0 * 60 * 4
    return drive("simulate_month", folder / "months", months, variant, *options, timeout=timeout)


def show_table(report: Any) -> None:
    """Print how often each kind of fault happened to each family of commands."""
    rows = "".join(f"  {count:>5}  {pair}\n" for pair, count in report["table"].items())
    sys.stdout.write(f"{report['faults']} faults in {report['seconds']} s:\n{rows}")


def test_some_faults_break_no_promise(drive: Drive, tmp_path: Path):
    few = ("--light", "--families", "answers,import,backup", "--faults", "20")
    report = simulate(drive, tmp_path, 1, *few)
    assert (report["broken"], report["faults"]) == ([], 20)


@pytest.mark.slow
def test_months_of_faults_break_no_promise(drive: Drive, tmp_path: Path):
    report = simulate(drive, tmp_path, 3)
    show_table(report)
    assert report["broken"] == []
    assert report["faults"] >= 250


@pytest.mark.deep
@pytest.mark.parametrize("part", ["1/4", "2/4", "3/4", "4/4"])
def test_ten_thousand_faults_break_no_promise(drive: Drive, tmp_path: Path, part: str):
    report = simulate(drive, tmp_path, 120, "--shard", part)
    show_table(report)
    assert report["broken"] == []
    assert min(report["table"].values()) >= 25
    assert report["faults"] >= 2500


CONTROLS = {
    "early": ("answers", "kill"),
    "import-wins": ("answers,import", "merged copies"),
    "undo-removes": ("undo", "clock"),
    "clock-orders": ("backup,restore", "clock"),
    "oldest": ("backup,restore", "clock"),
    "rename-adds": ("answers,classes", "clock"),
    "export-drops": ("answers,labels export", "clock"),
    "no-locks": ("answers,restore", "second command"),
    "claims": ("labels export", "failing disk"),
    "litter": ("backup,labels export,import", "kill"),
}
"""Families and kinds that show each fault soonest."""


@pytest.mark.slow
@pytest.mark.parametrize("variant", CONTROLS)
def test_control_broken_variant_is_caught(drive: Drive, tmp_path: Path, variant: str):
    families, kinds = CONTROLS[variant]
    options = ("--light", "--families", families, "--kinds", kinds)
    assert simulate(drive, tmp_path, 60, *options, variant=variant)["broken"]
