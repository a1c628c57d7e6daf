"""Label the open query: a session of one annotator, without a terminal."""

from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import BusyError
from dgaal_cli.labeling.annotators import check_annotator, default_annotator
from dgaal_cli.labeling.files import FileChecker
from dgaal_cli.labeling.first_query import ask_at_once
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import join_notices
from dgaal_cli.rounds.pool_growth import growth_notice
from dgaal_cli.rounds.state import is_unfinished, newest_round
from dgaal_cli.store.open import open_store
from dgaal_cli.workspace import Workspace


@contextmanager
def label(workspace: Workspace, config: Config, *, annotator: str = "") -> Generator[LabelSession]:
    """Open a labeling session in this thread until the ``with`` block ends.

    ``session.open()`` returns the first view. ``session.answer(Press(...))`` answers its ``image``
    and returns the next view after the answer is stored.

    Args:
        workspace: Workspace to label.
        config: Configuration of the workspace.
        annotator: Annotator name; empty uses the operating system's user.

    Yields:
        The session, which holds the annotator's lock.

    Raises:
        BusyError: This annotator labels here in another process; the message names it.
        UsageError: The name is not a valid file name.
        StoreChangedError: At the end of the block, answers are no longer in the store.
    """
    name = annotator or default_annotator()
    with open_session(workspace, config, annotator=name) as opener, closing(opener()) as session:
        yield session
        session.check()


@contextmanager
def open_session(
    workspace: Workspace, config: Config, *, annotator: str
) -> Generator[Callable[[], LabelSession]]:
    """Take the annotator's lock; yield a function that opens the session in the caller's thread.

    In a workspace without a query and a training it asks the first images (``label.at_once``).

    Raises:
        BusyError: This annotator labels here in another process; the message names it.
        UsageError: The name is empty or not a valid file name.
    """
    check_annotator(annotator)
    with ExitStack() as stack:
        lock = workspace.lock(f"label-{annotator}", doing=f"dgaal label as {annotator}")
        try:
            stack.enter_context(lock)
        except BusyError as error:
            hint = "to label here at the same time, choose another name: --annotator NAME"
            raise BusyError(f"{error}; {hint}") from None

        def opener() -> LabelSession:
            store = open_store(workspace)
            try:
                asked = ask_at_once(workspace, config, store) if config.label.at_once else ""
                unfinished = _unfinished_training(workspace)
                growth = growth_notice(workspace, config, store)
                notice = join_notices(asked, unfinished, growth)
            except BaseException:  # also Ctrl-C: no session exists yet that closes the store
                store.close()
                raise
            return LabelSession(
                store,
                config=config,
                workspace=workspace,
                annotator=annotator,
                checker=FileChecker(workspace.root, config.pool.source),
                notice=notice,
            )

        yield opener


def _unfinished_training(workspace: Workspace) -> str:
    number = newest_round(workspace)
    if number is None or not is_unfinished(workspace.round_path(number)):
        return ""
    try:
        with workspace.lock("train", doing="looking for an interrupted training"):
            return f"the training of round {number} was interrupted; train to resume it"
    except BusyError:  # it is running
        return ""
