"""Durations of tests, as multiples of a calibration loop, so that machines can be compared.

A test's share is the CPU time of its setup, call and teardown and of its finished child processes,
divided by the CPU time of one fixed loop of Python and NumPy. CPU time depends little on other
programs on the machine. ``tests/durations.json`` has the shares of the longer tests;
``pytest --record-durations`` updates it with the tests that ran.

The summary of every run lists tests that are neither ``slow`` nor ``deep`` and take more than five
times their recorded share. It is only a report, because machines differ.
"""

import json
import math
import os
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "durations.json"
UNRECORDED = 10.0
"""Share of a test without a record; shorter shares are not recorded."""
FACTOR = 5.0
"""A share is reported if it is more than this many times the recorded one."""
PROPERTY = "cpu_s"
PLUGIN = "durations of tests"


def loop_seconds() -> float:
    """Return the CPU seconds of the calibration loop: the minimum of three runs of about 0.05 s."""
    return min(_timed_loop() for _ in range(3))


def _timed_loop() -> float:
    import numpy as np

    began = time.process_time()
    table = {number: str(number) for number in range(60_000)}
    _ = sum(len(text) for text in table.values() if text.endswith("7"))
    values = np.linspace(0.0, 1.0, 50_000)
    for _ in range(12):
        values = np.sort(np.sin(values * 97.0))
    return time.process_time() - began


def recorded_shares(file: Path = FILE) -> dict[str, float]:
    """Return the recorded shares by node id."""
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def too_long(
    shares: Mapping[str, float], recorded: Mapping[str, float]
) -> list[tuple[str, float, float]]:
    """Return node id, share and recorded share of tests beyond the factor, the longest first."""
    found = [(name, share, recorded.get(name, UNRECORDED)) for name, share in shares.items()]
    found = [(name, share, old) for name, share, old in found if share > FACTOR * old]
    return sorted(found, key=lambda row: -row[1] / row[2])


def merged(recorded: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, float]:
    """Merge measured shares over recorded ones, with two digits, without short tests."""
    rounded = {name: _rounded(share) for name, share in {**recorded, **shares}.items()}
    return {name: share for name, share in sorted(rounded.items()) if share > UNRECORDED}


def _rounded(share: float) -> float:
    digits = 1 - math.floor(math.log10(share)) if share > 0 else 0
    return round(share, digits)


class Durations:
    """Collects shares in the reporting process and reports them at its end."""

    def __init__(self, file: Path, *, is_recording: bool) -> None:
        self._file = file
        self._is_recording = is_recording
        self._loop_s = loop_seconds()
        self._shares: dict[str, float] = {}
        self._fast: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        seconds = dict(report.user_properties).get(PROPERTY)
        if seconds is not None:
            self._shares[report.nodeid] = float(seconds) / self._loop_s
            if not {"slow", "deep"} & report.keywords.keys():
                self._fast.add(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        recorded = recorded_shares(self._file)
        fast = {name: share for name, share in self._shares.items() if name in self._fast}
        slower = too_long(fast, recorded)
        if slower:
            terminalreporter.section("tests of the fast tier that take far longer than recorded")
            for name, share, old in slower:
                terminalreporter.line(
                    f"{share:.0f} loops of {self._loop_s:.2f} CPU-s instead of {old:.0f}: {name}"
                )
        if self._is_recording:
            text = json.dumps(merged(recorded, self._shares), indent=0)
            self._file.write_text(f"{text}\n", "utf-8")
            terminalreporter.line(f"wrote {self._file}")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durations")
    group.addoption(
        "--record-durations",
        action="store_true",
        help="Write tests' shares of a calibration loop into the file.",
    )
    group.addoption(
        "--durations-file", type=Path, default=FILE, help="Recorded shares; tests/durations.json."
    )


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    durations = Durations(config.option.durations_file, is_recording=config.option.record_durations)
    config.pluginmanager.register(durations, PLUGIN)


STARTED = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Record the start of a test; the report of its teardown has the CPU seconds since."""
    item.stash[STARTED] = _cpu_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "teardown":
        report.user_properties.append((PROPERTY, _cpu_seconds() - item.stash[STARTED]))
    return report


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
