"""Scoring speed: ``dgaal score`` compared with other programs and with the speed of its stages.

Run on demand::

    python benchmarks/bench_score.py [--images 20000] [--repeats 5] [--patient] [--keep DIR]

It creates small PNG files and a 4 MB sampler in a temporary folder (``--keep DIR`` reuses them).
Every program is timed as a whole process including its start, in turn; the output is medians. Only
ratios of one run on one machine are comparable. ``--patient`` repeats runs that other processes
disturbed.

The programs: ``plain`` is PIL and ONNX Runtime in one simple loop with batch size 64; ``eager`` is
PyTorch with a DataLoader of two workers; ``score`` is the command on the folder and ``score_npz``
on the same pixels in an array file; ``start`` and ``start_npz`` are the command on one image.
"Running" is the total time minus the start.

The bounds: ``decode`` and ``infer`` are the two stages alone on all cores; ``decode_one`` and
``infer_one`` on one core. A pipeline with one core per stage needs at least the larger of the
latter. A pipeline whose stages both use all cores, as here, needs the sum of the former; the larger
of these cannot be reached, because each stage alone uses all cores. All three are printed.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from making import Line, Stopwatch, machine, make_images, make_photographs, print_table

MAKE = Path(__file__).with_name("small_sampler.py")

PLAIN = """
import sys, numpy as np, onnxruntime as ort
from pathlib import Path
from PIL import Image
folder, model = sys.argv[1:]
session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
paths = sorted(path for path in Path(folder).iterdir())
scores = []
for start in range(0, len(paths), 64):
    files = [Image.open(path) for path in paths[start : start + 64]]
    images = [np.asarray(file.convert("RGB").resize((32, 32))) for file in files]
    scores.append(session.run(["score"], {"images": np.stack(images)})[0])
order = np.argsort(-np.concatenate(scores))
print(len(order))
"""
EAGER = """
import sys, numpy as np, torch
from pathlib import Path
from PIL import Image
sys.path.insert(0, sys.argv[2])
from small_sampler import sampler
paths = sorted(path for path in Path(sys.argv[1]).iterdir())
class Images(torch.utils.data.Dataset):
    def __len__(self):
        return len(paths)
    def __getitem__(self, place):
        return torch.from_numpy(np.array(Image.open(paths[place]).convert("RGB").resize((32, 32))))
model = sampler()
loader = torch.utils.data.DataLoader(Images(), batch_size=64, num_workers=2)
with torch.inference_mode():
    scores = torch.cat([model(images)[0] for images in loader])
print(len(scores.argsort(descending=True)))
"""
DECODE = """
import sys, time
from pathlib import Path
from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.sources import open_source
source = open_source(sys.argv[1], base=Path.cwd())
workers = int(sys.argv[2])
stream = decode_stream(source.entries(), size=32, channels=3, workers=workers, hashes=False)
count = -len(next(stream).entries)  # the processes have started
started = time.perf_counter()
count += sum(len(batch.entries) for batch in stream)
print(time.perf_counter() - started)
"""
INFER = """
import sys, time, numpy as np
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from dgaal_cli.artifacts.artifact_bytes import read_artifact
from dgaal_cli.artifacts.engines.load import start_engine
threads, calls, count = map(int, sys.argv[2:])
engine = start_engine(read_artifact(Path(sys.argv[1])), device="cpu", threads=threads, calls=calls)
images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
def run(start):
    engine.run({"images": images[start : start + 64]})
