"""Milliseconds of a training step by number of threads and by waiting policy.

Run ``python benchmarks/bench_threads.py [--threads 1,2]``. One process per waiting policy (torch's
OpenMP reads ``OMP_WAIT_POLICY`` once, when it is loaded) runs steps of the same networks; the
processes alternate after each measurement. The output is wall milliseconds of a step of DGAAL's
pretraining and of T, the median over the time of each measurement. On a machine with other load
the values show the cost of threads that wait for each other.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

POLICIES = ("active", "passive")


def steps(preset: str, side: int) -> dict[str, Callable[[int], object]]:
    import numpy as np

    from dgaal_cli.config.load import build_config
    from dgaal_cli.config.schema import EncoderConfig
    from dgaal_cli.encoders.registry import load_encoder
    from dgaal_cli.methods.base import TaskShape
    from dgaal_cli.methods.fresh import fresh_method
    from dgaal_cli.tasks.classification.model import ClassLearning
    from dgaal_cli.training.data import RoundData, SyntheticImages
    from dgaal_cli.training.device import pick_device
    from dgaal_cli.training.seeding import torch_generator

    count, labeled = 512, 100
    channels = 1 if side == 8 else 3
    tree = {"source": "unused", "image_size": side, "channels": channels}
    config = build_config({"preset": preset, "pool": tree})
    rng = np.random.default_rng(0)
    labels = np.full(count, -1)
    labels[:labeled] = np.arange(labeled) % 10
    data = RoundData(
        number=0,
        seed=0,
        device=pick_device("cpu"),
        item_ids=list(range(count)),
        pixels=rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8),
        task=ClassLearning(10),
        targets=labels,
        is_labeled=labels >= 0,
        is_usable=np.ones(count, bool),
        is_held_out=np.zeros(count, bool),
        class_names=list("0123456789"),
        synthetic=SyntheticImages(
            item_ids=[],
            pixels=np.zeros((0, side, side, channels), np.uint8),
            parents=np.zeros(0, int),
            targets=np.zeros(0, int),
            is_labeled=np.zeros(0, bool),
            is_candidate=np.zeros(0, bool),
        ),
        is_first_labeled=True,
    )
    shape = TaskShape(
        encoder=load_encoder(EncoderConfig(), image_size=side, channels=channels),
        task=ClassLearning(10),
    )
    method = fresh_method(config, shape, number=0)
    found = {}
    for phase in method.learn(data):
        if phase.name in ("pretrain", "classifier"):
            phase.prepare()
            for module in phase.networks.values():
                module.train()
            found[phase.name] = lambda i, p=phase: p.step(i, torch_generator(i, p.name))
    return found


def serve() -> None:
    """Answer lines of JSON ``[preset, side, threads, seconds]`` with milliseconds per step."""
    import torch

    built = {}
    for line in sys.stdin:
        preset, side, threads, seconds = json.loads(line)
        if (preset, side) not in built:
            built[preset, side] = steps(preset, side)
        torch.set_num_threads(threads)
        medians = {}
        for name, step in built[preset, side].items():
            step(0)
            times, end = [], time.perf_counter() + seconds
            while not times or time.perf_counter() < end:
                began = time.perf_counter()
                step(len(times) + 1)
                times.append(1000 * (time.perf_counter() - began))
            medians[name] = statistics.median(times)
        print(json.dumps(medians), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--sides", default="8,16,32")
    parser.add_argument("--presets", default="tiny,small")
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "MKL_"))
    }
    servers = {
        policy: subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            env=environment | ({"OMP_WAIT_POLICY": "PASSIVE"} if policy == "passive" else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for policy in POLICIES
    }
    print("ms per step                   pretraining            T")
    for preset in options.presets.split(","):
        for side in map(int, options.sides.split(",")):
            for threads in map(int, options.threads.split(",")):
                for policy, server in servers.items():
                    server.stdin.write(json.dumps([preset, side, threads, options.seconds]) + "\n")
                    server.stdin.flush()
                    medians = json.loads(server.stdout.readline())
                    print(
                        f"{preset:<6} {side:>2} px  {threads} threads {policy:<8}"
                        f"{medians['pretrain']:>8.1f}{medians['classifier']:>13.1f}",
                        flush=True,
                    )
    for server in servers.values():
        server.stdin.close()
        server.wait()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
