"""CPU time of one iteration of the released VAAL at its published sizes: ours and a plain loop.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_vaal_iteration.py``; it needs about 3 GB and a
few minutes. An iteration is one step of VGG16-BN on a labeled batch, two steps of the VAE on a
batch of each pool, and one step of D. The plain loop reimplements the published one: separate
pools, the whole VAE in D's step, a 25088-wide head on 49 copies of a 1 x 1 map, plain optimizers.
Tests in float64 show that ours computes the same (``tests/unit/methods/test_pool_game.py``,
``tests/unit/networks/test_task_models.py``). Variants are interleaved on one thread; the output is
median process CPU times and the median of the ratios of neighboring iterations.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy, cross_entropy, mse_loss

from dgaal_cli.methods.vaal_family.game import PoolBatch, ReleasedGame
from dgaal_cli.methods.vaal_family.vae import PoolDiscriminator, Vae
from dgaal_cli.networks.vgg16 import COPIES, Vgg16
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.compiling import compile_networks
from dgaal_cli.training.precision import autocast, has_bf16
from dgaal_cli.training.seeding import initializing

CLASSES, LATENT, HIDDEN = 10, 32, 512
LR_TASK, LR_POOLS, DECAY = 0.01, 5e-4, 5e-4
CPU = torch.device("cpu")
Iteration = Callable[[list[PoolBatch], Tensor], None]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Widths of the networks; the defaults are the published widths."""

    task: int = 64
    vae: int = 128


