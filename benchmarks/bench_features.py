"""The feature cache and selection by features.

Run ``python benchmarks/bench_features.py PART [options]`` with one of these parts:

- ``rows``: a query of 100 from ``--rows`` rows of 384 numbers in a cache of float16, by MaxHerding
  and by the kernel critic, with 100 labels: minutes, and memory beyond that of the imports. The
  rows are a mixture of 100 normal distributions. Memory is the peak of the whole process; pages of
  the cache that are mapped count.
- ``halves``: what float16 changes on real images: ``DATA=SOURCE`` names them, ``--encoder`` the
  encoder. Spearman correlation of pairwise distances, and how many of 100 picks stay.
- ``crops``: balanced accuracy on ``DATA``, a SOURCE with labels whose rare classes show small
  defects, by crop: ridge classifier, ten random splits by groups of near-duplicates.
- ``speed``: images per second of ``dgaal features`` on ``DATA`` beside those of decoding and of the
  encoder alone, and their bound: all of them use the same CPUs, so the times add up. For an encoder
  of a package also those of a plain loop: the same weights in float32 in torch, a ``DataLoader``
  with a worker for each core, and the published transformation by torchvision.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from making import Line, print_table
from PIL import Image

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decode_stream import decode_stream, decode_to, image_digest
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.encoders.base import Encoder
from dgaal_cli.encoders.package import recipe_of
from dgaal_cli.encoders.registry import load_encoder, located
from dgaal_cli.events import ignore
from dgaal_cli.features.cache import CachedRows, FeatureCache, as_digests
from dgaal_cli.features.fill import FillResult, fill, square_shape
from dgaal_cli.features.herding import kernel_herding, max_herding
from dgaal_cli.features.space import FeatureSpace
from dgaal_cli.features.writer import CacheWriter

RULES = {"max_herding": max_herding, "kernel_herding": kernel_herding}
DIMENSION = 384
QUERY = LABELS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("rows", "halves", "crops", "speed", "query", "loop"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--encoder", default="package:efficientnet-lite0")
    parser.add_argument("--cache", type=Path, help="Folder that keeps the rows or features.")
    parser.add_argument("--rule", choices=RULES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        if options.part == "query":  # run by ``rows`` in a process of its own
            sys.stdout.write(json.dumps(query_part(cache, options.rows, options.rule)))
            return
        if options.part == "loop":  # run by ``speed``
            entries = list(open_source(os.environ["DATA"], base=Path.cwd()).entries())
            sys.stdout.write(json.dumps(plain_loop(entries, options.encoder)))
            return
        if options.part == "rows":
            lines = rows_part(cache, options.rows)
        else:
            settings = located(EncoderConfig(source=options.encoder), Path.cwd())
            part = {"halves": halves_part, "crops": crops_part, "speed": speed_part}[options.part]
            source = open_source(os.environ["DATA"], base=Path.cwd())
            lines = part(cache, source, load_encoder(settings, image_size=32, channels=3))
        print_table(f"bench_features {options.part}", lines)


def digests_of(count: int) -> list[bytes]:
    return [sha256(b"%d" % number).digest() for number in range(count)]


def synthetic_space() -> FeatureSpace:
    return FeatureSpace(encoder="0" * 64, crop="center", dtype="float16", dimension=DIMENSION)


def rows_part(cache: Path, count: int) -> list[Line]:
    generator = np.random.default_rng(0)
    centers = generator.normal(0, 1, (100, DIMENSION)).astype(np.float32)
    digests = digests_of(count)
    with CacheWriter(cache, synthetic_space()) as writer:
        for start in range(0, count, 8192):
            part = digests[start : start + 8192]
            noise = generator.standard_normal((len(part), DIMENSION), np.float32)
            writer.add(part, centers[generator.integers(100, size=len(part))] + noise)
    lines: list[Line] = []
    for rule in RULES:
        command = [sys.executable, __file__, "query", "--rule", rule]
        command += ["--cache", str(cache), "--rows", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, cpu_seconds, mb = json.loads(done.stdout)
        lines.append(Line(f"{rule}: {QUERY} of {count:,} rows, minutes", seconds / 60))
        lines.append(Line(f"{rule}: CPU minutes", cpu_seconds / 60))
        lines.append(Line(f"{rule}: MB beyond the imports", mb, "<= 400"))
    return lines


def query_part(cache: Path, count: int, rule: str) -> tuple[float, float, float]:
    """Return seconds, CPU seconds and MB of one query."""
    before, digests = peak_mb(), digests_of(count)
    began, cpu = time.perf_counter(), time.process_time()
    rows = CachedRows(cache, synthetic_space(), digests)
    labeled = np.arange(0, count, count // LABELS)[:LABELS]
    RULES[rule](rows, np.arange(count), labeled, QUERY)
    return time.perf_counter() - began, time.process_time() - cpu, peak_mb() - before


def peak_mb() -> float:
    """Return this program's peak; unlike ``ru_maxrss``, without that of the program before it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def filled(
    cache: Path, source: Source, encoder: Encoder, **changes: str
) -> tuple[FeatureSpace, FillResult]:
    options = {"crop": "squash", "dtype": "float32"} | changes
    space = FeatureSpace(encoder=encoder.digest, dimension=encoder.dimension, **options)
    with CacheWriter(cache, space) as writer:
        return space, fill(source.entries(), encoder, space, writer, emit=ignore)


