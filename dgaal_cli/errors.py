"""Every error that a user can meet, each with its exit code.

A message is one or two sentences: what was asked, what is true, what to do. Names from outside
go through ``harmless.show`` before they enter a message.
"""

from typing import ClassVar


class DgaalError(Exception):
    """Root of the errors that end a command with one clear sentence instead of a traceback."""

    exit_code: ClassVar[int] = 1


class UsageError(DgaalError):
    """Wrong usage, config or input data."""

    exit_code = 2


class ConfigError(UsageError):
    """A config key, value or file that dgaal does not understand."""


class InputDataError(UsageError):
    """A pool, manifest or label file that cannot be used as asked."""


class MissingExtraError(UsageError):
    """A command needs packages that this install lacks."""

    def __init__(self, command: str, extra: str, missing: str) -> None:
        super().__init__(
            f"{command} needs {missing}, which is not installed; "
            f"run: python -m pip install 'dgaal[{extra}]'"
        )


class DamagedError(DgaalError):
    """An artifact, checkpoint or workspace that is damaged, or of another kind or version."""

    exit_code = 4


class ArtifactError(DamagedError):
    """An exported file that must not be run."""


class CheckpointError(DamagedError):
    """A training state that cannot be continued from."""


class WorkspaceError(DamagedError):
    """A workspace that this version cannot work on."""


class CheckFailedError(DgaalError):
    """A check that the command promises (parity, health) failed."""

    exit_code = 5


class BusyError(DgaalError):
    """Another process holds what this one needs; trying again later helps."""

    exit_code = 6


class TrustError(DgaalError):
    """Refused for lack of trust: foreign TorchScript, an open network door."""

    exit_code = 7


class StorageError(DgaalError):
    """Cannot read or write: disk full, permission."""

    exit_code = 8


class InterruptedRunError(DgaalError):
    """Stopped by a signal after the state was saved."""

    exit_code = 130

    def __init__(self, message: str, *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]