with ThreadPoolExecutor(engine.calls) as pool:
    list(pool.map(run, range(0, 256, 64)))
    started = time.perf_counter()
    list(pool.map(run, range(0, count, 64)))
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--patient", action="store_true", help="count undisturbed runs only")
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    parser.add_argument(
        "--jpeg", type=int, default=0, help="also score this number of 640x480 JPEG files"
    )
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        make_images(folder, options.images)
        subprocess.run([sys.executable, MAKE, folder / "sampler.onnx"], check=True)
        programs = png_programs(folder, options.images)
        if options.jpeg:
            make_photographs(folder / "photographs", options.jpeg)
            programs |= jpeg_programs(folder)
        programs = {
            name: program for name, program in programs.items() if name not in options.without
        }
        found = measure(programs, options.repeats, Stopwatch(is_patient=options.patient))
    title = (
        f"{options.images:,} PNG of 32 x 32, 4 MB sampler, medians of {options.repeats}; "
        f"other processes used at most {found['others took at most']:.0%} of the machine"
    )
    figures = {name: found[name] for name in RATIOS if name in found}
    lines = [Line(name, value, GOALS.get(name, "")) for name, value in figures.items()]
    lines += [Line(f"{name}, s", value) for name, value in found["seconds"].items()]
    lines += [Line(f"{name}, CPU s", value) for name, value in found["cpu seconds"].items()]
    print_table(title, lines)
    if options.json:
        report = {"machine": machine(), "images": options.images, **found}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def png_programs(folder: Path, count: int) -> dict[str, tuple[list[str], bool]]:
    """Return, by name, the command and whether the command prints its own seconds."""
    images, model = str(folder / "images"), str(folder / "sampler.onnx")
    own, cores = str(Path(__file__).parent), str(os.cpu_count())
    score = score_command(folder)
    infer = [sys.executable, "-c", INFER, model]
    return {
        "plain": ([sys.executable, "-c", PLAIN, images, model], False),
        "score": ([*score, images], False),
        "score_npz": ([*score, str(folder / "images.npz")], False),
        "start": ([*score, str(folder / "one")], False),
        "start_npz": ([*score, str(folder / "one.npz")], False),
        "eager": ([sys.executable, "-c", EAGER, images, own], False),
        "decode": ([sys.executable, "-c", DECODE, images, cores], True),
        "decode_one": ([sys.executable, "-c", DECODE, images, "1"], True),
        "infer": ([*infer, cores, cores, str(count)], True),
        "infer_as_one_call": ([*infer, cores, "1", str(count)], True),
        "infer_one": ([*infer, "1", "1", str(count)], True),
    }


def jpeg_programs(folder: Path) -> dict[str, tuple[list[str], bool]]:
    images, model = str(folder / "photographs"), str(folder / "sampler.onnx")
    score = score_command(folder)
    return {
        "jpeg_plain": ([sys.executable, "-c", PLAIN, images, model], False),
        "jpeg_score": ([*score, images], False),
        "jpeg_score_reduced": ([*score, images, "--reduced-jpeg"], False),
    }


def score_command(folder: Path) -> list[str]:
    table = str(folder / "scores.csv")
    command = [sys.executable, "-m", "dgaal_cli", "-q", "score", "-o", table]
    return [*command, "-a", str(folder / "sampler.onnx"), "--device", "cpu"]


def measure(
    programs: dict[str, tuple[list[str], bool]], repeats: int, watch: Stopwatch
) -> dict[str, Any]:
    wall: dict[str, list[float]] = {name: [] for name in programs}
    cpu: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, (command, prints_seconds) in programs.items():
            seconds, cpu_seconds = watch.time(command, prints_seconds=prints_seconds)
            wall[name].append(seconds)
            cpu[name].append(cpu_seconds)
    seconds = {name: float(np.median(values)) for name, values in wall.items()}
    return {
        "repeats": repeats,
        "others took at most": round(watch.disturbed, 3),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "cpu seconds": {name: round(float(np.median(v)), 3) for name, v in cpu.items()},
        **ratios(seconds),
    }


RATIOS = {
    "score / plain": "score / plain",
    "score / eager": "score / eager",
    "max(decode_one, infer_one) / running": "max(decode_one, infer_one) / (score - start)",
    "(decode + infer) / running": "(decode + infer) / (score - start)",
    "max(decode, infer) / running": "max(decode, infer) / (score - start)",
    "infer / running npz": "infer / (score_npz - start_npz)",
    "infer as one call / running npz": "infer_as_one_call / (score_npz - start_npz)",
    "jpeg score / plain": "jpeg_score / jpeg_plain",
    "jpeg reduced / plain": "jpeg_score_reduced / jpeg_plain",
}
"""Formulas of ratios by name, over the seconds of the programs."""
GOALS = {
    "score / plain": "<= 0.75",
    "max(decode_one, infer_one) / running": ">= 0.8",
    "(decode + infer) / running": ">= 0.8",
    "infer / running npz": ">= 0.9",
}


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, formula in RATIOS.items():
        with contextlib.suppress(NameError):  # a program was left out
            found[name] = round(eval(formula, {"max": max}, seconds), 3)
    return found


if __name__ == "__main__":
    main()
