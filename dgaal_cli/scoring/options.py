"""Options and result of a scoring run."""

from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.artifacts.engines.load import IsTrusted
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import SampleId
from dgaal_cli.scoring.drift import Drift
from dgaal_cli.scoring.rows import Row

DEFAULT_BATCH = 64
_MAX_THREADS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """Options of a scoring run."""

    top: int | None = None
    """Keep only this many of the best images, followed by all unreadable images."""
    diverse: bool = False
    """Select different ones of the best images: as a query does if the sampler's rule covers the
    pool (``scoring.refitted``), else without near-duplicates (``scoring.diverse``)."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads of the engine; 0 uses all CPUs available to the process."""
    workers: int = 0
    """Decoder processes; 0 starts one per CPU. Processes that would be idle are not started."""
    batch: int = 0
    """Images per engine call; 0 uses ``DEFAULT_BATCH``."""
    reduced_jpeg: bool = False
    """Decode large JPEG at reduced size: see ``data.decoders.pillow.REDUCING_GAP``."""
    download: bool = False
    """Whether a source may download missing files."""
    resume: bool = False
    """Continue a stopped run with the same table, source and artifact."""
    features: Path | None = None
    """Also write the encoder's features to this ``.npz`` or ``.parquet`` file."""
    contact_sheet: int = 0
    """Also write a sheet with this many of the best images: see ``sheet_path``."""
    is_trusted: IsTrusted = False
    """Whether a TorchScript artifact may run; ONNX does not need trust."""

    def check(self, *, has_file: bool) -> None:
        """Check the options before the work starts.

        Raises:
            UsageError: An option is invalid; the message names it.
        """
        for name, value, minimum in (
            ("--top", self.top if self.top is not None else 1, 1),
            ("--batch", self.batch, 0),
            ("--workers", self.workers, 0),
            ("--threads", self.threads, 0),
            ("--contact-sheet", self.contact_sheet, 0),
        ):
            if value < minimum:
                raise UsageError(f"{name} is {value}; it must be at least {minimum}")
        if self.threads > _MAX_THREADS:
            raise UsageError(f"--threads is {self.threads}; it must be at most {_MAX_THREADS}")
        if not has_file and (self.contact_sheet or self.resume):
            option = "--contact-sheet" if self.contact_sheet else "--resume"
            raise UsageError(f"{option} needs a table in a file; give its name with -o")
        if self.diverse and self.top is None:
            raise UsageError("--diverse selects among the best; give their number with --top")


def sheet_path(table: Path) -> Path:
    """Return the path of the contact sheet of a table: the same name with ``.png``."""
    return table.with_suffix(".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """Result of a scoring run."""

    scored: int
    unreadable: int
    unreadable_first: tuple[tuple[SampleId, str], ...]
    """Id and reason of the first few unreadable images, in the order of the source."""
    resumed: int
    """Number of images whose results come from an earlier run."""
    seconds: float
    rate: float
    """Images per second, including start-up, without resumed images."""
    device: str
    threads: int
    batch: int
    drift: Drift | None
    """Comparison with the training pool's scores; None if the artifact does not contain them, or
    too few images were scored."""
    output: Path | None
    contact_sheet: Path | None
    rows: tuple[Row, ...]
    """The ranked table; empty if it was written to a file or a stream."""
