"""``pytest --shard 2/5`` runs the second of five parts of the selected tests.

The parts have similar lengths, which ``durations`` recorded. They depend only on the selected
tests and the recorded lengths, and together they have every test exactly once.
"""

import heapq
from collections.abc import Mapping, Sequence

import pytest
from durations import UNRECORDED, recorded_shares


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("shards").addoption(
        "--shard", metavar="I/N", type=_part, help="Run part I (from 1) of N of the selected tests."
    )


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"--shard is I/N with 1 <= I <= N, not '{text}'")
    return int(number), int(count)


def divided(names: Sequence[str], lengths: Mapping[str, float], count: int) -> list[list[str]]:
    """Divide names into parts: the longest first, each into the part that is shortest so far."""
    parts: list[list[str]] = [[] for _ in range(count)]
    heap = [(0.0, number) for number in range(count)]
    for name in sorted(names, key=lambda name: (-lengths.get(name, UNRECORDED), name)):
        length, number = heapq.heappop(heap)
        parts[number].append(name)
        heapq.heappush(heap, (length + lengths.get(name, UNRECORDED), number))
    return parts


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the other parts, after marks and keywords have selected."""
    if config.option.shard is None:
        return
    number, count = config.option.shard
    lengths = recorded_shares(config.option.durations_file)
    own = set(divided([item.nodeid for item in items], lengths, count)[number - 1])
    others = [item for item in items if item.nodeid not in own]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item.nodeid in own]
