"""The only connection between the terminal and the label session, which runs in one thread."""

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from dgaal_cli.errors import BusyError, StorageError
from dgaal_cli.labeling.neighbors import LabeledNeighbor
from dgaal_cli.labeling.rounds_report import RoundRow, RoundsReport
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.standing_answers import StandingAnswer
from dgaal_cli.labeling.view import AnswerName, LabelView, Press, QueryImage

__all__ = [
    "AnswerName",
    "Bridge",
    "LabelSession",
    "LabelView",
    "LabeledNeighbor",
    "Press",
    "QueryImage",
    "RoundRow",
    "RoundsReport",
    "StandingAnswer",
]

Outcome = LabelView | Exception
Result = TypeVar("Result")


class Bridge:
    """Runs all calls of a session in one thread, in order, and delivers the results."""

    def __init__(self, opener: Callable[[], LabelSession]) -> None:
        self._opener = opener
        self._session: LabelSession | None = None
        self._opening: Future[LabelView] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labels")

    def begin(self) -> None:
        """Start opening the store in its thread; ``start`` waits for it."""
        self._opening = self._thread.submit(self._open)

    def start(self) -> LabelView:
        """Open the store in its thread and wait for the first view.

        Raises:
            DgaalError: The store cannot be opened.
        """
        self._opening = self._opening or self._thread.submit(self._open)
        return self._opening.result()

    def call(
        self,
        work: Callable[[LabelSession], Result],
        deliver: Callable[[Result | Exception], object],
    ) -> None:
        """Run ``work``; ``deliver`` receives its result or the error in the store's thread."""

        def done(future: "Future[Result]") -> None:
            error = future.exception()
            if isinstance(error, Exception):
                deliver(error)
            elif error is None:
                deliver(future.result())

        self._thread.submit(self._run, work).add_done_callback(done)

    def finish_query(self) -> None:
        """Close the open query and wait; never call it in the UI thread."""

        def finish(session: LabelSession) -> LabelView:
            session.finish_query()
            return session.open()

        self._thread.submit(self._run, finish).result()

    def close(self) -> None:
        """Finish the pending calls, check the answers of the session, then close the store.

        Raises:
            StoreChangedError: Answers of this session are no longer in the store.
        """
        if self._opening is not None:
            self._opening.exception()  # waits; ``start`` raised the exception
        try:
            if self._session is not None:
                self._thread.submit(_check_and_close, self._session).result()
        finally:
            self._session = None
            self._thread.shutdown(wait=True)

    def _open(self) -> LabelView:
        self._session = self._opener()
        return self._session.open(is_hurried=True)

    def _run(self, work: Callable[[LabelSession], Result]) -> Result:
        if self._session is None:
            raise RuntimeError("the session is closed")
        return work(self._session)


def _check_and_close(session: LabelSession) -> None:
    with contextlib.closing(session), contextlib.suppress(BusyError, StorageError):
        session.check()
