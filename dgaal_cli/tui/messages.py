"""What threads tell the screens."""

from collections.abc import Sequence

from textual.message import Message

from dgaal_cli.tui.bridge import LabelView, Press, QueryImage, RoundsReport
from dgaal_cli.tui.prefetch import ImageRequest
from dgaal_cli.tui.trainer import TrainingState


class Saved(Message):
    """COMMIT returned for ``press``."""

    def __init__(self, view: LabelView, press: Press) -> None:
        super().__init__()
        self.view = view
        self.press = press


class PageSaved(Message):
    """A call of the grid came back, with what there is to confirm now."""

    def __init__(self, view: LabelView, offered: Sequence[QueryImage], what: str) -> None:
        super().__init__()
        self.view = view
        self.offered = offered
        self.what = what


class Changed(Message):
    """Undo, redo, flag or another call came back."""

    def __init__(self, view: LabelView, what: str) -> None:
        super().__init__()
        self.view = view
        self.what = what


class Learned(Message):
    """Better guesses, or a better order, for the query at hand."""

    def __init__(self, view: LabelView) -> None:
        super().__init__()
        self.view = view


class Reported(Message):
    """The rounds so far have been read."""

    def __init__(self, view: LabelView, report: RoundsReport) -> None:
        super().__init__()
        self.view = view
        self.report = report


class FileFound(Message):
    """Where the image lies that was to be opened outside; empty if in no file of its own."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class Refused(Message):
    """A call other than an answer failed; nothing changed."""

    def __init__(self, error: Exception, what: str) -> None:
        super().__init__()
        self.error = error
        self.what = what


class SaveFailed(Message):
    """``press`` is not saved; it stays on the screen until it is."""

    def __init__(self, error: Exception, press: Press) -> None:
        super().__init__()
        self.error = error
        self.press = press


class Exported(Message):
    """What follows a training has ended: export, and the look at the pool."""

    def __init__(self, reason: str, *, is_done: bool, is_asked: bool) -> None:
        super().__init__()
        self.reason = reason
        self.is_done = is_done
        self.is_asked = is_asked
        """The operator asked for it and waits for the news."""


class Leaving(Message):
    """The operator wants to leave, once everything is saved."""

    def __init__(self, code: int = 0) -> None:
        super().__init__()
        self.code = code


class ImageReady(Message):
    """A wanted image is decoded, or is known to be unreadable."""

    def __init__(self, request: ImageRequest) -> None:
        super().__init__()
        self.request = request


class TrainingNews(Message):
    """Progress of the training process; a newer one makes an older one useless."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state

    def can_replace(self, message: Message) -> bool:
        """Keep only the newest in the queue."""
        return isinstance(message, TrainingNews)
