"""``dgaal score`` compared with the published sampling pass of VAAL.

Run on demand: ``python benchmarks/bench_sampling_pass.py [--images 4096] [--repeats 3]``.

The published pass (sinhasam/vaal, sampler.py) reads every unlabeled image with a DataLoader (PIL,
flip, to tensor, normalize) and runs the whole autoencoder, without using the decoder's output, and
the discriminator, all in train mode. Ours is the exported encoder and discriminator, float32 and
int8, on the same pixels in an array file. Rates exclude the start of both processes. ``engine`` is
the float32 engine alone on resident batches; the ratio to it shows the cost of reading, ranking and
writing. The networks are the published ones: 128-256-512-1024 channels, 32 latents, discriminator
512-512-1.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench_score import INFER
from making import Line, Stopwatch, pictures, print_table
from PIL import Image
from small_sampler import write_sealed
from torch import nn
from torchvision import transforms

from dgaal_cli.methods.vaal_family.vae import PoolDiscriminator, Vae
from exporters import seal
from exporters.embedded import embed
from exporters.manifest import TensorInfo
from exporters.quantize import quantize

BATCH = 128


class Sampler(nn.Module):
    def __init__(self, vae: Vae, discriminator: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Sequential(vae.body, nn.Flatten(), vae.mean)
        self.discriminator = discriminator

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.encoder(images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0)
        return -self.discriminator(z).reshape(-1), z


class Images(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.transform = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[place])), place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patient", action="store_true", help="count undisturbed runs only")
    parser.add_argument("--published", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    vae = Vae(channels=3, image_size=32, width=128, latent=32)
    discriminator = PoolDiscriminator(inputs=32, hidden=512)
    if options.published:
        pixels = np.load(options.published)["x"]
        sys.stdout.write(f"{published(vae, discriminator, pixels)}\n")
        return
    pixels = pictures(options.images)
    rates: dict[str, list[float]] = {"published": [], "float32": [], "int8": [], "engine": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_artifacts(folder, Sampler(vae, discriminator).eval(), pixels)
        np.savez(folder / "all.npz", x=pixels)
        np.savez(folder / "few.npz", x=pixels[:64])
        pass_ = [sys.executable, __file__, "--published", str(folder / "all.npz")]
        cores, count = str(os.cpu_count()), str(len(pixels))
        engine = [sys.executable, "-c", INFER, str(folder / "float32.onnx"), cores, cores, count]
        watch = Stopwatch(is_patient=options.patient)
        for _ in range(options.repeats):
            rates["published"].append(len(pixels) / watch.time(pass_, prints_seconds=True)[0])
            rates["engine"].append(len(pixels) / watch.time(engine, prints_seconds=True)[0])
            for name in ("float32", "int8"):
                rates[name].append(ours(watch, folder, name, options.images))
    found = {name: float(np.median(values)) for name, values in rates.items()}
    print_table(
        f"{options.images:,} images through VAAL's encoder and D, images per second; "
        f"other processes used at most {watch.disturbed:.0%} of the machine",
        [
            Line("float32 / published", found["float32"] / found["published"], ">= 10"),
            Line("int8 / published", found["int8"] / found["published"], ">= 10"),
            Line("int8 / float32", found["int8"] / found["float32"], ">= 1"),
            Line("float32 / engine alone", found["float32"] / found["engine"], ">= 0.9"),
            *(Line(f"{name}, images/s", rate) for name, rate in found.items()),
        ],
    )


def published(vae: Vae, discriminator: nn.Module, pixels: np.ndarray) -> float:
    loader = torch.utils.data.DataLoader(Images(pixels), batch_size=BATCH)
    vae.train()
    discriminator.train()
    with torch.no_grad():
        vae.decode(vae.encode(torch.zeros(BATCH, 3, 32, 32))[0])
        started = time.perf_counter()
        for images, _ in loader:
            mean, log_variance = vae.encode(images)
            vae.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance))
            discriminator(mean)
    return time.perf_counter() - started


def ours(watch: Stopwatch, folder: Path, name: str, images: int) -> float:
    command = [sys.executable, "-m", "dgaal_cli", "-q", "score", "--device", "cpu"]
    command += ["-a", str(folder / f"{name}.onnx"), "-o", str(folder / "scores.csv")]
    start, _ = watch.time([*command, str(folder / "few.npz")])
    whole, _ = watch.time([*command, str(folder / "all.npz")])
    return (images - 64) / (whole - start)


def write_artifacts(folder: Path, sampler: Sampler, pixels: np.ndarray) -> None:
    outputs = (
        TensorInfo(name="score", shape=("N",), dtype="float32", meaning="score"),
        TensorInfo(name="features", shape=("N", 32), dtype="float32", meaning="latents"),
    )
    write_sealed(folder / "float32.onnx", sampler, outputs, side=32)
    int8 = folder / "int8.onnx"
    body, manifest = write_sealed(int8, sampler, outputs, side=32, precision="int8")
    quantized = quantize(body, pixels[:256], input_name="images")
    int8.write_bytes(seal.seal(embed(quantized, manifest, "onnx"), "onnx"))


if __name__ == "__main__":
    main()
