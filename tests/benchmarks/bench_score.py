"""Scoring speed: ``dgaal score`` beside a plain PIL + ONNX Runtime loop, and beside its bound.

Run on demand: ``python tests/benchmarks/bench_score.py [--images 20000] [--repeats 3]``. It makes
small PNG files and a 4 MB sampler in a temporary folder (``--keep DIR`` uses them again). Every way
is timed as a whole process, start-up included, in turn; the median counts. Ratios on one machine
in one spell mean something, seconds do not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE = 32
WIDTHS = (32, 64, 160, 256)

PLAIN = """
import sys, numpy as np, onnxruntime as ort
from pathlib import Path
from PIL import Image
folder, model = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
paths = sorted(Path(folder).rglob("*.png"))
scores = []
for start in range(0, len(paths), 64):
    files = [Image.open(path) for path in paths[start : start + 64]]
    images = [np.asarray(file.convert("RGB").resize((32, 32))) for file in files]
    scores.append(session.run(["score"], {"images": np.stack(images)})[0])
order = np.argsort(-np.concatenate(scores))
print(len(order))
"""
DECODE = """
import sys, time
from pathlib import Path
from dgaal_cli.data.decoding import decode_stream
from dgaal_cli.data.sources import open_source
source = open_source(sys.argv[1], base=Path.cwd())
started = time.perf_counter()
count = sum(len(b.entries) for b in decode_stream(source.entries(), size=32, channels=3, chunk=64))
print(time.perf_counter() - started)
"""
INFER = """
import sys, time, numpy as np
from pathlib import Path
from dgaal_cli.engines.load import load_engine
engine = load_engine(Path(sys.argv[1]), device="cpu")
images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
engine.run({"images": images})
started = time.perf_counter()
for _ in range(int(sys.argv[2]) // 64):
    engine.run({"images": images})
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        make_images(folder / "images", options.images)
        make_arrays(folder / "images.npz", options.images)
        make_sampler(folder / "sampler.onnx")
        found = measure(folder, options.images, options.repeats)
        sys.stdout.write(json.dumps(found, indent=1) + "\n")


def measure(folder: Path, count: int, repeats: int) -> dict[str, object]:
    images, model = str(folder / "images"), str(folder / "sampler.onnx")
    score = [sys.executable, "-m", "dgaal_cli", "-q", "score", "-a", model, "--device", "cpu"]
    table = ["-o", str(folder / "scores.csv")]
    times: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, command in (
            ("plain", [sys.executable, "-c", PLAIN, images, model]),
            ("score", [*score, images, *table]),
            ("score_npz", [*score, str(folder / "images.npz"), *table]),
            ("start", [*score, f"{folder / 'one'}", *table]),
        ):
            times.setdefault(name, []).append(timed(command))
        times.setdefault("decode", []).append(told([sys.executable, "-c", DECODE, images]))
        infer = [sys.executable, "-c", INFER, model, str(count)]
        times.setdefault("infer", []).append(told(infer))
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    running = seconds["score"] - seconds["start"]
    running_npz = seconds["score_npz"] - seconds["start"]
    return {
        "images": count,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "score / plain": round(seconds["score"] / seconds["plain"], 3),
        "bound / score, running": round(max(seconds["decode"], seconds["infer"]) / running, 3),
        "cpu bound / score, running": round(
            cpu_bound(seconds["decode"], seconds["infer"]) / running, 3
        ),
        "infer / score npz, running": round(seconds["infer"] / running_npz, 3),
    }


def cpu_bound(decode: float, infer: float) -> float:
    """Both stages use all cores when alone: beside each other they need the sum."""
    return decode + infer


def timed(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def told(command: list[str]) -> float:
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def make_images(folder: Path, count: int) -> None:
    if folder.exists():
        return
    from PIL import Image

    folder.mkdir(parents=True)
    (folder.parent / "one").mkdir()
    for number, pixels in enumerate(pictures(count)):
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")
    Image.fromarray(pixels).save(folder.parent / "one" / "one.png")


def make_arrays(path: Path, count: int) -> None:
    if not path.exists():
        np.savez(path, x=pictures(count))


def pictures(count: int) -> np.ndarray:
    """Smooth color blobs with some noise: they compress as photographs do."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (count, 4, 4, 3)).astype(np.float32)
    smooth = coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)
    noise = generator.normal(0, 12, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


def make_sampler(path: Path) -> None:
    if path.exists():
        return
    import torch
    from torch import nn

    from exporters import seal
    from exporters.manifest import Manifest, TensorInfo
    from exporters.registry import load_exporter
    from exporters.spec import ExportSpec

    class Sampler(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
                layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
            self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * 4, 32))
            self.head = nn.Sequential(nn.Linear(32, 512), nn.ReLU(), nn.Linear(512, 1))

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
            score = self.head(self.encoder(x)).squeeze(1)
            return score, torch.sigmoid(score)

    sampler = Sampler().eval()
    with torch.no_grad():
        for number, weight in enumerate(sampler.parameters()):
            steps = torch.arange(weight.numel(), dtype=torch.float64).reshape(weight.shape)
            fan_in = max(1, weight.numel() // len(weight))
            weight.copy_(torch.sin(steps * 1.7 + number) * (2 / fan_in) ** 0.5)
    shape = ("N", SIDE, SIDE, 3)
    images = TensorInfo(name="images", shape=shape, dtype="uint8", meaning="pixels")
    outputs = tuple(
        TensorInfo(name=name, shape=("N",), dtype="float32", meaning=name)
        for name in ("score", "p_unlabeled")
    )
    manifest = Manifest(
        role="sampler",
        method="vaal",
        input_size=SIDE,
        channels=3,
        inputs=(images,),
        outputs=outputs,
    )
    data = load_exporter("onnx")(sampler, ExportSpec(manifest=manifest))
    path.write_bytes(seal.seal(data, "onnx"))


if __name__ == "__main__":
    main()
