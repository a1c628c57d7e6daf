"""A round's metrics as TensorBoard event files: ``tensorboard --logdir WORKSPACE/rounds``.

Importing this module needs the package ``tensorboard``.
"""

import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from dgaal_cli.events import AnyEvent, Emit, RoundTrained, StepDone


@contextmanager
def event_files(folder: Path, *, earlier: Iterable[StepDone] = ()) -> Generator[Emit]:
    """Yield a listener that writes losses by step and a round's metrics by number of labels.

    TensorBoard reads the files of a folder as one run, so older files, whose last steps may be
    repeated, are deleted. Steps ``earlier`` than an interruption are written first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    # A running TensorBoard then discards the points of the deleted files.
    writer = SummaryWriter(str(folder), purge_step=0)

    def write(event: AnyEvent) -> None:
        numbers, step = _numbers(event)
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    for event in earlier:
        write(event)
    try:
        yield write
    finally:
        writer.close()


def _numbers(event: AnyEvent) -> tuple[dict[str, float], int]:
    match event:
        case StepDone():
            losses = {f"{event.phase}/{name}": value for name, value in event.losses.items()}
            return losses | {f"{event.phase}/steps_per_s": event.rate}, event.step
        case RoundTrained():
            found = {f"health/{name}": value for name, value in event.metrics.items()}
            if event.accuracy is not None:
                found["round/accuracy"] = event.accuracy
            return found | {"round/seconds": event.seconds}, event.labels
        case _:
            return {}, 0
