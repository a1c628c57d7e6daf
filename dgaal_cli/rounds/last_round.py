"""The last trained round and its record, without its networks; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckpointError, UsageError
from dgaal_cli.events import Emit, Warned
from dgaal_cli.rounds.state import RUN_NAME, damage_report, last_trained, read_record
from dgaal_cli.store.records import ClassRecord
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRound:
    """The newest trained round with a sound checkpoint."""

    number: int
    folder: Path
    class_uids: list[str]
    """Classes that it was trained on, in their order."""

    def check_classes(self, classes: Sequence[ClassRecord]) -> None:
        """Check that the classes are those that the round was trained on.

        Raises:
            UsageError: They changed.
        """
        if [record.uid for record in classes] != self.class_uids:
            raise UsageError(
                f"classes changed since round {self.number} was trained; "
                "run 'dgaal train --fresh' first"
            )


def last_round(workspace: Workspace, config: Config, emit: Emit) -> LastRound:
    """Find the newest trained round with a sound checkpoint; warn about newer damaged ones.

    Raises:
        UsageError: No round is trained yet, or the method changed since.
        CheckpointError: No checkpoint is sound.
    """
    number = last_trained(workspace)
    damage = damage_report(workspace, newest=number)
    if number is None and damage:
        raise CheckpointError(f"{damage}; run 'dgaal train --fresh', which changes no label")
    if number is None:
        raise UsageError("nothing is trained yet; run 'dgaal train' first")
    if damage:
        emit(Warned(message=f"{damage}; 'dgaal train' makes a new one"))
    folder = workspace.round_path(number)
    run = read_record(folder / RUN_NAME)
    if run["method"] != config.method:
        raise UsageError(
            f"round {number} was trained by '{run['method']}' and the method is now "
            f"'{config.method}'; run 'dgaal train --fresh'"
        )
    return LastRound(number=number, folder=folder, class_uids=run["class_uids"])
