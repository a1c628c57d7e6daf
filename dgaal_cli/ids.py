"""Types that keep index spaces apart; mixing them is this field's most common silent bug."""

from typing import NewType

SampleId = NewType("SampleId", str)
"""Stable identity of one image: its path relative to its source (or archive member, row, index)."""

ItemId = NewType("ItemId", int)
"""Identity of one image's content in the label store; duplicates on disk share one item."""

Row = NewType("Row", int)
"""Position in one array of one process; meaningless outside it."""

ClassUid = NewType("ClassUid", str)
"""Identity of a class that survives renaming and reordering."""
