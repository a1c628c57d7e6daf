"""Distinct types for ids and indices, so that pyright finds code that mixes them."""

from typing import NewType

SampleId = NewType("SampleId", str)
"""Stable identity of one image: its path relative to its source (or archive member, row, index)."""

ItemId = NewType("ItemId", int)
"""Identity of one image's content in the label store; duplicates on disk share one item."""

Row = NewType("Row", int)
"""Position in one array of one process; not valid elsewhere."""

ClassUid = NewType("ClassUid", str)
"""Identity of a class that survives renaming and reordering."""
