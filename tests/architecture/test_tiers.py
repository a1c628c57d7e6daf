"""The tiers: marks of tests, parts of a sharded run, and the report of long tests."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from durations import merged, recorded_shares
from shards import divided
from tiers import FILE, slow_lines, unused_lines

ROOT = Path(__file__).parents[2]


def collected(selection: str) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--collect-only",
            "-n0",
            "-m",
            selection or "slow or not slow",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return [line for line in done.stdout.splitlines() if line.startswith("tests/")]


def shards_in_ci() -> list[tuple[int, int]]:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    (listed,) = re.findall(r"shard: \[([^]]*)\]", text)
    parts = [word.strip(" \"'").split("/") for word in listed.split(",")]
    return [(int(number), int(count)) for number, count in parts]


@pytest.mark.slow
def test_lines_of_the_slow_table_name_tests():
    assert unused_lines(slow_lines(FILE.read_text()), collected("")) == []


def test_control_line_without_a_test_is_found():
    nodes = ["tests/a.py::test_b[x-1]", "tests/a.py::TestC::test_d"]
    lines = [
        "tests/a.py::test_b",
        "tests/a.py::test",
        "tests/a.py::TestC",
        "tests/b.py",
        "tests/a.py",
    ]
    assert unused_lines(lines, nodes) == ["tests/a.py::test", "tests/b.py"]


@pytest.mark.slow
def test_shards_in_ci_have_every_deep_test_once():
    deep = collected("deep")
    assert len(deep) > 100
    shards = shards_in_ci()
    (count,) = {count for _, count in shards}
    assert [number for number, _ in shards] == list(range(1, count + 1))
    parts = divided(deep, recorded_shares(), count)
    assert sorted(name for part in parts for name in part) == sorted(deep)
    assert all(parts)


def test_parts_have_similar_lengths_in_any_order():
    lengths = {"a": 50.0, "b": 30.0, "c": 20.0, "d": 20.0}
    parts = divided(["a", "b", "c", "d"], lengths, 2)
    assert [sorted(part) for part in parts] == [["a"], ["b", "c", "d"]] or [
        sum(lengths[name] for name in part) for part in parts
    ] == [70.0, 50.0]
    assert divided(["d", "c", "b", "a"], lengths, 2) == parts


class TestPlugins:
    """Separate runs of pytest with the plugins."""

    @pytest.fixture
    def suite(self, pytester: pytest.Pytester) -> pytest.Pytester:
        pytester.makepyprojecttoml('[tool.pytest.ini_options]\nmarkers = ["slow", "deep"]\n')
        pytester.makepyfile(
            test_small="""
            import time, pytest
            def test_burns():
                began = time.process_time()
                while time.process_time() - began < 0.06: pass
            @pytest.mark.slow
            def test_burns_and_is_slow(): test_burns()
            @pytest.mark.parametrize("n", range(5))
            def test_quick(n): pass
            """
        )
        return pytester

    def run(self, suite: pytest.Pytester, recorded: dict[str, float], *options: str) -> str:
        file = suite.path / "durations.json"
        file.write_text(json.dumps(recorded))
        done = suite.runpytest_inprocess(
            "-p",
            "durations",
            "-p",
            "shards",
            f"--durations-file={file}",
            "-p",
            "no:xdist",
            "-p",
            "no:asyncio",
            *options,
        )
        return done.stdout.str()

    def test_test_far_beyond_its_record_is_reported_without_failure(self, suite: pytest.Pytester):
        output = self.run(suite, {"test_small.py::test_burns": 0.1})
        assert "take far longer than recorded" in output
        assert "instead of 0: test_small.py::test_burns" in output
        assert "7 passed" in output

    @pytest.mark.parametrize(
        "recorded",
        [{"test_small.py::test_burns": 5.0}, {"test_small.py::test_burns_and_is_slow": 0.1}, {}],
    )
    def test_expected_and_marked_tests_are_not_reported(
        self, suite: pytest.Pytester, recorded: dict[str, float]
    ):
        assert "take far longer" not in self.run(suite, recorded)

    def test_recording_keeps_shares_of_other_tests(self, suite: pytest.Pytester):
        self.run(suite, {"test_small.py::test_gone": 77.0}, "--record-durations")
        shares = recorded_shares(suite.path / "durations.json")
        assert shares["test_small.py::test_gone"] == 77.0
        assert "test_small.py::test_quick[0]" not in shares

    def test_shard_runs_only_its_part(self, suite: pytest.Pytester):
        counts = []
        for number in (1, 2, 3):
            output = self.run(suite, {}, "--shard", f"{number}/3")
            counts.append(int(re.findall(r"(\d+) passed", output)[0]))
        assert sorted(counts) == [2, 2, 3]

    @pytest.mark.parametrize("wrong", ["0/3", "4/3", "x", "1"])
    def test_invalid_shard_is_refused(self, suite: pytest.Pytester, wrong: str):
        done = suite.runpytest_inprocess("-p", "durations", "-p", "shards", "--shard", wrong)
        assert done.ret == pytest.ExitCode.USAGE_ERROR


def test_recorded_shares_have_two_digits_without_short_tests():
    assert merged({"a": 123.4, "b": 99.0}, {"b": 5.0, "c": 17.26}) == {"a": 120.0, "c": 17.0}
