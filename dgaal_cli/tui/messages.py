"""Messages of threads to the screens."""

from collections.abc import Callable

from textual.message import Message
from textual.message_pump import MessagePump

from dgaal_cli.tui.prefetch import ImageRequest
from dgaal_cli.tui.trainer import TrainingState


class Leaving(Message):
    """Request to leave as soon as all answers are saved."""


class MouseWanted(Message):
    """Request of a screen for clicks of the mouse, or none."""

    def __init__(self, *, is_wanted: bool) -> None:
        super().__init__()
        self.is_wanted = is_wanted


class ImageReady(Message):
    """A requested image is decoded, or is unreadable."""

    def __init__(self, request: ImageRequest) -> None:
        super().__init__()
        self.request = request


def image_ready_to(receiver: MessagePump) -> Callable[[ImageRequest], None]:
    """Return the function by which the image thread reports images to ``receiver``."""

    def report(request: ImageRequest) -> None:
        if receiver.is_running:
            receiver.post_message(ImageReady(request))

    return report


class TrainingUpdate(Message):
    """Progress of the training process; replaces older messages."""

    def __init__(self, state: TrainingState) -> None:
        super().__init__()
        self.state = state

    def can_replace(self, message: Message) -> bool:
        """Keep only the newest message in the queue."""
        return isinstance(message, TrainingUpdate)
