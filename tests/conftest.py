"""The suite's tiers, shards and report of durations, and how many processes run it."""

import os

import pytest

pytest_plugins = ("pytester", "durations", "shards", "tiers")

MAX_PROCESSES = 4
"""Each imports torch; more of them wait for one another."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in parallel, and what is named on the command line in this process."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(MAX_PROCESSES, len(os.sched_getaffinity(0)))
