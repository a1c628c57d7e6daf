"""Memory that scoring a million files takes beyond what its engine takes.

Run on demand: ``python benchmarks/bench_memory.py [--images 1000000]``. A synthetic source
lists that many files of different names (all are one small PNG), which go through decoder
processes, engine, journal, external sort and into a whole CSV table. Peaks are of whole processes;
the engine's own is that of a run over 1,000 of them.
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
    """One file under a million names as long as those of a real pool."""

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
        # In another process: the peak of a child begins with what its parent holds.
        subprocess.run([sys.executable, __file__, "--make", str(folder)], check=True)
        own, _ = peak(folder, 1_000)
        whole, decoders = peak(folder, options.images)
        lines = sum(1 for _ in (folder / "scores.csv").open("rb"))
    print_table(
        f"{options.images:,} listed files into a CSV table, MB at the peak",
        [
            Line("dgaal score beyond the engine's own", whole - own, f"<= {LIMIT_MB}"),
            Line("dgaal score", whole),
            Line("the engine's own (1,000 files)", own),
            Line("largest decoder process", decoders),
            Line("lines of the table, less its header", lines - 1, f">= {options.images}"),
        ],
    )
    if whole - own > LIMIT_MB or lines != options.images + 1:
        raise SystemExit(1)


def peak(folder: Path, count: int) -> tuple[float, float]:
    """MB of the scoring process, and of its largest decoder process."""
    command = [sys.executable, __file__, "--one", str(folder), "--images", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    own, decoders = map(float, done.stdout.split())
    return own, decoders


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
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        sys.stdout.write(f"{resource.getrusage(who).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main()
