"""The start of a round: what its networks begin with, and what the user should know first."""

from dgaal_cli.config.schema import Config, Init
from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import show
from dgaal_cli.events import Emit, Warned
from dgaal_cli.methods.base import Method
from dgaal_cli.methods.fresh import begin_with, origins_of
from dgaal_cli.rounds.dataset import Gathered
from dgaal_cli.rounds.state import CHECKPOINT_NAME, RUN_NAME, last_trained, read_record
from dgaal_cli.training import checkpoint
from dgaal_cli.workspace import Workspace


def begin_from_before(
    workspace: Workspace, config: Config, method: Method, gathered: Gathered, emit: Emit
) -> None:
    """Take networks that learn from round to round from the newest sound round before."""
    number, origins = gathered.data.number, origins_of(method, config)
    if number == 0 or set(origins.values()) == {"scratch"}:
        return
    newest = last_trained(workspace, before=number)
    if newest != number - 1:
        instead = "from scratch" if newest is None else f"from round {newest}"
        emit(
            Warned(
                message=f"round {number - 1} has no sound checkpoint; the networks of "
                f"round {number} begin {instead}"
            )
        )
    if newest is None:
        return
    before = workspace.round_path(newest)
    run = read_record(before / RUN_NAME)
    if run["method"] != method.name and method.carried:
        raise UsageError(
            f"round {newest} was trained by '{show(str(run['method']))}', whose networks "
            f"'{method.name}' cannot go on from; keep the method, or begin another workspace"
        )
    has_new_classes = run["class_uids"] != [record.uid for record in gathered.classes]
    if has_new_classes and config.classifier.init != "scratch":
        emit(Warned(message=f"classes changed since round {newest}; the task model begins anew"))
    going_on: dict[str, Init] = {
        name: how
        for name, how in origins.items()
        if name in method.carried
        or (not has_new_classes and (name == "classifier" or run["method"] == method.name))
    }
    tensors, _ = checkpoint.load(before / CHECKPOINT_NAME)
    begin_with(method, tensors, going_on)


def warn_of_missing(gathered: Gathered, emit: Emit) -> None:
    """Say what the labels lack, and what that means for the round."""
    for message in gathered.data.task.gaps(gathered.data):
        emit(Warned(message=message))
