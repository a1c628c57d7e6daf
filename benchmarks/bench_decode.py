"""Rates of the decoders, in CPU seconds: compared with another checkout and with tifffile.

    python benchmarks/bench_decode.py [--other CHECKOUT]

Decodes files made in memory: 8-bit PNG and JPEG as a decoder process does, in turns with the other
checkout, in processes of their own; 16-bit TIFF against ``tifffile.imread`` of the same bytes.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROUNDS = 7
_CODE = """
import io, json, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from PIL import Image
try:
    from dgaal_cli.data.decoders.base import Target
    from dgaal_cli.data.decoders.load import load_picture, silence_decoders
    def load(data): return load_picture(data, Target(side=32, channels=3))
except ModuleNotFoundError:  # commit 018bf93
    from dgaal_cli.data.picture import load_picture, silence_decoders
    def load(data): return load_picture(data, side=32, channels=3)
silence_decoders()
y, x = np.mgrid[0:224, 0:224]
noise = np.random.default_rng(0).integers(0, 30, (224, 224, 3))
color = np.stack([x, y, (x + y) // 2], axis=2) + noise
image = Image.fromarray(color.clip(0, 255).astype("uint8"))
found = {}
for kind, count in (("PNG", 150), ("JPEG", 400)):
    stream = io.BytesIO()
    image.save(stream, kind)
    data = stream.getvalue()
    load(data)
    start = time.process_time()
    for _ in range(count):
        load(data)
    found[kind] = (time.process_time() - start) / count
print(json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--other", type=Path, help="checkout to compare with")
    here, other = Path(__file__).parents[1], parser.parse_args().other
    if other is not None:
        runs = [(seconds(here), seconds(other)) for _ in range(ROUNDS)]
        for kind in ("PNG", "JPEG"):
            ratios = [new[kind] / old[kind] for new, old in runs]
            best = min(new[kind] for new, _ in runs) / min(old[kind] for _, old in runs)
            print(
                f"{kind}: CPU time / that of {other}: median {statistics.median(ratios):.3f}, "
                f"of the fastest runs {best:.3f}"
            )
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate"):
        print(f"16-bit TIFF, {compression or 'not compressed'}: {tiff_rate(compression):.2f}")


def seconds(checkout: Path) -> dict[str, float]:
    """Return the CPU seconds of one image of each format."""
    command = [sys.executable, "-c", _CODE, str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def tiff_rate(compression: str | None) -> float:
    """Return the rate of dgaal's decoding to levels as a share of tifffile's to samples."""
    import tifffile

    from dgaal_cli.data.decoders.base import Target
    from dgaal_cli.data.decoders.load import load_picture

    samples = np.random.default_rng(0).integers(0, 4096, (1024, 1024), np.uint16)
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "TIFF", compression=compression)
    data = stream.getvalue()

    def cpu(decode: object) -> float:
        start = time.process_time()
        for _ in range(10):
            decode()  # type: ignore[operator]
        return time.process_time() - start

    pairs = [
        (
            cpu(lambda: load_picture(data, Target())),
            cpu(lambda: tifffile.imread(io.BytesIO(data))),
        )
        for _ in range(ROUNDS)
    ]
    return min(other for _, other in pairs) / min(own for own, _ in pairs)


if __name__ == "__main__":
    main()
