#!/bin/sh
# cleanvision 0.3.7 (with Pillow 12.1.0): different palette pictures are "exact duplicates".
#
# Expected: the documentation calls images exact duplicates if they are identical to each other.
# Observed: the hash is taken over the numbers that the file stores. In a palette picture (GIF,
# PNG with 8 bits or less) these are indices into its palette, and the palette is not hashed. The
# size is not hashed either. Three flags of different colors are reported as one set of identical
# pictures. The same pictures saved as RGB are not reported.
# Why it matters: who keeps one picture of each reported set deletes pictures of other classes
# before anyone has labeled them.
#
# Output:
#   palette PNG [['green.png', 'purple.png', 'red.png']]
#   RGB PNG     []
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet cleanvision==0.3.7 pillow==12.1.0
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import contextlib
import io
from pathlib import Path

from cleanvision import Imagelab
from PIL import Image

COLORS = {"red": (200, 20, 20), "green": (20, 160, 40), "purple": (120, 40, 200)}


def duplicates(mode):
    folder = Path(mode)
    folder.mkdir()
    for name, color in COLORS.items():
        picture = Image.new("RGB", (64, 48), (250, 250, 250))
        picture.paste(color, (0, 16, 64, 32))
        if mode == "P":
            picture = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
        picture.save(folder / f"{name}.png")
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        lab = Imagelab(data_path=str(folder))
        lab.find_issues({"exact_duplicates": {}}, n_jobs=1, verbose=False)
    sets = lab.info["exact_duplicates"]["sets"]
    return [sorted(Path(path).name for path in one) for one in sets]


palette, rgb = duplicates("P"), duplicates("RGB")
print("palette PNG", palette)
print("RGB PNG    ", rgb)
assert palette == [["green.png", "purple.png", "red.png"]]
assert rgb == []
PYTHON
