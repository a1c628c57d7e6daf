"""CPU time of ``dgaal pool`` on a folder of 100,000 files, compared with listing and stat-ing them.

Run on demand: ``python benchmarks/bench_pool_update.py [--images 100000] [--new 1000]``. The files
are small different PNGs in 100 folders. The first ``pool status`` reads every file, as after a copy
of the pool; the others know their sizes and times. CPU seconds of all processes, start-up included;
the same command on a pool of one image says what the start costs.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from making import Line, Stopwatch, print_table

from dgaal_cli.ids import SampleId
from dgaal_cli.store.open import store_location
from dgaal_cli.store.records import NewItem

SIDE = 32
LIST_AND_STAT = """
import os, sys
def walk(folder):
    with os.scandir(folder) as listing:
        for item in sorted(listing, key=lambda item: item.name):
            if item.is_dir(follow_symlinks=False):
                yield from walk(item.path)
            else:
                yield item.path, os.stat(item.path)
print(sum(1 for _ in walk(sys.argv[1])))
"""


def make_files(pool: Path, first: int, count: int) -> Iterator[NewItem]:
    """Write small PNGs with different bytes."""
    import io

    import numpy as np
    from PIL import Image

    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    for number in range(first, first + count):
        name = f"{number % 100:02d}/{number:07d}.png"
        data = stream.getvalue() + b"%d" % number  # after the end mark: another digest
        path = pool / name
        if number < 100:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        digest = hashlib.sha256(data).digest()
        yield NewItem(
            sample_id=SampleId(name), sha256=digest, size_bytes=len(data), width=SIDE, height=SIDE
        )


def make_workspace(root: Path, images: int) -> None:
    """Make a pool and a store that knows its files."""
    root.mkdir(exist_ok=True)
    with store_location(root / "labels.db").create() as store:
        store.add_items(make_files(root / "pool", 0, images))
    (root / "dgaal.toml").write_text('version = 1\n[pool]\nsource = "pool"\n')


def main() -> None:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command compiles its modules
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    watch = Stopwatch(is_patient=False)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        pool = root / "pool"
        make_workspace(root, options.images)
        make_workspace(root / "small", 1)
        time.sleep(1.1)  # files of the last second count as not settled

        def seconds(*arguments: str, at: Path = root) -> float:
            command = [sys.executable, "-m", "dgaal_cli", "-q", "--json", "-C", str(at), *arguments]
            return watch.time(command)[1]

        listing = [sys.executable, "-c", LIST_AND_STAT, str(pool)]
        first = seconds("pool", "status")
        start = min(seconds("pool", "status", at=root / "small") for _ in range(options.runs))
        listed = min(watch.time(listing)[1] for _ in range(options.runs))
        unchanged = min(seconds("pool", "status") for _ in range(options.runs))
        list(make_files(pool, options.images, options.new))
        plan = min(seconds("pool", "status") for _ in range(options.runs))
        update = seconds("pool", "update")
        short = min(seconds("status") for _ in range(options.runs))
    print_table(
        f"{options.images:,} files, {options.new:,} new",
        [
            Line("listing and stat-ing, CPU seconds", listed),
            Line("first pool status, which reads every file, CPU seconds", first),
            Line("pool status, nothing new: times the listing", unchanged / listed),
            Line("pool status, with new files: times the listing", plan / listed, "<= 2"),
            Line("pool update: times the listing", update / listed, "<= 2"),
            Line("pool status of one image, CPU seconds", start),
            Line("pool update without the start: times the listing", (update - start) / listed),
            Line("status: CPU seconds", short),
        ],
    )
    print(f"other processes used at most {watch.disturbed:.0%} of the machine")


if __name__ == "__main__":
    main()
