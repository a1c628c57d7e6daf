"""What may be asked of a scoring run, and what it tells in the end."""

from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.artifacts.engines.load import IsTrusted
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.drift import Drift
from dgaal_cli.scoring.rows import Row

_MAX_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """How to score."""

    top: int | None = None
    """Keep only this many of the best, and below them every unreadable image."""
    diverse: bool = False
    """Spread those over the best candidates' features, so that near-duplicates do not crowd in."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads of the engine; 0 takes what the process may use."""
    workers: int = 0
    """Decoder processes; 0 takes one a CPU. More than could be of use are never started."""
    batch: int = 0
    """Images the engine sees at once; 0 takes ``engines.tuning.DEFAULT_BATCH``."""
    tune: bool = False
    """Measure threads and batch first where they are 0; the last bits of scores may then differ
    from host to host."""
    reduced_jpeg: bool = False
    """Decode large JPEG at a fraction of their size: see ``data.decoders.pillow.REDUCING_GAP``."""
    download: bool = False
    """Whether a source may fetch what it lacks."""
    resume: bool = False
    """Go on where a run with the same table, source and artifact was stopped."""
    features: Path | None = None
    """Also write the encoder's features to this ``.npz`` or ``.parquet`` file."""
    contact_sheet: int = 0
    """Also draw this many of the best images: see ``sheet_path``."""
    is_trusted: IsTrusted = False
    """Whether a TorchScript artifact may run; ONNX needs no trust."""

    def check(self, *, has_file: bool) -> None:
        """Refuse what cannot be done before any work is begun.

        Args:
            has_file: Whether the table goes to a file.

        Raises:
            UsageError: With the option that is wrong.
        """
        for name, value, least in (
            ("--top", self.top if self.top is not None else 1, 1),
            ("--batch", self.batch, 0),
            ("--workers", self.workers, 0),
            ("--threads", self.threads, 0),
            ("--contact-sheet", self.contact_sheet, 0),
        ):
            if value < least:
                raise UsageError(f"{name} is {value}; it must be at least {least}")
        if self.threads > _MAX_THREADS:
            raise UsageError(f"--threads is {self.threads}; it must be at most {_MAX_THREADS}")
        if not has_file and (self.contact_sheet or self.resume):
            what = "--contact-sheet" if self.contact_sheet else "--resume"
            raise UsageError(f"{what} needs a table in a file; name one with -o")
        if self.diverse and self.top is None:
            raise UsageError("--diverse chooses among the best; say how many with --top")
        if self.tune and self.resume:
            raise UsageError(
                "--tune may settle on another batch than the stopped run had; "
                "give --threads and --batch as that run told, without --tune"
            )


def sheet_path(table: Path) -> Path:
    """Name the contact sheet beside a table; one that dgaal drew before is replaced."""
    return table.with_suffix(".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What was done."""

    scored: int
    unreadable: int
    unreadable_first: tuple[tuple[SampleId, str], ...]
    """Id and reason of the first few, in the order of the source."""
    resumed: int
    """Images whose results an earlier run had left."""
    seconds: float
    rate: float
    """Images a second, start-up included, without resumed ones."""
    device: str
    threads: int
    batch: int
    drift: Drift | None
    """How the scores lie beside the training pool's; None where the artifact does not say those, or
    too few images were scored."""
    output: Path | None
    contact_sheet: Path | None
    rows: tuple[Row, ...]
    """The ranked table, where neither a file nor a stream took it."""
