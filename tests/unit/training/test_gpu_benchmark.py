"""A tiny run of the GPU benchmark, on any device, so that the benchmark keeps working."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "bench_gpu.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.deep
def test_smoke_run_reports_all_measurements():
    done = run("--smoke", "--processes", "1")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"published loop, fp32", "ours, fp32"} <= found["variants"].keys()
    for name, variant in found["variants"].items():
        assert "failed" not in variant, name
        assert variant["ms"] > 0
    operations = {name: variant["flops_of_one"] for name, variant in found["variants"].items()}
    assert operations["ours, fp32"] < 0.9 * operations["published loop, fp32"]
    curve = found["curve"]
    minutes = curve["minutes_epochs_over_the_pool"]
    assert minutes == pytest.approx(curve["ms"] * 7 * 1_250_000 / 60_000)
    assert found["resume"].keys() == {"dgaal", "vaal", "vaal-released"}
    if not torch.cuda.is_available():
        assert all(each["largest_difference"] == 0 for each in found["resume"].values())
