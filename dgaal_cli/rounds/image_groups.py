"""Groups of images as numbers, without torch; NumPy is imported where arrays are made."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dgaal_cli.ids import ItemId
from dgaal_cli.store.protocol import Store

if TYPE_CHECKING:
    from dgaal_cli.features.kernel import Ids


def firsts_of_groups(ids: Sequence[ItemId], groups: Mapping[ItemId, str]) -> list[ItemId]:
    """Return the oldest image of the group of each image; the image itself if it has no group.

    Args:
        ids: Images.
        groups: Groups of images, by number, also of images that are not in ``ids``.
    """
    first: dict[str, ItemId] = {}
    for item_id, name in groups.items():
        first[name] = min(item_id, first.get(name, item_id))
    return [first[groups[item_id]] if item_id in groups else item_id for item_id in ids]


def group_numbers(store: Store, ids: "Ids") -> "Ids":
    """Return the oldest image (N,) of the group of each of the images (N,)."""
    import numpy as np

    items = [ItemId(item) for item in ids.tolist()]
    return np.array(firsts_of_groups(items, store.groups()), np.int64)
