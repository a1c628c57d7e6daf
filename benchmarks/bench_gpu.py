"""VAAL at its published sizes on one GPU: time per iteration, utilization, and time of a curve.

Run ``python benchmarks/bench_gpu.py`` on a host with a GPU (about ten minutes, 10 GB), or with
``--smoke`` on any host, which runs the same code with tiny sizes. The output is one JSON object:

- ``ceilings``: speed of this device in one large matrix product and in one large copy;
- ``variants``: milliseconds per iteration of the published loop and of ours, medians of
  interleaved blocks of steps, including drawing batches from a resident pool of random images;
  TFLOP/s and their share of the ceiling, with operations counted by torch; a variant that fails
  has its error;
- ``curve``: the fastest of our variants over ``--steps`` more steps, and estimated minutes of seven
  rounds of the released code on CIFAR-10 (39,062 iterations each) and of epochs over the labels;
- ``host_waits``: operations of an iteration that made the host wait for the device;
- ``resume``: largest weight difference between uninterrupted training and training that was saved
  and loaded, and between two uninterrupted runs;
- ``together``: milliseconds per iteration of ``--processes`` concurrent runs.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_vaal_iteration import LATENT, Iteration, Sizes, ours, plain
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from no_synthetic import no_synthetic_images

from dgaal_cli.config.load import build_config
from dgaal_cli.config.schema import Config, EncoderConfig
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.methods.fresh import fresh_method
from dgaal_cli.methods.vaal_family.draws import PoolDraws, PoolRows, iterations
from dgaal_cli.methods.vaal_family.game import PoolBatch
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training import checkpoint
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase
from dgaal_cli.training.precision import has_bf16
from dgaal_cli.training.seeding import initializing, torch_generator

ROUNDS, CIFAR = 7, 50_000
LABELS = [5_000 + 2_500 * number for number in range(ROUNDS)]
EPOCHS = 100
INTERRUPTED_AT, TOTAL_STEPS = 5, 10
"""Step of each phase at which training is interrupted, and total steps of each phase."""
RESUMED = ("dgaal", "vaal", "vaal-released")
Step = Callable[[int], None]


def config_of(method: str, preset: str, **sections: Any) -> Config:
    pool = {"source": "unused", "image_size": 32, "channels": 3}
    return build_config({"method": method, "preset": preset, "pool": pool, **sections})


def data_of(device: torch.device, *, images: int, labeled: int, side: int = 32) -> RoundData:
    rng = np.random.default_rng(0)
    labels = np.full(images, -1)
    labels[:labeled] = rng.integers(10, size=labeled)
    return RoundData(
        number=0,
        seed=0,
        device=device,
        precision="bf16" if has_bf16(device) else "fp32",
        item_ids=[ItemId(i) for i in range(images)],
        pixels=rng.integers(256, size=(images, side, side, 3), dtype=np.uint8),
        task=ClassLearning(10),
        targets=labels,
        is_labeled=labels >= 0,
        is_usable=np.ones(images, dtype=bool),
        is_held_out=np.zeros(images, dtype=bool),
        class_names=[str(k) for k in range(10)],
        synthetic=no_synthetic_images(side, 3, ClassLearning(10)),
    )


class BatchDraws:
    """Draws the two batches of an iteration in the same way as training."""

    def __init__(self, data: RoundData, batch: int) -> None:
        config = config_of("vaal-released", "cifar10-paper", vaal={"batch": batch})
        rows = PoolRows(
            labeled=torch.from_numpy(data.labeled_rows),
            unlabeled=torch.from_numpy(data.unlabeled_rows),
        )
        self._draws = PoolDraws(data, rows, config, latent=LATENT, is_game=True)
        self._draws.extras.classes = torch.from_numpy(data.targets)

    def at(self, number: int) -> tuple[list[PoolBatch], Tensor]:
        generator = torch_generator(0, number)
        batches = [self._draws.at(2 * number + k, generator) for k in range(2)]
        assert batches[0].classes is not None
        return batches, batches[0].classes


def as_cuda_graph(iterate: Iteration, drawing: BatchDraws) -> Iteration:
    """Capture one iteration as a CUDA graph; return a function that replays it on new batches."""
    batches, labels = drawing.at(0)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            iterate(batches, labels)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        iterate(batches, labels)

    def replay(new: list[PoolBatch], new_labels: Tensor) -> None:
        for own, other in zip(batches, new, strict=True):
            own.images.copy_(other.images)
            own.noise.copy_(other.noise)
        labels.copy_(new_labels)
        graph.replay()

    return replay


def variants_of(
    data: RoundData, drawing: BatchDraws, sizes: Sizes
) -> dict[str, Callable[[], Iteration]]:
    device, is_half = data.device, data.precision == "bf16"
    form = {"sizes": sizes, "device": device}
    last = {"is_half": is_half, "is_channels_last": True, **form}
    found: dict[str, Callable[[], Iteration]] = {
        "published loop, fp32": lambda: plain(sizes, device),
        "ours, fp32": lambda: ours(is_half=False, is_channels_last=False, **form),
        f"ours, {data.precision}": lambda: ours(is_half=is_half, is_channels_last=False, **form),
        f"ours, {data.precision}, channels last": lambda: ours(**last),
    }
    if device.type == "cuda":
        name = f"ours, {data.precision}, channels last"
        found[f"{name}, compiled"] = lambda: ours(is_compiled=True, **last)
        found[f"{name}, CUDA graph"] = lambda: as_cuda_graph(
            ours(is_captured=True, **last), drawing
        )
        found[f"{name}, compiled, CUDA graph"] = lambda: as_cuda_graph(
            ours(is_captured=True, is_compiled=True, **last), drawing
        )
    return found


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    wait(device)
    began = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - began


def ceilings(device: torch.device, *, is_half: bool, is_smoke: bool) -> dict[str, float]:
    side, size = (256, 1 << 20) if is_smoke else (8192, 1 << 30)
    kind = torch.bfloat16 if is_half else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    x, y = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    product = statistics.median(seconds(lambda: a @ b, device) for _ in range(10))
    copy = statistics.median(seconds(lambda: y.copy_(x), device) for _ in range(10))
    return {"matrix_tflops": 2e-12 * side**3 / product, "copy_gb_s": 2e-9 * size / copy}


def operations(iterate: Iteration, drawing: BatchDraws) -> float:
    with FlopCounterMode(display=False) as counter:
        iterate(*drawing.at(0))
    return float(counter.get_total_flops())


def measure(
    data: RoundData, drawing: BatchDraws, sizes: Sizes, *, blocks: int, block: int, ceiling: float
) -> tuple[dict[str, Any], dict[str, Step]]:
    steps: dict[str, Step] = {}
    report: dict[str, Any] = {}
    for name, build in variants_of(data, drawing, sizes).items():
        try:
            with initializing(0, "bench"):
                iterate = build()
            counted = "graph" not in name and "compiled" not in name
            flops = operations(iterate, drawing) if counted else None
            for number in range(5):  # warm-up: compilation, tuning and caches
                iterate(*drawing.at(number))
        except Exception as error:  # noqa: BLE001 - a failed variant must not stop the others
            report[name] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
            continue
        report[name] = {"flops": flops, "ms": []}
        steps[name] = lambda number, iterate=iterate: iterate(*drawing.at(number))
    for place in range(blocks):
        for name, step in steps.items():
            numbers = range(place * block, (place + 1) * block)
            took = seconds(lambda n=numbers, s=step: [s(k) for k in n], data.device)
            report[name]["ms"].append(1000 * took / block)
    for name in steps:
        entry = report[name]
        flops = entry.pop("flops") or report[f"ours, {data.precision}"].get("flops_of_one", 0.0)
        entry["flops_of_one"] = flops
        entry["ms"] = statistics.median(entry["ms"])
        entry["tflops"] = 1e-9 * flops / entry["ms"]
        entry["share_of_ceiling"] = entry["tflops"] / ceiling
    return report, steps


def curve(ms: float, *, batch: int) -> dict[str, float]:
    """Return minutes of seven rounds at ``ms`` milliseconds per iteration."""
    config = config_of("vaal-released", "cifar10-paper", vaal={"batch": batch}).vaal
    pool = ROUNDS * iterations(config, pool=CIFAR, labeled=0)
    labeled = sum(round(EPOCHS * count / batch) for count in LABELS)
    return {
        "ms": ms,
        "minutes_epochs_over_the_pool": ms * pool / 60_000,
        "minutes_epochs_over_the_labels": ms * labeled / 60_000,
    }


def host_waits(step: Step, device: torch.device) -> int | None:
    """Return the number of operations that waited for the device; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step(0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def resumes(device: torch.device, name: str, *, side: int) -> dict[str, Any]:
    """Train ``name`` twice without interruption and once with saving and loading; compare."""
    lengths = {"epochs": 0, "min_steps": TOTAL_STEPS}
    config = config_of(
        name,
        "tiny",
        pretrain=lengths,
        vaal={**lengths, "settle_steps": TOTAL_STEPS},
        coevolve={"steps": TOTAL_STEPS},
        classifier={"steps": TOTAL_STEPS},
    )
    data = data_of(device, images=400, labeled=80, side=side)

    def start_training() -> tuple[Method, list[Phase]]:
        method = fresh_method(
            config,
            TaskShape(
                encoder=load_encoder(EncoderConfig(), image_size=side, channels=3),
                task=ClassLearning(10),
            ),
            number=0,
        )
        for module in method.modules.values():
            module.to(device)
        return method, [*method.learn(data), *method.adapt(data)]

    def run_training(method: Method, phases: list[Phase], folder: Path | None) -> Method:
        for place in range(len(phases)):
            phases[place].prepare()
            for number in range(TOTAL_STEPS):
                if folder is not None and number == INTERRUPTED_AT:
                    moments, scalars = checkpoint.optimizer_tensors(phases[place].optimizers)
                    saved = checkpoint.module_tensors(method.modules) | moments
                    checkpoint.save(folder, saved, {"scalars": scalars})
                    tensors, state = checkpoint.load(folder)
                    method, phases = start_training()
                    checkpoint.restore_modules(method.modules, tensors)
                    phases[place].prepare()
                    checkpoint.restore_optimizers(
                        phases[place].optimizers, tensors, state["scalars"]
                    )
                phase = phases[place]
                for network in phase.networks.values():
                    network.train()
                phase.schedule(number)
                phase.step(number, torch_generator(0, 0, phase.name, number))
        return method

    def max_difference(one: Method, other: Method) -> float:
        own, theirs = (checkpoint.module_tensors(m.modules) for m in (one, other))
        return max(float((own[k].double() - theirs[k].double()).abs().max()) for k in own)

    with tempfile.TemporaryDirectory() as folder:
        resumed = run_training(*start_training(), Path(folder) / "state")
    first, second = run_training(*start_training(), None), run_training(*start_training(), None)
    return {
        "largest_difference": max_difference(first, resumed),
        "of_two_uncut": max_difference(first, second),
    }


def together(count: int, options: argparse.Namespace) -> list[float]:
    """Return milliseconds per iteration of ``count`` concurrent processes."""
    command = [sys.executable, __file__, "--alone", "--steps", str(options.steps)]
    command += ["--batch", str(options.batch), *(["--smoke"] if options.smoke else [])]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return [float(process.communicate()[0]) for process in running]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--block", type=int, default=30)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke:
        options.batch, options.steps, options.blocks, options.block = 4, 3, 2, 1
        torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.smoke:
        raise SystemExit("no GPU found; --smoke runs the same code with tiny sizes on the CPU")
    sizes = Sizes(task=2, vae=4) if options.smoke else Sizes()
    data = data_of(device, images=256 if options.smoke else CIFAR, labeled=64)
    drawing = BatchDraws(data, options.batch)
    if options.alone:
        iterate = ours(
            is_half=data.precision == "bf16", is_channels_last=True, sizes=sizes, device=device
        )
        iterate(*drawing.at(0))
        run = seconds(lambda: [iterate(*drawing.at(k)) for k in range(options.steps)], device)
        print(1000 * run / options.steps)
        return
    top = ceilings(device, is_half=data.precision == "bf16", is_smoke=options.smoke)
    variants, steps = measure(
        data,
        drawing,
        sizes,
        blocks=options.blocks,
        block=options.block,
        ceiling=top["matrix_tflops"],
    )
    fastest = min((n for n in steps if n.startswith("ours")), key=lambda n: variants[n]["ms"])
    run = seconds(lambda: [steps[fastest](k) for k in range(options.steps)], device)
    is_gpu = device.type == "cuda"
    report = {
        "device": torch.cuda.get_device_name(device) if is_gpu else platform.machine(),
        "torch": torch.__version__,
        "batch": options.batch,
        "ceilings": top,
        "variants": variants,
        "curve": {
            "variant": fastest,
            "steps": options.steps,
            **curve(1000 * run / options.steps, batch=options.batch),
        },
        "host_waits": host_waits(steps[f"ours, {data.precision}"], device),
        "resume": {
            name: resumes(device, name, side=8 if options.smoke else 32) for name in RESUMED
        },
        "together": together(options.processes, options) if options.processes > 1 else [],
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
