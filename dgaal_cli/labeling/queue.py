"""The rest of the query as images, in the order of asking."""

import dataclasses
from collections.abc import Callable, Collection

from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.learner import SessionLearner
from dgaal_cli.labeling.view import QueryImage
from dgaal_cli.rounds.audit_entries import audited_images
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, QueryEntry, Upcoming

LOOK_AHEAD = 4
"""Number of images decoded in advance."""
BLIND_EVERY = 10
"""With hints on, one image in this many is asked without, to measure the effect of hints."""
_ALL = 1_000_000


class Queue:
    """Converts the store's queue to images; with a learner, in its order."""

    def __init__(
        self,
        store: Store,
        annotator: str,
        learner: SessionLearner,
        describe: Callable[[ItemId], tuple[str, str]],
    ) -> None:
        """Start empty; ``describe`` returns the name of an image and of its class."""
        self._store = store
        self._annotator = annotator
        self._learner = learner
        self._describe = describe
        self._left: dict[ItemId, Upcoming] = {}
        self._order: list[ItemId] = []
        self._put_off: set[ItemId] = set()
        self.audited: frozenset[ItemId] = frozenset()
        """Images of all audits, also of those that are asked again for another reason."""

    def find_audited(self) -> None:
        """Read which images measure the model; a new query may add some."""
        self.audited = frozenset(image.item_id for image in audited_images(self._store))

    def reload(self, *, put_off: Collection[ItemId] = ()) -> None:
        """Read the rest of the query again; images in ``put_off`` come last."""
        self._left, self._put_off = {}, set(put_off)
        if self._learner.active is not None:
            rest = self._store.upcoming(self._annotator, _ALL)
            self._left = {u.item.item_id: u for u in rest}
        self.rank()

    def drop(self, item_id: ItemId, *, comes_back: bool = False) -> None:
        """Remove an answered image, or move a skipped one to the end."""
        found = self._left.pop(item_id, None)
        if found is not None and comes_back:
            self._left[item_id] = found
            self._put_off.add(item_id)

    def rank(self) -> None:
        """Order the rest by doubt: what is left for the end is what the grid confirms at a glance.

        Skipped images stay last, in the order of skipping: the one that was just skipped must not
        come back before the others. Images without features keep the query's order before those.
        """
        self._order = [*self._left]
        if self._learner.active is None:
            return
        gaps = self._learner.active.doubts(self._order)
        asked = [item for item in self._order if item not in self._put_off]
        asked.sort(key=lambda item: gaps.get(item, 0.0))
        self._order = [*asked, *(item for item in self._order if item in self._put_off)]

    def first(self) -> ItemId | None:
        """The image to ask first."""
        return self._order[0] if self._order else None

    def after(self, image: QueryImage | None) -> tuple[QueryImage, ...]:
        """Return the expected next images."""
        if image is None:
            return ()
        if self._learner.active is None:
            ahead = self._store.upcoming(self._annotator, LOOK_AHEAD)
        else:
            ahead = [self._left[item] for item in self._order[: LOOK_AHEAD + 1]]
        ahead = [u for u in ahead if u.item.item_id != image.item_id]
        return tuple(self.image(u.item, u.entry) for u in ahead)

    def rest(self) -> list[QueryImage]:
        """Return the images of the query without this annotator's answer."""
        rest = self._store.upcoming(self._annotator, _ALL)
        return self._with_guesses([self._plain(u.item, u.entry) for u in rest])

    def image(
        self, item: ItemRecord, entry: QueryEntry | None, *, is_flagged: bool = False
    ) -> QueryImage:
        """Return one image with its best guess."""
        return self._with_guesses([self._plain(item, entry, is_flagged=is_flagged)])[0]

    def _with_guesses(self, plain: list[QueryImage]) -> list[QueryImage]:
        """Replace the guesses of the query by the learner's, if it has any."""
        if self._learner.active is None:
            return plain
        found = self._learner.active.guesses([image.item_id for image in plain])
        return [
            dataclasses.replace(
                image, predicted=guesses[0][0], probabilities=guesses, is_learned=True
            )
            if not image.is_audited and (guesses := found.get(image.item_id))
            else image
            for image in plain
        ]

    def _plain(
        self, item: ItemRecord, entry: QueryEntry | None, *, is_flagged: bool = False
    ) -> QueryImage:
        entry = entry or QueryEntry(item_id=item.item_id, rank=0)
        is_audited = item.item_id in self.audited
        if is_audited:  # how it was drawn tells something of the model's guess
            entry = QueryEntry(item_id=item.item_id, rank=entry.rank)
        nearest = ("", "") if entry.nearest is None else self._describe(entry.nearest)
        return QueryImage(
            item_id=item.item_id,
            sample_id=item.sample_id,
            is_synthetic=item.is_synthetic,
            is_flagged=is_flagged,
            is_blind=is_audited or item.item_id % BLIND_EVERY == 0,
            is_audited=is_audited,
            rank=entry.rank,
            reason=entry.reason,
            score=entry.score,
            percentile=entry.percentile,
            nearest=nearest[0],
            nearest_class=nearest[1],
            predicted=entry.predicted,
            probabilities=entry.probabilities,
        )
