"""Three tiers: fast tests have no mark, ``slow`` tests also run in CI, ``deep`` tests on demand.

``pytest`` alone runs the fast tier. Files and tests named on the command line run even if they
are slow; deep tests run only with ``-m deep``.

A test is slow if it has the mark, if ``tests/slow_tests.txt`` names it, or if it belongs to a
suite over all methods and its method is not in the fast tier.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "slow_tests.txt"
FAST_METHODS = frozenset({"random", "margin", "vaal", "dgaal", "gaal"})
"""Suites over all methods run these in the fast tier and other methods in the slow tier."""

MAX_PROCESSES = 4
"""Each process imports torch; more processes slow each other down."""


def slow_lines(text: str) -> list[str]:
    """Return the table's lines without comments and blanks."""
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def names(line: str, node: str) -> bool:
    """Return whether a line, a node id or its prefix before ``::`` or ``[``, names a test."""
    return node == line or node.startswith((f"{line}::", f"{line}["))


def unused_lines(lines: Iterable[str], nodes: Sequence[str]) -> list[str]:
    """Return the lines that name no test, because it was renamed, moved or removed."""
    return [line for line in lines if not any(names(line, node) for node in nodes)]


def runs_other_method(item: pytest.Item, methods: Iterable[str]) -> bool:
    """Return whether a parameter of a test is the name of a method outside the fast tier."""
    call = getattr(item, "callspec", None)
    values = call.params.values() if call else ()
    return any(isinstance(v, str) and v in methods and v not in FAST_METHODS for v in values)


def is_whole_suite(config: pytest.Config) -> bool:
    """Return whether no file, folder or test was named."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def pytest_configure(config: pytest.Config) -> None:
    """Select the tier if ``-m`` is not given."""
    if not config.option.markexpr:
        is_whole = is_whole_suite(config)
        config.option.markexpr = "not slow and not deep" if is_whole else "not deep"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in parallel, and named tests in this process."""
    return min(MAX_PROCESSES, len(os.sched_getaffinity(0))) if is_whole_suite(config) else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests before ``-m`` selects."""
    from dgaal_cli.methods.registry import METHODS

    lines = slow_lines(FILE.read_text("utf-8"))
    for item in items:
        if runs_other_method(item, METHODS) or any(names(line, item.nodeid) for line in lines):
            item.add_marker("slow")
