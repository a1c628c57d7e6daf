"""Marks of exported labels: an import sees which labels a person edited in the file.

A mark is a digest of the label as the file shows it, and the id of the exported event:
``1a2b3c4d-OP_ID``. A label whose text still has the digest is untouched.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_DIGITS = 8


class Mark(NamedTuple):
    """The two parts of a mark."""

    digest: str
    op_id: str
    """Id of the newest event of that annotator and image when the label was exported."""


@lru_cache(maxsize=128)  # few labels of classification differ
def digest(kind: str, text: str | None) -> str:
    """Return the digest of a label as a file shows it.

    Args:
        kind: A ``Verdict``.
        text: The label as text; None without a label.
    """
    clean = "" if text is None else unicodedata.normalize("NFC", text).strip()
    shown = f"{kind} {clean}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(shown).hexdigest()[:_DIGITS]


def make(text: str, op_id: str) -> str:
    """Return the mark of a label for a format that holds only the label of each image."""
    return f"{digest('label', text)}-{op_id}"


def read(mark: str) -> Mark | None:
    """Return the parts of a mark; None if the text is not a mark."""
    stated, _, op_id = mark.partition("-")
    return Mark(stated, op_id) if len(stated) == _DIGITS and op_id else None


def is_untouched(mark: Mark, kind: str, texts: Iterable[str]) -> bool:
    """Check whether a label still is as it was exported.

    Args:
        mark: Mark of the label.
        kind: A ``Verdict``.
        texts: Possible readings of the label; empty without a label.
    """
    return mark.digest in {digest(kind, text) for text in list(texts) or [None]}
