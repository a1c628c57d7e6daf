"""The burst of an image: the images of its group that nobody has answered yet."""

from bisect import bisect_left

from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.labeling.view import QueryImage

MAX_FRAMES = 24
"""Frames that are offered at once; of larger groups, those nearest to the image."""


def burst_of(open_round: OpenRound, item_id: ItemId) -> list[QueryImage]:
    """Return the frames of the group of an image that have no answer, in the order of the pool.

    Audited images are left out, since each of their answers measures the model. The frames need
    not be in the open query.

    Returns:
        At most ``MAX_FRAMES``, with the image itself if it has no answer; none if it has no group
        or is audited.
    """
    store, audited = open_round.store, open_round.queue.audited
    groups = store.groups()
    group = groups.get(item_id)
    if group is None or item_id in audited:
        return []
    free = set(store.unanswered()) - audited
    frames = sorted(item for item, name in groups.items() if name == group and item in free)
    at = bisect_left(frames, item_id)
    first = max(0, min(at - MAX_FRAMES // 2, len(frames) - MAX_FRAMES))
    return [
        open_round.queue.image(store.item(frame), None)
        for frame in frames[first : first + MAX_FRAMES]
    ]
