"""Simulate months of work with faults; print what happened and the first broken promise.

Arguments: seed, folder, months, variant. Options: --shard I/N, --light (no training), --families.
The variant ``sound`` is dgaal itself; the others are the negative controls of ``month.broken``.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from month.forks import FarForks, Forks, shim_environment

if TYPE_CHECKING:
    from month.world import Workers


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("months", type=int)
    parser.add_argument("variant")
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--families", default="")
    parser.add_argument("--kinds", default="")
    parser.add_argument("--faults", type=int, default=10**9)
    parser.add_argument("--keep-going", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run the months of this shard and print the report."""
    if "file_calls" not in os.environ.get("LD_PRELOAD", ""):
        environment = {**os.environ, **shim_environment(), "OMP_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    chosen = options()
    from month import broken
    from month.world import Workers

    from dgaal_cli.store.sqlite import gate

    gate.DEADLINE_S = 0.2  # commands that meet a stopped one need not wait for long
    broken.VARIANTS[chosen.variant]()
    far = Forks() if chosen.light else FarForks()
    report = simulate(chosen, Workers(light=far if chosen.light else Forks(), heavy=far))
    if not report["broken"]:
        shutil.rmtree(chosen.folder, ignore_errors=True)
    sys.stdout.write(f"\n{json.dumps(report)}\n")


def simulate(chosen: argparse.Namespace, workers: "Workers") -> dict[str, Any]:
    """Run the months; the report is also in the folder after each of them."""
    from month import simulation

    began = time.monotonic()
    report: dict[str, Any] = {"faults": 0, "broken": [], "table": Counter(), "refusals": Counter()}
    number, _, count = chosen.shard.partition("/")
    try:
        template = simulation.make_template(
            chosen.folder / "template", workers, is_light=chosen.light
        )
    except simulation.BrokenPromiseError as found:  # without any fault
        note(report, 0, found)
        return report
    for index in range(int(number) - 1, chosen.months, int(count)):
        seed = chosen.seed + index
        month = simulation.start(template, chosen.folder / "month", number=seed)
        month.refusals = report["refusals"]
        try:
            month.run(chosen_pairs(chosen), limit=max(0, chosen.faults - report["faults"]))
        except simulation.BrokenPromiseError as found:
            note(report, seed, found)
            shutil.copytree(month.world.box, chosen.folder / f"broken-{seed}", symlinks=True)
        report["table"].update({f"{kind} x {f}": n for (kind, f), n in month.counts.items()})
        report["faults"] = report["table"].total()
        report["seconds"] = round(time.monotonic() - began, 1)
        (chosen.folder / "report.json").write_text(json.dumps(report))
        if report["faults"] >= chosen.faults or (report["broken"] and not chosen.keep_going):
            break
    return report


def note(report: dict[str, Any], seed: int, found: Any) -> None:
    """Add a broken promise to the report, and print it with the commands that led there."""
    report["broken"].append({"seed": seed, "problem": found.problem, "log": found.log})
    sys.stderr.write(f"seed {seed}: {found.problem}\n")
    sys.stderr.write("".join(f"    {line}\n" for line in found.log[-12:]))


def chosen_pairs(chosen: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the kinds and families of faults that the command line asks for."""
    from month import faults
    from month.families import FAMILIES, HEAVY

    families = chosen.families.split(",") if chosen.families else list(FAMILIES)
    families = [family for family in families if not (chosen.light and family in HEAVY)]
    kinds = chosen.kinds.split(",") if chosen.kinds else list(faults.KINDS)
    return [pair for pair in faults.pairs(families) if pair[0] in kinds]


if __name__ == "__main__":
    main()
