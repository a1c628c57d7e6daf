"""Synthesize images with an exported generator; an ONNX generator needs no torch."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgaal_cli import atomic, interruption
from dgaal_cli.artifacts.artifact_bytes import CheckedArtifact, read_artifact
from dgaal_cli.artifacts.engines.base import Engine
from dgaal_cli.artifacts.engines.load import IsTrusted, start_engine
from dgaal_cli.data.decode_stream import decode_stream
from dgaal_cli.data.decoders.base import Rendering
from dgaal_cli.data.sources import Source, open_source
from dgaal_cli.data.sources.base import Entry
from dgaal_cli.data.sources.selection import entries_at
from dgaal_cli.errors import InputDataError, StorageError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId
from dgaal_cli.methods.registry import method_names
from dgaal_cli.reports.sheets import encode_png, pair_sheet
from exporters.manifest import Manifest
from exporters.registry import SUFFIXES

SHEET_NAME = "contact_sheet.png"
LIST_NAME = "generated.jsonl"
"""One JSON line per image: file, parent (or null), seed and noise."""

SHEET_PAIRS = 60
_BATCH = 32
PARENT_NOISE = 0.05
PRIOR_NOISE = 1.0
MAX_PRIOR_NOISE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Options of ``generate``."""

    count: int = 24
    """Images to synthesize; parents are reused with other noise if there are fewer."""
    noise: float | None = None
    """With parents: S in [0, 1); the factor of each channel is uniform in [1-S, 1+S]; None is 0.05.
    From the latent prior: the standard deviation, 0 to 10; None is 1."""
    seed: int = 0
    """Seed of parents and noise; image i is the same for every count."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    workers: int = 0
    """Decoder processes; 0 uses one per CPU."""
    is_trusted: IsTrusted = False
    """Whether a TorchScript artifact may run; ONNX needs no trust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateResult:
    """Images that ``generate`` wrote."""

    folder: Path
    files: tuple[str, ...]
    parents: tuple[SampleId | None, ...]
    """Parent of each file; None for images from the latent prior."""
    unreadable: tuple[tuple[SampleId, str], ...]
    """Parents that were skipped, with the reason."""
    device: str
    seconds: float


def generate(
    parents: str | Source | None,
    *,
    artifact: Path,
    base: Path,
    output: Path,
    options: GenerateOptions | None = None,
) -> GenerateResult:
    """Synthesize images; write them as PNG, with a contact sheet that also shows the parents.

    The folder is created only after all files are written.

    Args:
        parents: SOURCE text, or an open source, of parent images; None for a generator that
            samples from its latent prior: see ``needs_parents``.
        artifact: An exported generator, ``.onnx`` or ``.ts``.
        base: Folder that a relative SOURCE is relative to.
        output: Folder to write; must be missing or empty.
        options: Count, noise, seed, device and trust.

    Raises:
        UsageError: An option is out of range, or the folder is not empty.
        InputDataError: The source has no readable image.
        ArtifactError: The artifact is damaged, foreign or not a generator.
        TrustError: A TorchScript file is not trusted.
        StorageError: The folder cannot be written.
    """
    options = options or GenerateOptions()
    started = time.perf_counter()
    checked = read_artifact(artifact, role="generator")
    noise = _checked_noise(options, output, checked, has_parents=parents is not None)
    source = open_source(parents, base=base) if isinstance(parents, str) else parents
    engine = start_engine(checked, device=options.device, is_trusted=options.is_trusted)
    with atomic.assembling(output) as folder:
        writer = _ImageWriter(folder, options, noise)
        with closing(_parents(source, checked, options, writer)) as stream:
            while batch := list(islice(stream, _BATCH)):
                writer.add(engine, batch)
                interruption.check("stopped; nothing was written")
        writer.finish(source)
    return GenerateResult(
        folder=output,
        files=tuple(writer.files),
        parents=tuple(writer.parents),
        unreadable=tuple(writer.unreadable.items()),
        device=engine.device,
        seconds=time.perf_counter() - started,
    )


def needs_parents(artifact: Path) -> bool:
    """Check whether a generator needs parents; otherwise it samples from its latent prior.

    Raises:
        UsageError: The file does not exist.
        ArtifactError: It is damaged, foreign or not a generator.
    """
    return _needs_parents(read_artifact(artifact, role="generator"))


def _needs_parents(artifact: CheckedArtifact) -> bool:
    return any(info.dtype == "uint8" for info in artifact.manifest.inputs)


def default_generator(root: Path) -> Path:
    """Return the path of the generator in the artifact folder ``root``.

    Raises:
        UsageError: The folder has no generator.
    """
    for suffix in SUFFIXES.values():
        path = root / f"generator{suffix}"
        if path.is_file():
            return path
    raise UsageError(
        f"{root} holds no generator; write one with 'dgaal export' (methods "
        f"{', '.join(method_names(lambda info: info.generator))}), or name a file with -a"
    )


Parent = tuple[SampleId | None, NDArray[np.uint8] | None]


