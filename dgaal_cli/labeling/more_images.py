"""More images to answer while the next round trains or after it failed."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace

from dgaal_cli.config.schema import Config
from dgaal_cli.errors import DgaalError
from dgaal_cli.events import ignore
from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.methods.registry import FIRST_METHOD, REFERENCE, load_first_rule
from dgaal_cli.rounds.state import round_state
from dgaal_cli.store.records import Query, QueryEntry
from dgaal_cli.workspace import Workspace

LAST_PART = 5
"""The next images are ranked when the rest of the query is one part in this many."""


class MoreImages:
    """Extends the open query: by the learner, else by features, else at random."""

    def __init__(
        self, open_round: OpenRound, workspace: Workspace, config: Callable[[], Config]
    ) -> None:
        self._round = open_round
        self._store = open_round.store
        self._workspace = workspace
        self._config = config

    def after_failure(self) -> str:
        """After a failed training, ask the rest of the query, else more images.

        Without a learner they are chosen by features, else at random. If training succeeded and
        choosing failed, they are the query of the trained round.
        """
        open_round = self._round
        if open_round.task is not None:
            return ""
        if open_round.learner.guesses is not None and open_round.query is not None:
            return self.during_training()
        state = round_state(self._workspace, self._store)
        if open_round.query is None and state.step != "query":
            return "nothing can be asked before a round is trained"
        strategy, entries = FIRST_METHOD, self._covering_images(state.number)
        if not entries:
            strategy, entries = REFERENCE, self._random_images()
        if not entries:
            return "no image is left to ask, or the budget is spent"
        if open_round.query is not None:
            self._store.extend_query(entries)
        else:
            chosen = Query(
                round=state.number, strategy=strategy, model_sha=None, entries=tuple(entries)
            )
            self._store.save_query(chosen, overlap=self._config().query.overlap)
        open_round.load()
        how = "at random" if strategy == REFERENCE else f"by {strategy}"
        return f"{len(entries)} images, chosen {how}"

    def during_training(self) -> str:
        """Ask more images in the open query while the next round trains.

        They are what the learner tells apart worst, by the sampler of the round before; the query
        after training is chosen by the new networks and by nothing of this.
        """
        open_round = self._round
        if open_round.query is None or open_round.learner.guesses is None:
            return "nothing to rank more images by; the next query comes soon"
        known = self._known()
        if any(entry.item_id in known for entry in open_round.ranked):
            open_round.ranked = []  # another annotator has answered
        added = self._store.extend_query(open_round.ranked or self._rank(known))
        open_round.ranked = []
        open_round.query = self._store.open_query()
        open_round.added += added
        open_round.reload()
        if open_round.task is None:
            open_round.take()
        return f"{added} more images, ranked by the round before"

    def rank_ahead(self) -> None:
        """Rank the next images while the last part of the query is answered.

        Takes milliseconds in a small pool and a moment in a large one: for the pauses between
        answers, so that ``during_training`` need not wait.
        """
        open_round, query = self._round, self._round.query
        if query is None or open_round.learner.guesses is None or open_round.ranked:
            return
        left = self._store.query_progress(query.round).left
        if left * LAST_PART <= len(query.entries):
            rest = {image.item_id for image in open_round.queue.rest()}
            open_round.ranked = self._rank(self._known() | rest)

    def _known(self) -> set[ItemId]:
        query = self._round.query
        asked = {entry.item_id for entry in query.entries} if query else set[ItemId]()
        return asked | set(self._store.verdicts())

    def _rank(self, known: set[ItemId]) -> list[QueryEntry]:
        guesses = self._round.learner.guesses
        return guesses.doubtful(self._room(), without=known) if guesses else []

    def _covering_images(self, number: int) -> list[QueryEntry]:
        """Choose by features as far as they can be had fast; empty if that is not possible."""
        config = self._config()
        if config.method == REFERENCE:
            return []
        # NumPy is imported only where it is needed: a session must start fast.
        from dgaal_cli.rounds.feature_query import choose_by_features

        with contextlib.suppress(DgaalError):
            chosen = choose_by_features(
                self._workspace,
                config,
                self._store,
                load_first_rule(),
                number=number,
                strategy=FIRST_METHOD,
                is_urgent=True,
                emit=ignore,
            )
            known = self._known()
            free = [entry for entry in chosen.query.entries if entry.item_id not in known]
            return [replace(entry, rank=r) for r, entry in enumerate(free[: self._room()], start=1)]
        return []

    def _random_images(self) -> list[QueryEntry]:
        known = self._known()
        free = [
            item.item_id
            for item in self._store.items()
            if not item.is_synthetic and item.state == "ok" and item.item_id not in known
        ]
        drawn = random.SystemRandom().sample(free, min(self._room(), len(free)))
        why = "the method chose none" if self._round.query is None else "the round is not trained"
        reason = f"chosen at random, as {why}"
        return [QueryEntry(item_id=i, rank=r, reason=reason) for r, i in enumerate(drawn, start=1)]

    def _room(self) -> int:
        """Return how many more images can be asked."""
        budget, size = self._config().query.budget, self._config().query.size
        query = self._round.query
        unanswered = self._store.query_progress(query.round).left if query else 0
        left = budget - self._round.stats.counts.annotations - unanswered if budget else size
        return max(0, min(size, left))
