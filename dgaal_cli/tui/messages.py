"""What threads tell the screens."""

from textual.message import Message

from dgaal_cli.tui.prefetch import ImageRequest
from dgaal_cli.tui.trainer import TrainingState


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
