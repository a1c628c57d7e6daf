"""CPU time of a training batch: the resident pool compared with torch's DataLoader and Pillow.

Run ``OMP_NUM_THREADS=1 python benchmarks/bench_loader.py [--side 32] [--batch 128]``. Both
return float32 batches ``(B, 3, S, S)`` in [-1, 1] of the same images, randomly mirrored and shifted
by up to 4 pixels. The DataLoader (``num_workers=0``) reads like torchvision's CIFAR-10: from an
array in memory through a Pillow image and ``Compose([RandomCrop(padding=4), RandomHorizontalFlip,
ToTensor, Normalize])``. With ``--png`` it opens PNG files, like an image folder. The two are
interleaved on one thread; the output is median process CPU times and their ratio.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from no_synthetic import no_synthetic_images

from dgaal_cli.config.schema import ClassifierConfig
from dgaal_cli.ids import ItemId
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.tasks.classification.model import ClassLearning
from dgaal_cli.training.augmentation import augment
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import draw_rows

AUGMENTATION = ClassifierConfig(shift=4, flip=True)


class Images(Dataset):
    """Reads one image at a time through Pillow."""

    def __init__(self, pixels: np.ndarray, files: list[Path]) -> None:
        self._pixels, self._files = pixels, files
        self._change = transforms.Compose(
            [
                transforms.RandomCrop(pixels.shape[1], padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, row: int) -> torch.Tensor:
        if self._files:
            with Image.open(self._files[row]) as image:
                return self._change(image.convert("RGB"))
        return self._change(Image.fromarray(self._pixels[row]))


def resident(pixels: np.ndarray, batch: int) -> Callable[[], torch.Tensor]:
    """Return a function that draws the next batch in the same way as training."""
    count, side = pixels.shape[:2]
    data = RoundData(
        number=0,
        seed=0,
        device=torch.device("cpu"),
        item_ids=[ItemId(i) for i in range(count)],
        pixels=pixels,
        task=ClassLearning(1),
        targets=np.full(count, -1),
        is_labeled=np.zeros(count, bool),
        is_usable=np.ones(count, dtype=bool),
        is_held_out=np.zeros(count, dtype=bool),
        class_names=[],
        synthetic=no_synthetic_images(side, 3, ClassLearning(1)),
    )
    rows, generator = torch.arange(count), torch.Generator().manual_seed(0)

    def draw() -> torch.Tensor:
        images = data.images(draw_rows(rows, batch, generator))
        return normalize(augment(images, AUGMENTATION, generator))

    return draw


def endless(loader: DataLoader) -> Iterator[torch.Tensor]:
    while True:
        yield from loader


def cpu_seconds(draw: Callable[[], torch.Tensor], batches: int) -> float:
    began = time.process_time()
    for _ in range(batches):
        draw()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--png", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape = (options.images, options.side, options.side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{row}.png" for row in range(options.images if options.png else 0)]
        for path, image in zip(files, pixels, strict=False):
            Image.fromarray(image).save(path)
        loader = DataLoader(
            Images(pixels, files), batch_size=options.batch, shuffle=True, drop_last=True
        )
        theirs, ours = endless(loader), resident(pixels, options.batch)
        first, other = ours(), next(theirs)
        assert first.shape == other.shape
        assert first.dtype == other.dtype
        times: list[tuple[float, float]] = []
        for _ in range(options.repeats):
            plain = cpu_seconds(lambda: next(theirs), options.batches)
            times.append((plain, cpu_seconds(ours, options.batches)))
    microseconds = 1e6 / (options.batches * options.batch)
    plain, own = (statistics.median(side) * microseconds for side in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    print(
        f"DataLoader + Pillow {plain:.1f} CPU-us per image, resident {own:.1f}: {ratio:.1f} times"
    )
    print(f"{options}, torch {torch.__version__}, 1 thread, {platform.machine()}")


if __name__ == "__main__":
    main()
