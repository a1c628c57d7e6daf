"""All errors reported to users, each with its exit code.

A message is one or two sentences: what failed, why, and what to do. Every message is escaped when
the error is made, so that names from outside can be put into it unchanged.
"""

from collections.abc import Collection
from typing import ClassVar

from dgaal_cli.escaping import show


class DgaalError(Exception):
    """Base class of errors that end a command with a message instead of a traceback."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(show(message))


class UsageError(DgaalError):
    """Invalid usage, configuration or input data."""

    exit_code = 2


class ConfigError(UsageError):
    """An invalid configuration key, value or file."""


def check_known(name: str, known: Collection[str], *, problem: str) -> None:
    """Check that a name is known.

    Raises:
        ConfigError: ``problem``, with the nearest known name or all of them.
    """
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
        raise ConfigError(f"{problem}; {hint}")


class InputDataError(UsageError):
    """A pool, manifest or label file that cannot be used as requested."""


class MissingExtraError(UsageError):
    """A command needs packages that are not installed."""

    def __init__(self, command: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{command} needs {missing}, which is not installed; "
            f"run: python -m pip install 'dgaal[{extra}]'"
        )


class DamagedError(DgaalError):
    """An artifact, checkpoint or workspace is damaged, or has another kind or version."""

    exit_code = 4


class ArtifactError(DamagedError):
    """An exported file that must not be run."""


class CheckpointError(DamagedError):
    """A training state that cannot be resumed."""


class WorkspaceError(DamagedError):
    """A workspace that this version cannot use."""


class StoreChangedError(WorkspaceError):
    """Another program moved, replaced or overwrote the label store while it was open."""


class CheckFailedError(DgaalError):
    """A check that the command promises (parity, health) failed."""

    exit_code = 5


class BusyError(DgaalError):
    """Another process holds a required lock; try again later."""

    exit_code = 6


class TrustError(DgaalError):
    """Refused for security: untrusted TorchScript, a network address open to others."""

    exit_code = 7


class StorageError(DgaalError):
    """Cannot read or write: disk full, no permission."""

    exit_code = 8


class InterruptedRunError(DgaalError):
    """Stopped by a signal after the state was saved."""

    exit_code = 130

    def __init__(self, message: str, *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
