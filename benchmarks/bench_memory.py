"""Memory of scoring a million files, in addition to the memory of the engine.

Run on demand: ``python benchmarks/bench_memory.py [--images 1000000]``. A synthetic source lists
that many files with different names (all are one small PNG). They are processed by decoder
processes, engine, journal and external sort, and written to a CSV table. Peaks are those of whole
processes; the memory of the engine is the peak of a run over 1,000 files.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from making import Line, make_images, print_table

LIMIT_MB = 400


class Listed:
    """A source that lists one file under many names, as long as those of a real pool."""

    def __init__(self, file: Path, count: int) -> None:
        self.file = file
        self.images = count
        self.spec = f"synthetic:{count}"

    def entries(self):
        from dgaal_cli.data.sources.base import Entry, FileBytes
        from dgaal_cli.ids import SampleId

        read = FileBytes(str(self.file))
        for number in range(self.images):
            name = f"2026/camera-{number % 97:02d}/frame-{number:09d}.png"
            yield Entry(id=SampleId(name), path=f"/data/pools/street/{name}", read=read)

    def count(self):
        return self.images

    def stamp(self):
        return ""

    def get(self, sample_id):
        return next(entry for entry in self.entries() if entry.id == sample_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        from small_sampler import make_sampler

        make_images(options.make, 1)
        make_sampler(options.make / "sampler.onnx")
        return
    if options.one:
        score_one(options.one, options.images)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In another process, because the peak of a child includes the memory of its parent.
        subprocess.run([sys.executable, __file__, "--make", str(folder)], check=True)
        engine_peak, _ = peak(folder, 1_000)
        total_peak, decoders = peak(folder, options.images)
        lines = sum(1 for _ in (folder / "scores.csv").open("rb"))
    print_table(
        f"{options.images:,} listed files into a CSV table, MB at the peak",
        [
            Line("dgaal score without the engine", total_peak - engine_peak, f"<= {LIMIT_MB}"),
            Line("dgaal score", total_peak),
            Line("engine (1,000 files)", engine_peak),
            Line("largest decoder process", decoders),
            Line("lines of the table without header", lines - 1, f">= {options.images}"),
        ],
    )
    if total_peak - engine_peak > LIMIT_MB or lines != options.images + 1:
        raise SystemExit(1)


def peak(folder: Path, count: int) -> tuple[float, float]:
    """Return MB of the scoring process and of its largest decoder process."""
    command = [sys.executable, __file__, "--one", str(folder), "--images", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    scoring, decoders = map(float, done.stdout.split())
    return scoring, decoders


def score_one(folder: Path, count: int) -> None:
    from dgaal_cli.api.score import ScoreOptions, score

    result = score(
        Listed(folder / "one" / "one.png", count),
        artifact=folder / "sampler.onnx",
        base=folder,
        output=folder / "scores.csv",
        options=ScoreOptions(device="cpu"),
    )
    assert result.scored == count
    for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        sys.stdout.write(f"{resource.getrusage(processes).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main()
