"""CPU seconds of one DGAAL pretraining iteration, compared with a plain loop.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_dgaal_iteration.py``.
The plain loop (``tests/support/plain_games.py``) uses separate forward passes for every player and
plain Adam. It computes the same update (``tests/unit/methods/test_games.py``, float64, 1e-12
relative) on contiguous networks; ours are channels last. Both use the same weights and batches on
one thread, with interleaved iterations. The output is process CPU time and the median of the
ratios of neighboring iterations.
"""

import argparse
import copy
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from plain_games import plain_iteration

from dgaal_cli.config.load import build_config
from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.registry import load_encoder
from dgaal_cli.methods.adversarial_encoder.games import ADAM_BETAS
from dgaal_cli.methods.base import TaskShape
from dgaal_cli.methods.dgaal.method import Dgaal
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.precision import autocast, has_bf16
from dgaal_cli.training.seeding import initializing


def cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def variants(preset: str, image_size: int, channels: int) -> dict[str, Callable[[], object]]:
    tree = {"source": "unused", "image_size": image_size, "channels": channels}
    config = build_config({"preset": preset, "pool": tree})
    with initializing(0, "bench"):
        games = Dgaal(
            config,
            TaskShape(
                encoder=load_encoder(EncoderConfig(), image_size=image_size, channels=channels),
                task=ClassLearning(10),
            ),
        ).games
    batch = config.pretrain.batch
    generator = torch.Generator().manual_seed(0)
    shape = (2 * batch, channels, image_size, image_size)
    pools, images = (2 * torch.rand(shape, generator=generator) - 1 for _ in range(2))
    noise = 1 + 0.1 * torch.rand(2 * batch, games.decoder.map_channels, generator=generator)
    plain, half = copy.deepcopy(games), copy.deepcopy(games)
    for network in (plain.encoder, plain.decoder, plain.image_discriminator):
        network.to(memory_format=torch.contiguous_format)
    adam = {
        name: torch.optim.Adam(
            optimizer.param_groups[0]["params"],
            lr=optimizer.param_groups[0]["lr"],
            betas=ADAM_BETAS,
        )
        for name, optimizer in plain.optimizers(config.pretrain).items()
    }
    fp32, bf16 = games.optimizers(config.pretrain), half.optimizers(config.pretrain)

    def ours(variant, optimizers, context) -> None:
        variant.feature_game(pools, optimizers, autocast=context)
        variant.image_game(images, noise, config.pretrain, optimizers, autocast=context)

    found: dict[str, Callable[[], object]] = {
        "plain loop": lambda: plain_iteration(plain, pools, images, noise, config.pretrain, adam),
        "ours, fp32": lambda: ours(games, fp32, nullcontext),
    }
    cpu = torch.device("cpu")
    if has_bf16(cpu):
        found["ours, bf16"] = lambda: ours(half, bf16, lambda: autocast(cpu, "bf16"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="small")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = variants(options.preset, options.image_size, options.channels)
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            times[name].append(cpu_seconds(run))
    for name, values in times.items():
        ratio = statistics.median(p / v for p, v in zip(times["plain loop"], values, strict=True))
        print(
            f"{name:12} {1000 * statistics.median(values):8.1f} CPU-ms  {ratio:.2f} times as fast"
        )
    print(f"{options}, torch {torch.__version__}, 1 thread, {platform.machine()}")


if __name__ == "__main__":
    main()
