"""An int8 sampler compared with its float32 version: ranking, top 5 % and speed.

Run ``python benchmarks/bench_int8.py [--pool SOURCE] [--method vaal] [--preset tiny]``. The
benchmark creates a workspace for the pool (default: the built-in digits), labels some images with
their true labels, and runs ``dgaal train`` and ``dgaal export --onnx --int8``. Both files then
score the whole pool in alternating blocks, measured in CPU time of one thread. SOURCE must have
labels.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from making import Line, print_table

DGAAL = [sys.executable, "-m", "dgaal_cli", "-q"]
BATCH = 64
ANSWER = """
import sys
from pathlib import Path
from dgaal_cli.tasks.oracle import answer_items, true_labels
from dgaal_cli.store.open import open_store
from dgaal_cli.training.seeds import numpy_generator
from dgaal_cli.workspace import Workspace
root, pool, count = sys.argv[1:]
with open_store(Workspace(Path(root)).store_path) as store:
    items = store.items()
    picked = numpy_generator(0, "first labels").permutation(len(items))[: int(count)]
    answer_items(store, [items[i].item_id for i in picked], true_labels(pool, base=Path(root)))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", default="builtin:digits#train")
    parser.add_argument("--classes", default="0,1,2,3,4,5,6,7,8,9")
    parser.add_argument("--method", default="vaal")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--work", type=Path, help="keep the workspace in this folder and reuse it")
    parser.add_argument("--set", action="append", default=[], help="as for dgaal train")
    options = parser.parse_args()
    pool = options.pool
    if not pool.startswith("builtin:"):
        pool = str(Path(pool).absolute())
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder) / "work"
        if not work.exists():
            build(work, pool, options)
        run([*DGAAL, "-C", str(work), "export", "--onnx", "--int8"])
        artifacts = work / "artifacts"
        lines = compare(artifacts / "sampler.onnx", artifacts / "sampler.int8.onnx", pool)
    title = f"{options.method}, preset {options.preset}, {options.labels} labels, {options.pool}"
    print_table(title, lines)


def build(work: Path, pool: str, options: argparse.Namespace) -> None:
    init = ["init", str(work), "--pool", pool, "--classes", options.classes]
    init += ["--method", options.method, "--preset", options.preset]
    run([*DGAAL, *init])
    run([sys.executable, "-c", ANSWER, str(work), pool, str(options.labels)])
    settings = [part for value in options.set for part in ("--set", value)]
    run([*DGAAL, "-C", str(work), "train", *settings])


def run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:8])} ...\n{done.stdout}{done.stderr}")


def compare(exact: Path, quantized: Path, pool: str) -> list[Line]:
    from dgaal_cli.artifacts.artifact_bytes import read_artifact
    from dgaal_cli.artifacts.engines.load import start_engine
    from exporters.quantize import compare_rankings

    artifacts = [read_artifact(path) for path in (exact, quantized)]
    engines = [start_engine(artifact, device="cpu", threads=1) for artifact in artifacts]
    manifest = engines[0].manifest
    images = pixels(pool, manifest.input_size, manifest.channels)
    scores: list[list[np.ndarray]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for start in range(0, len(images) - BATCH + 1, BATCH):
        block = images[start : start + BATCH]
        for place, engine in enumerate(engines):
            engine.run({"images": block})
            began = time.thread_time()
            scores[place].append(engine.run({"images": block})["score"])
            seconds[place].append(time.thread_time() - began)
    agreement = compare_rankings(*(np.concatenate(part) for part in scores), min_spearman=-1.0)
    float32, int8 = (1e6 * float(np.median(part)) / BATCH for part in seconds)
    return [
        Line(f"Spearman over {agreement.images:,} images", agreement.spearman, ">= 0.99"),
        Line("overlap of the best 5 %", agreement.top_overlap, ">= 0.97"),
        Line("float32 / int8, CPU time of the engine", float32 / int8, ">= 1"),
        Line("float32, microseconds per image", float32),
        Line("int8, microseconds per image", int8),
        Line("float32, MB", exact.stat().st_size / 1e6),
        Line("int8, MB", quantized.stat().st_size / 1e6),
    ]


def pixels(pool: str, side: int, channels: int) -> np.ndarray:
    from dgaal_cli.data.decode_stream import decode_stream
    from dgaal_cli.data.sources import open_source

    entries = open_source(pool, base=Path.cwd()).entries()
    stream = decode_stream(entries, size=side, channels=channels, hashes=False)
    return np.concatenate([batch.pixels for batch in stream])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
    main()
