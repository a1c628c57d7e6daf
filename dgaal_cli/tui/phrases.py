"""Texts shared by the screen and the line mode (``--plain``)."""


def answer_text(kind: str, code: str, name: str) -> str:
    """Return an answer as short text."""
    if kind == "label":
        return name if code == name else f"{code} {name}".strip()
    return "can't tell" if kind == "cannot_tell" else "skipped, comes back"


def labels(count: int) -> str:
    """Return ``1 label``, ``2 labels``, ..."""
    return f"{count} label{'' if count == 1 else 's'}"
