#!/bin/sh
# Pillow 13.0.0 with tifffile 2025.10.16: a big-endian BigTIFF file is not an image.
#
# Expected: Pillow reads the four kinds of TIFF files: classic or BigTIFF, little- or big-endian.
# PIL.TiffImagePlugin.PREFIXES lists the first four bytes of all of them.
# Observed: three kinds are read. The plugin takes the big-endian BigTIFF file, reads its header as
# that of a classic file and warns of corrupt EXIF data; Image.open cannot identify the file.
# tifffile reads it.
# Why it matters: stacks of microscopes and slides are often BigTIFF. A folder that passes a test
# with little-endian files loses the others as "no image", and a list of prefixes says otherwise.
#
# Output:
#   classic, little-endian: read
#   classic, big-endian: read
#   BigTIFF, little-endian: read
#   BigTIFF, big-endian: UnidentifiedImageError
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --only-binary :all: pillow==13.0.0 tifffile==2025.10.16 \
    numpy==2.4.6
cd "$work"
cat >check.py <<'PYTHON'
import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
found = []
for is_big in (False, True):
    for order, word in (("<", "little"), (">", "big")):
        name = f"{is_big}-{word}.tif"
        tifffile.imwrite(name, pixels, bigtiff=is_big, byteorder=order)
        assert (tifffile.imread(name) == pixels).all()
        with open(name, "rb") as file:
            assert file.read(4) in TiffImagePlugin.PREFIXES
        try:
            with Image.open(name) as image:
                result = "read" if (np.asarray(image) == pixels).all() else "other pixels"
        except UnidentifiedImageError as error:
            result = type(error).__name__
        print(f"{'BigTIFF' if is_big else 'classic'}, {word}-endian: {result}")
        found.append(result)
assert found == ["read", "read", "read", "UnidentifiedImageError"]
PYTHON
"$work/venv/bin/python" check.py