class WideVgg(nn.Module):
    """VGG16-BN with the published head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        body = Vgg16(channels=3, image_size=32, head=ClassLearning(CLASSES).head, width=width)
        self.stages = body.body
        self.wide = nn.Linear(COPIES * 8 * width, body.feature_width)
        self.hidden, self.head = body.hidden, body.head

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for stage in self.stages:
            x = stage(x)
        return self.head(self.hidden(self.wide(adaptive_avg_pool2d(x, 7).flatten(1))))


def plain(sizes: Sizes = Sizes(), device: torch.device = CPU) -> Iteration:
    """Return the published iteration."""
    task, vae, discriminator = (
        m.to(device) for m in (WideVgg(sizes.task), _vae(sizes), _discriminator())
    )
    sgd = torch.optim.SGD(task.parameters(), lr=LR_TASK, momentum=0.9, weight_decay=DECAY)
    adam_vae = torch.optim.Adam(vae.parameters(), lr=LR_POOLS)
    adam_discriminator = torch.optim.Adam(discriminator.parameters(), lr=LR_POOLS)

    def sides(batch: PoolBatch) -> list[tuple[Tensor, Tensor, float]]:
        half = len(batch.images) // 2
        return [
            (batch.images[:half], batch.noise[:half], 1.0),
            (batch.images[half:], batch.noise[half:], 0.0),
        ]

    def iterate(batches: list[PoolBatch], labels: Tensor) -> None:
        sgd.zero_grad()
        cross_entropy(task(sides(batches[0])[0][0]), labels).backward()
        sgd.step()
        for batch in batches:
            loss = torch.zeros((), device=device)
            for images, noise, _ in sides(batch):
                mean, log_variance = vae.encode(images)
                reconstruction = vae.decode(mean + torch.exp(0.5 * log_variance) * noise)
                kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
                predicted = torch.sigmoid(discriminator(mean))
                adversary_loss = binary_cross_entropy(predicted, torch.ones_like(predicted))
                loss = loss + mse_loss(reconstruction, images) + kl + adversary_loss
            adam_vae.zero_grad()
            loss.backward()
            adam_vae.step()
        discriminator_loss = torch.zeros((), device=device)
        for images, noise, truth in sides(batches[-1]):
            with torch.no_grad():
                mean, log_variance = vae.encode(images)
                vae.decode(mean + torch.exp(0.5 * log_variance) * noise)
            predicted = torch.sigmoid(discriminator(mean))
            discriminator_loss = discriminator_loss + binary_cross_entropy(
                predicted, torch.full_like(predicted, truth)
            )
        adam_discriminator.zero_grad()
        discriminator_loss.backward()
        adam_discriminator.step()

    return iterate


def ours(
    *,
    is_half: bool,
    is_channels_last: bool,
    sizes: Sizes = Sizes(),
    device: torch.device = CPU,
    is_compiled: bool = False,
    is_captured: bool = False,
) -> Iteration:
    """Return the same iteration as this package computes it."""
    task = Vgg16(channels=3, image_size=32, head=ClassLearning(CLASSES).head, width=sizes.task).to(
        device
    )
    vae, discriminator = _vae(sizes).to(device), _discriminator().to(device)
    compile_networks(
        {"task": task, "vae": vae, "discriminator": discriminator},
        "on" if is_compiled else "off",
        device,
    )
    if is_channels_last:
        task.to(memory_format=torch.channels_last)
        vae.to(memory_format=torch.channels_last)
    groups = [
        {
            "params": group.parameters,
            "lr": LR_TASK * group.lr_factor,
            "weight_decay": DECAY * group.decay_factor,
        }
        for group in task.parameter_groups()
    ]
    sgd = torch.optim.SGD(groups, momentum=0.9, fused=True)
    options = {"lr": LR_POOLS, "fused": True, "capturable": is_captured}
    optimizers = {
        "autoencoder": torch.optim.Adam(vae.parameters(), **options),
        "discriminator": torch.optim.Adam(discriminator.parameters(), **options),
    }
    game = ReleasedGame(vae, discriminator, optimizers)

    def context():
        return autocast(device, "bf16" if is_half else "fp32")

    game.autocast = context

    def iterate(batches: list[PoolBatch], labels: Tensor) -> None:
        labeled = batches[0].images[: len(labels)]
        if is_channels_last:
            labeled = labeled.contiguous(memory_format=torch.channels_last)
        with context():
            logits, _ = task(labeled)
        loss = cross_entropy(logits.float(), labels)
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        sgd.step()
        game.step(batches)

    return iterate


def _vae(sizes: Sizes) -> Vae:
    return Vae(channels=3, image_size=32, width=sizes.vae, latent=LATENT)


def _discriminator() -> PoolDiscriminator:
    return PoolDiscriminator(inputs=LATENT, hidden=HIDDEN)


def draw(batch: int, generator: torch.Generator) -> tuple[list[PoolBatch], Tensor]:
    target = torch.cat([torch.ones(batch), torch.zeros(batch)])
    batches = [
        PoolBatch(
            images=2 * torch.rand(2 * batch, 3, 32, 32, generator=generator) - 1,
            is_labeled=target,
            noise=torch.randn(2 * batch, LATENT, generator=generator),
        )
        for _ in range(2)
    ]
    return batches, torch.randint(CLASSES, (batch,), generator=generator)


def measure(variants: dict[str, Iteration], *, batch: int, repeats: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        batches, labels = draw(batch, generator)
        for name, iterate in variants.items():
            began = time.process_time()
            iterate(batches, labels)
            if repeat:  # the first warms up
                times[name].append(time.process_time() - began)
    base = times["plain"]
    return {
        name: {
            "cpu_ms": round(1000 * statistics.median(values)),
            "ratio": round(statistics.median(b / v for b, v in zip(base, values, strict=True)), 2),
            "ratios": [round(b / v, 2) for b, v in zip(base, values, strict=True)],
        }
        for name, values in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with initializing(0, "bench"):
        variants = {
            "plain": plain(),
            "ours, fp32, exact": ours(is_half=False, is_channels_last=False),
        }
        if has_bf16(torch.device("cpu")):
            variants["ours, bf16"] = ours(is_half=True, is_channels_last=False)
            variants["ours, bf16, channels last"] = ours(is_half=True, is_channels_last=True)
    found = measure(variants, batch=options.batch, repeats=options.repeats)
    lines = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = next((x.partition(":")[2].strip() for x in lines.splitlines() if "model name" in x), "")
    print(json.dumps({"cpu": model, "torch": torch.__version__, "batch": options.batch, **found}))


if __name__ == "__main__":
    main()
