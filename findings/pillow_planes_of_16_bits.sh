#!/bin/sh
# pillow 13.0.0: 16-bit color that a TIFF stores in planes is read as noise, without an error.
#
# Expected: a TIFF of 16 bits with a plane for each color (PlanarConfiguration 2, which microscopes
# and remote sensing write) is read as the one with interleaved samples, with the high byte of each
# sample; or it is refused, as Pillow refuses other layouts that it does not know.
# Observed: without compression the planes are read as if their samples had 8 bits. Low and high
# bytes of the left half of a row become neighboring pixels, and the right half is lost. With LZW the
# same picture is right.
# Why it matters: a pool of such files looks like noise to every model, and nothing warns. Mode and
# size are as expected, and a check that opens and loads each file finds no damage.
#
# Output:
#   interleaved        largest difference of a level 0
#   planes, LZW        largest difference of a level 0
#   planes             largest difference of a level 241
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

y, x = np.mgrid[0:32, 0:32].astype(np.uint16)
planes = np.stack([y * 1000, x * 1000, (x + y) * 500])
levels = np.moveaxis(planes, 0, 2) >> 8


def difference(samples, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric="rgb", **options)
    with Image.open(io.BytesIO(file.getvalue())) as image:
        assert (image.mode, image.size) == ("RGB", (32, 32))
        return int(np.abs(np.asarray(image).astype(int) - levels).max())


interleaved = difference(np.ascontiguousarray(np.moveaxis(planes, 0, 2)))
packed = difference(planes, planarconfig="separate", compression="lzw")
raw = difference(planes, planarconfig="separate")
for name, value in (("interleaved", interleaved), ("planes, LZW", packed), ("planes", raw)):
    print(f"{name:18} largest difference of a level {value}")
assert (interleaved, packed) == (0, 0)
assert raw > 100
PYTHON
