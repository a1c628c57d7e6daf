"""Start this file as two processes that train together over gloo, as torchrun does.

Each process writes its results to ``FOLDER/RANK.json``.
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path


def start(folder: Path, task: str, *, world: int = 2) -> list[subprocess.Popen]:
    """Start ``world`` processes that do ``task`` of this file."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    return [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), task],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]


def results(folder: Path, processes: list[subprocess.Popen]) -> list[dict]:
    """Wait for the processes and return their results."""
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(len(processes))]


def digest_of_weights(modules) -> str:
    summed = hashlib.sha256()
    for name in sorted(modules):
        for key, value in modules[name].named_parameters():
            summed.update(f"{name}.{key}".encode() + value.detach().numpy().tobytes())
    return summed.hexdigest()


def average(runtime) -> dict:
    """One step of a linear network; each process has its own gradients."""
    import torch

    weights = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    bias = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer = torch.optim.SGD([weights, bias], lr=1.0)
    runtime.share_gradients([optimizer])
    generator = torch.Generator().manual_seed(runtime.rank)
    own_gradient = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    (weights * own_gradient).sum().backward()
    bias.grad = torch.full_like(bias, runtime.rank + 1.0)
    optimizer.step()
    return {"own": own_gradient.tolist(), "weights": weights.tolist(), "bias": bias.tolist()}


def train(runtime, folder: Path) -> dict:
    """Train a small round; return digests of the weights after each step."""
    from small_rounds import build, runner, small_config, small_data

    config, data = small_config(), small_data()
    # Other initial weights in each process: those of process 0 must be used.
    method = build(config, number=runtime.rank)
    phases = [*method.learn(data), *method.adapt(data)]
    digests, draws = [], []
    for phase in phases:
        inner = phase.step

        def step(number, generator, inner=inner, phase=phase):
            draws.append(int(generator.initial_seed()))
            losses = inner(number, generator)
            digests.append(digest_of_weights(phase.networks))
            return losses

        phase.step = step
    # One folder for all, as in a workspace: process 0 writes it.
    runner(method, phases, folder / "round", runtime=runtime).run(phases)
    found = {"digests": digests, "draws": draws, "final": digest_of_weights(method.modules)}
    return found | average(runtime)


def die(runtime, folder: Path) -> dict:
    """Process 1 kills itself in the middle; process 0 reports its error."""
    from small_rounds import build, runner, small_config, small_data

    from dgaal_cli.errors import InterruptedRunError

    config, data = small_config(), small_data()
    method = build(config)
    phases = [*method.learn(data), *method.adapt(data)]
    inner = phases[1].step

    def step(number, generator):
        if runtime.rank == 1 and number == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(number, generator)

    phases[1].step = step
    try:
        runner(method, phases, folder / "round", runtime=runtime).run(phases)
    except InterruptedRunError as error:
        return {"message": str(error), "code": error.exit_code, "title": phases[1].title}
    return {"message": "", "code": 0, "title": ""}


def threads_left() -> list[str]:
    """Return the names of threads of torch.distributed that still run."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name or "store" in name]


def main() -> None:
    from dgaal_cli.training.runtime import start_runtime

    folder, task = Path(sys.argv[1]), {"train": train, "die": die}[sys.argv[2]]
    with start_runtime(device="cpu", precision="fp32", threads=1) as runtime:
        found = task(runtime, folder)
    found["threads"] = threads_left()
    (folder / f"{runtime.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
