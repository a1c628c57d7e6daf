"""Networks under torch.compile: equal results with an identity backend, and one compilation."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import torch
from small_rounds import build, runner, small_config, small_data

from dgaal_cli.errors import UsageError
from dgaal_cli.training.checkpoint import module_tensors
from dgaal_cli.training.compiling import compile_networks, explain_compiler_errors

CPU = torch.device("cpu")


def trained(folder, *, backend=None, name="dgaal"):
    method, data = build(small_config(name)), small_data()
    if backend is not None:
        assert compile_networks(method.modules, "on", CPU, backend=backend)
    phases = [*method.learn(data), *method.adapt(data)]
    runner(method, phases, folder).run(phases)
    return module_tensors(method.modules)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler issues its own warnings
def test_compiled_networks_keep_names_and_bits_and_compile_once(tmp_path):
    from torch._dynamo.testing import CompileCounter

    torch.set_num_threads(1)
    counter = CompileCounter()
    plain = trained(tmp_path / "plain")
    compiled = trained(tmp_path / "compiled", backend=counter)
    assert plain.keys() == compiled.keys()
    assert [key for key in plain if not torch.equal(plain[key], compiled[key])] == []
    assert counter.frame_count > 0
    first = counter.frame_count
    trained(tmp_path / "next round", backend=counter)
    assert counter.frame_count == first


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dgaal", {"conv2d", "conv_transpose2d", "batch_norm"}),
        ("vaal-released", {"conv2d", "conv_transpose2d"}),
    ],
)
def test_game_networks_are_compiled(name, kinds, tmp_path):
    seen = Counter()

    def backend(graph, _inputs):
        seen.update(getattr(node.target, "__name__", "") for node in graph.graph.nodes)
        return graph.forward

    torch._dynamo.reset()
    trained(tmp_path, backend=backend, name=name)
    assert kinds <= seen.keys()


@pytest.mark.parametrize(("option", "device"), [("off", "cpu"), ("off", "cuda"), ("auto", "cpu")])
def test_networks_are_not_compiled_by_default(option, device):
    method = build(small_config())
    assert not compile_networks(method.modules, option, torch.device(device))
    assert all(m._compiled_call_impl is None for m in method.modules.values())


def test_compiler_error_raises_usage_error():
    def fail(_graph, _inputs):
        raise ValueError("no C++ compiler\nat all")

    layer = torch.nn.Linear(2, 2)
    compile_networks({"layer": layer}, "on", CPU, backend=fail)
    with (
        pytest.raises(UsageError, match=r"torch\.compile does not work .*no C\+\+.*compile=off"),
        explain_compiler_errors(),
    ):
        layer(torch.zeros(1, 2))


def test_other_errors_are_not_changed():
    with pytest.raises(RuntimeError, match="mat1"), explain_compiler_errors():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


COMPILED = """
import json, torch
from torch._dynamo.utils import counters
from dgaal_cli.training.compiling import compile_networks
torch.set_num_threads(1)
network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
compile_networks({"network": network}, "on", torch.device("cpu"))
network(torch.randn(2, 1, 8, 8)).sum().backward()
print(json.dumps(counters["inductor"]))
"""


@pytest.mark.deep
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's compiler needs one")
def test_later_process_uses_the_compile_cache(tmp_path):
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def cache():
        done = subprocess.run(
            [sys.executable, "-c", COMPILED],
            env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        counters = json.loads(done.stdout.splitlines()[-1])
        return counters.get("fxgraph_cache_miss", 0), counters.get("fxgraph_cache_hit", 0)

    missed, hit = cache()
    assert missed > 0
    assert hit == 0
    assert cache() == (0, missed)
