"""The labeled images that are most alike to an image, by the features of the guesses."""

from dataclasses import dataclass

from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.labeling.open_round import OpenRound

MAX_NEIGHBORS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledNeighbor:
    """A labeled image that is alike to the one on the screen."""

    item_id: ItemId
    sample_id: SampleId
    is_synthetic: bool
    uid: ClassUid
    """Its class; it hints at the answer, so it is shown only with guesses."""


def nearest_labeled(open_round: OpenRound, item_id: ItemId) -> tuple[LabeledNeighbor, ...]:
    """Return the labeled images with the smallest feature distance, most alike first.

    Returns:
        At most ``MAX_NEIGHBORS``; none without features of the image, or if it is audited, since
        its label measures the model.
    """
    guesses = open_round.learner.guesses
    if guesses is None or item_id in open_round.queue.audited:
        return ()
    found = guesses.nearest(item_id, MAX_NEIGHBORS)
    items = [(open_round.store.item(neighbor), uid) for neighbor, uid in found]
    return tuple(
        LabeledNeighbor(
            item_id=item.item_id,
            sample_id=item.sample_id,
            is_synthetic=item.is_synthetic,
            uid=uid,
        )
        for item, uid in items
    )