class _ImageWriter:
    """Files of one run, in the order of synthesis."""

    def __init__(self, folder: Path, options: GenerateOptions, noise: float) -> None:
        self.files: list[str] = []
        self.parents: list[SampleId | None] = []
        self.unreadable: dict[SampleId, str] = {}
        self._folder = folder
        self._options = options
        self._scale = noise
        # One stream of rows: the noise of image i depends neither on the count nor on the batch.
        self._noise = np.random.default_rng((options.seed, 1))
        self._pairs: list[tuple[NDArray[np.uint8], ...]] = []

    def add(self, engine: Engine, batch: list[Parent]) -> None:
        """Synthesize and write one image per entry of ``batch``."""
        known = [pixels for _, pixels in batch if pixels is not None]
        images = np.stack(known) if known else None
        feed: dict[str, NDArray[Any]] = {}
        for info in engine.manifest.inputs:
            shape = (len(batch), *(int(side) for side in info.shape[1:]))
            if images is None:
                latents = self._scale * self._noise.standard_normal(shape)
                feed[info.name] = latents.astype(np.float32)
            elif info.dtype == "uint8":
                feed[info.name] = images
            else:
                factors = self._noise.uniform(1 - self._scale, 1 + self._scale, shape)
                feed[info.name] = factors.astype(np.float32)
        results = engine.run(feed)[engine.manifest.outputs[0].name]
        for (parent, pixels), image in zip(batch, results, strict=True):
            name = f"{len(self.files):06d}.png"
            (self._folder / name).write_bytes(encode_png(image))
            self.files.append(name)
            self.parents.append(parent)
            if len(self._pairs) < SHEET_PAIRS:
                self._pairs.append((image,) if pixels is None else (pixels, image))

    def finish(self, source: Source | None) -> None:
        """Write the list and the contact sheet.

        Raises:
            InputDataError: No parent could be read.
        """
        if not self.files and source is not None:
            reasons = "; ".join(f"{show(i)}: {show(why)}" for i, why in self.unreadable.items())
            raise InputDataError(
                f"{source.spec} has no readable image to use as a parent"
                + (f" ({reasons[:300]})" if reasons else "")
            )
        own = {"seed": self._options.seed, "noise": self._scale}
        names = zip(self.files, self.parents, strict=True)
        lines = [json.dumps({"file": name, "parent": parent, **own}) for name, parent in names]
        (self._folder / LIST_NAME).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        (self._folder / SHEET_NAME).write_bytes(pair_sheet(self._pairs))
        for path in self._folder.iterdir():
            atomic.sync_file(path)


def _parents(
    source: Source | None, artifact: CheckedArtifact, options: GenerateOptions, writer: _ImageWriter
) -> Generator[Parent]:
    """Yield ``count`` readable parents in shuffled order; repeat them if there are fewer."""
    if source is None:
        yield from repeat((None, None), options.count)
        return
    total = source.count()
    total = sum(1 for _ in source.entries()) if total is None else total
    order: list[int] = np.random.default_rng((options.seed, 0)).permutation(total).tolist()
    readable: list[Parent] = []
    given = 0
    size = options.count
    while order:
        # Read only the requested number per pass: the pool may not fit into memory.
        entries = entries_at(source, order[:size])
        del order[:size]
        size *= 2  # a second pass means that images are unreadable: read more at once
        for parent in _decoded(iter(entries), artifact.manifest, options, writer):
            if len(readable) < options.count:
                readable.append(parent)
            yield parent
            given += 1
            if given == options.count:
                return
    again = chain.from_iterable(repeat(readable)) if readable else iter(())
    yield from islice(again, options.count - given)


def _decoded(
    entries: Iterator[Entry], manifest: Manifest, options: GenerateOptions, writer: _ImageWriter
) -> Generator[Parent]:
    stream = decode_stream(
        entries,
        size=manifest.input_size,
        channels=manifest.channels,
        workers=options.workers,
        chunk=min(_BATCH, options.count),
        rendering=Rendering(manifest.sample_range),
    )
    with closing(stream):
        for decoded in stream:
            for entry, pixels, is_ok, why in zip(
                decoded.entries, decoded.pixels, decoded.ok, decoded.errors, strict=True
            ):
                if is_ok:
                    yield entry.id, pixels
                else:
                    writer.unreadable[entry.id] = why


def _checked_noise(
    options: GenerateOptions, output: Path, artifact: CheckedArtifact, *, has_parents: bool
) -> float:
    """Return the noise after a check of everything that does not need the parents' pixels."""
    needs = _needs_parents(artifact)
    if options.count < 1:
        raise UsageError(f"--count {options.count} is out of range; give 1 or more")
    noise = options.noise
    if noise is None:
        noise = PARENT_NOISE if needs else PRIOR_NOISE
    if needs and not 0.0 <= noise < 1.0:
        raise UsageError(f"--noise {noise} is out of range; give 0 or more, below 1")
    if not 0.0 <= noise <= MAX_PRIOR_NOISE:
        raise UsageError(f"--noise {noise} is out of range; give 0 to {MAX_PRIOR_NOISE:.0f}")
    try:
        is_used = output.exists() and (not output.is_dir() or any(output.iterdir()))
    except OSError as error:
        raise StorageError(f"cannot read {output}: {error.strerror}") from error
    if is_used:
        raise UsageError(f"{output} is not empty; name a new folder with -o")
    if needs and not has_parents:
        raise UsageError(f"{artifact.name} needs parents; name them with --parents")
    if has_parents and not needs:
        raise UsageError(f"{artifact.name} samples from its latent prior; leave --parents out")
    return noise
