"""The three tiers: fast tests carry no mark, ``slow`` ones run in CI too, ``deep`` ones on demand.

``pytest`` alone runs the fast tier. Files and tests that are named on the command line run whether
they are slow or not; deep ones run with ``-m deep`` only.

A test is slow by a mark beside it, by a line of ``tests/slow_tests.txt``, or because it runs a
method that the fast tier leaves out in a suite over all methods.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "slow_tests.txt"
FAST_METHODS = frozenset({"random", "margin", "vaal", "dgaal", "gaal"})
"""Suites over all methods run these in the fast tier and the others in the slow one."""

MAX_PROCESSES = 4
"""Each imports torch; more of them wait for one another."""


def slow_lines(text: str) -> list[str]:
    """Return the table's lines without comments and blanks."""
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def names(line: str, node: str) -> bool:
    """Whether a line, a node id or the beginning of one up to ``::`` or ``[``, names a test."""
    return node == line or node.startswith((f"{line}::", f"{line}["))


def unused_lines(lines: Iterable[str], nodes: Sequence[str]) -> list[str]:
    """Return the lines that name no test, for it was renamed, moved or removed."""
    return [line for line in lines if not any(names(line, node) for node in nodes)]


def runs_other_method(item: pytest.Item, methods: Iterable[str]) -> bool:
    """Whether a parameter of a test is the name of a method that the fast tier leaves out."""
    call = getattr(item, "callspec", None)
    values = call.params.values() if call else ()
    return any(isinstance(v, str) and v in methods and v not in FAST_METHODS for v in values)


def is_whole_suite(config: pytest.Config) -> bool:
    """Whether no file, folder or test was named."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config: pytest.Config) -> None:
    """Choose the tier where ``-m`` does not."""
    if not config.option.markexpr:
        whole = is_whole_suite(config)
        config.option.markexpr = "not slow and not deep" if whole else "not deep"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in parallel, and what was named in this process."""
    return min(MAX_PROCESSES, len(os.sched_getaffinity(0))) if is_whole_suite(config) else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow ones before ``-m`` selects."""
    from dgaal_cli.methods.registry import METHODS

    lines = slow_lines(FILE.read_text("utf-8"))
    for item in items:
        if runs_other_method(item, METHODS) or any(names(line, item.nodeid) for line in lines):
            item.add_marker("slow")
