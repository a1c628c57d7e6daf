"""What a session did, printed after the terminal has closed."""

from dgaal_cli.tui.bridge import LabelView
from dgaal_cli.tui.phrases import labels
from dgaal_cli.tui.widgets.lines import duration


def farewell(before: LabelView, after: LabelView, dgaal: str) -> list[str]:
    """Return the labels since ``before``, what is left, and the next command.

    Args:
        before: First view of the session.
        after: Last view of the session.
        dgaal: Command that calls dgaal for the same workspace.
    """
    new = after.labeled - before.labeled
    text = f"{labels(new)} more, {after.labeled} in all" if new else f"{labels(after.labeled)}"
    progress = after.progress
    if after.round is None:
        return [text, f"next: {dgaal} {after.next_step}"]
    if not progress.left:
        return [f"{text}; round {after.round} is answered", f"next: {dgaal} train"]
    text += f"; {progress.left} of {progress.size} images are left in round {after.round}"
    if after.answer_s is not None:
        text += f", about {duration(progress.left * after.answer_s)} at your pace"
    return [text, f"next: {dgaal} label"]
