"""The only door between the terminal and the workflows; the store lives in one thread behind it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from dgaal_cli.labeling.annotators import new_op_id
from dgaal_cli.labeling.rounds_report import JunkRow, RoundRow, RoundsReport
from dgaal_cli.labeling.session import LabelSession
from dgaal_cli.labeling.view import AnswerName, LabelView, Press, QueryImage
from dgaal_cli.rounds.learning_curve import CurvePoint
from dgaal_cli.tasks.classification.standing_answers import StandingAnswer

__all__ = [
    "AnswerName",
    "Bridge",
    "CurvePoint",
    "JunkRow",
    "LabelSession",
    "LabelView",
    "Press",
    "QueryImage",
    "RoundRow",
    "RoundsReport",
    "StandingAnswer",
    "new_op_id",
]

Outcome = LabelView | Exception


class Bridge:
    """Runs every call of a session in one thread, in order, and hands the outcome back."""

    def __init__(self, opener: Callable[[], LabelSession]) -> None:
        self._opener = opener
        self._session: LabelSession | None = None
        self._opening: Future[LabelView] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="labels")

    def begin(self) -> None:
        """Begin to open the store in its thread; ``start`` waits for it."""
        self._opening = self._thread.submit(self._open)

    def start(self) -> LabelView:
        """Open the store in its thread and wait for the first view.

        Raises:
            DgaalError: What kept the store from opening.
        """
        if self._opening is None:
            self.begin()
        if self._opening is None:
            raise RuntimeError("the store is not being opened")
        return self._opening.result()

    def call(
        self, work: Callable[[LabelSession], LabelView], deliver: Callable[[Outcome], object]
    ) -> None:
        """Run ``work``; ``deliver`` gets the view or the error, in the store's thread."""

        def done(future: "Future[LabelView]") -> None:
            error = future.exception()
            if isinstance(error, Exception):
                deliver(error)
            elif error is None:
                deliver(future.result())

        self._thread.submit(self._run, work).add_done_callback(done)

    def finish_query(self) -> None:
        """Close the open query and wait for it; not for the UI thread."""

        def finish(session: LabelSession) -> LabelView:
            session.finish_query()
            return session.open()

        self._thread.submit(self._run, finish).result()

    def close(self) -> None:
        """Finish what is in flight, then close the store."""
        if self._opening is not None:
            self._opening.exception()  # waits; whoever called ``start`` has raised it
        if self._session is not None:
            self._thread.submit(self._session.close).result()
            self._session = None
        self._thread.shutdown(wait=True)

    def _open(self) -> LabelView:
        self._session = self._opener()
        return self._session.open(is_hurried=True)

    def _run(self, work: Callable[[LabelSession], LabelView]) -> LabelView:
        if self._session is None:
            raise RuntimeError("the session is closed")
        return work(self._session)