def readable_digests(source: Source, space: FeatureSpace, cache: Path) -> list[bytes]:
    """Return the digests of the images that have features, each once."""
    digests = list(dict.fromkeys(image_digest(entry.read()) for entry in source.entries()))
    found = FeatureCache(cache, space).find(as_digests(digests))
    return [digest for digest, number in zip(digests, found, strict=True) if number >= 0]


def halves_part(cache: Path, source: Source, encoder: Encoder) -> list[Line]:
    from scipy.stats import spearmanr

    space, _ = filled(cache, source, encoder)
    digests = readable_digests(source, space, cache)
    single = CachedRows(cache, space, digests)[:]
    half = single.astype(np.float16)  # what the cache stores
    pairs = np.random.default_rng(0).integers(len(digests), size=(2, 50_000))
    distances = [
        ((x[pairs[0]].astype(float) - x[pairs[1]]) ** 2).sum(axis=1) for x in (single, half)
    ]
    lines = [
        Line("images", len(digests)),
        Line("numbers in a row", encoder.dimension),
        Line("Spearman correlation of distances", spearmanr(*distances).statistic),
    ]
    ids, none = np.arange(len(digests)), np.array([], np.int64)
    for name, rule in RULES.items():
        first, second = (rule(x, ids, none, QUERY).positions for x in (single, half))
        common = len(set(first.tolist()) & set(second.tolist()))
        lines.append(Line(f"{name}: equal picks before the first other", prefix(first, second)))
        lines.append(Line(f"{name}: picks in both, of {QUERY}", common))
    return lines


def prefix(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.cumprod(first == second).sum())


def crops_part(cache: Path, source: Source, encoder: Encoder) -> list[Line]:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupShuffleSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    entries = {image_digest(entry.read()): entry for entry in source.entries()}
    labels = np.array([entry.label for entry in entries.values()])
    groups = near_duplicates([*entries.values()])
    lines = [Line("images", len(labels)), Line("groups", len(set(groups.tolist())))]
    for crop in ("center", "squash", "tiles"):
        space, result = filled(cache, source, encoder, crop=crop)
        rows = CachedRows(cache, space, list(entries))[:]
        scores: list[float] = []
        splits = GroupShuffleSplit(10, test_size=0.35, random_state=0)
        for train, test in splits.split(rows, labels, groups):
            ridge = RidgeClassifier(alpha=0.1 * encoder.dimension, class_weight="balanced")
            head = make_pipeline(StandardScaler(), ridge)
            predicted = head.fit(rows[train], labels[train]).predict(rows[test])
            scores.append(100 * balanced_accuracy_score(labels[test], predicted))
        lines.append(Line(f"{crop}: balanced accuracy in %", float(np.mean(scores))))
        lines.append(Line(f"{crop}: SD of the splits", float(np.std(scores, ddof=1))))
        lines.append(Line(f"{crop}: images per second", result.rate))
    return lines


def near_duplicates(entries: list[Entry]) -> np.ndarray:
    """Group images whose 16 x 16 gray thumbnails correlate above 0.97."""
    from scipy.sparse.csgraph import connected_components

    stream = decode_stream(entries, size=16, channels=1, hashes=False)
    flat = np.concatenate([batch.pixels for batch in stream]).reshape(len(entries), -1)
    return connected_components(np.corrcoef(flat.astype(float)) > 0.97)[1]


def speed_part(cache: Path, source: Source, encoder: Encoder) -> list[Line]:
    space, result = filled(cache, source, encoder)
    shape = square_shape(encoder.framing, space)
    began = time.perf_counter()
    batches = [batch.pixels for batch in decode_to(shape, source.entries(), workers=0, chunk=64)]
    decoding = time.perf_counter() - began
    began = time.perf_counter()
    for batch in batches:
        encoder.encode(batch)
    encoding = time.perf_counter() - began
    count = sum(map(len, batches))
    bound = count / (decoding + encoding)
    plain: list[Line] = []
    if encoder.name.startswith("package:"):
        # In a process of its own: the loader forks, which other threads must not see.
        command = [sys.executable, __file__, "loop", "--encoder", encoder.name]
        rate = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        plain = [
            Line("plain torch and DataLoader", rate),
            Line("dgaal features / plain loop", result.rate / rate, ">= 1.5"),
        ]
    return [
        Line("decoding alone, images per second", count / decoding),
        Line("encoder alone", count / encoding),
        Line("bound of both", bound),
        Line("dgaal features", result.rate),
        Line("share of the bound", result.rate / bound, ">= 0.85"),
        *plain,
    ]


class Photographs:
    """A ``torch.utils.data.Dataset`` of the images, transformed as published."""

    def __init__(self, entries: list[Entry], side: int, share: float, scale: Any) -> None:
        from torchvision import transforms

        self.entries = entries
        self.transform = transforms.Compose(
            [
                transforms.Resize(
                    round(side / share), interpolation=transforms.InterpolationMode.BICUBIC
                ),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize(scale.mean, scale.deviation),
            ]
        )

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: int) -> Any:
        image = Image.open(io.BytesIO(self.entries[row].read())).convert("RGB")
        return self.transform(image)


def plain_loop(entries: list[Entry], source: str) -> float:
    """Return the images per second of a loop as most programs write it."""
    import torch

    recipe = recipe_of(EncoderConfig(source=source))
    model = recipe.make()
    photographs = Photographs(
        entries, recipe.framing.side, recipe.framing.share, recipe.normalization
    )
    began = time.perf_counter()
    loader = torch.utils.data.DataLoader(photographs, batch_size=64, num_workers=os.cpu_count())
    with torch.inference_mode():
        for images in loader:
            model(images).mean((2, 3))
    return len(entries) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
