"""Words that the screen and the conversation by lines share."""


def answer_words(kind: str, code: str, name: str) -> str:
    """One answer in short."""
    if kind == "label":
        return name if code == name else f"{code} {name}".strip()
    return "can't tell" if kind == "cannot_tell" else "skipped, comes back"


def labels(count: int) -> str:
    """``1 label``, ``2 labels``."""
    return f"{count} label{'' if count == 1 else 's'}"
