"""A label session from one round to the next: its learner, more images, what follows."""

import random

from dgaal_cli.ids import ItemId
from dgaal_cli.labeling.learner import load_guesses
from dgaal_cli.labeling.rounds_report import RoundsReport, rounds_report
from dgaal_cli.labeling.session import LabelCore
from dgaal_cli.labeling.view import LabelView
from dgaal_cli.rounds.state import round_state
from dgaal_cli.store.records import Query, QueryEntry

LAST_PART = 5
"""When one in so many images of the query is left, what to ask next is ranked."""


class RoundCalls(LabelCore):
    """Calls about rounds."""

    def load_learner(self) -> LabelView:
        """Start to learn within the round, if the exported sampler has been run over the pool."""
        if self._query is not None and self._learner is None:
            uids = [record.uid for record in self._store.classes()]
            self._learner = load_guesses(self._workspace, round=self._query.round, classes=uids)
            if self._learner is not None:
                self._labels = {
                    r.item_id: (r.class_uid, r.class_name) for r in self._store.labels()
                }
                self._learner.start({item: uid for item, (uid, _) in self._labels.items()})
        self._reload()
        return self.view()

    def toggle_learner(self) -> LabelView:
        """Use the learner's guesses and order, or those that came with the query."""
        if self._learner is None:
            return self.view(note="no learner yet: it needs the sampler exported after training")
        self._is_learner_on = not self._is_learner_on
        self._reload()
        state = "on" if self._is_learner_on else "off"
        return self.view(note=f"learner {state}; each label records whose guess was shown")

    def report(self) -> RoundsReport:
        """What the round screen shows."""
        return rounds_report(self._workspace, self._config, self._store)

    def set_config(self, values: dict[str, str | int | bool]) -> LabelView:
        """Change keys of ``dgaal.toml``, for the rounds to come.

        Raises:
            ConfigError: The value is not possible; the file is untouched.
        """
        from dgaal_cli.config.edit import set_values
        from dgaal_cli.methods.registry import check_method

        if "method" in values:
            check_method(str(values["method"]))
        self._config = set_values(self._workspace.config_path, values)
        words = ", ".join(f"{key} = {value}" for key, value in values.items())
        return self.view(note=f"dgaal.toml now says {words}")

    def label_on(self) -> LabelView:
        """Go on after a training that failed: with the rest of the query, else with more images.

        Without a learner they are chosen at random. If training succeeded and choosing failed, they
        are the query of the trained round.
        """
        if self._task is not None:
            return self.view()
        if self._learner is not None and self._query is not None:
            return self.keep_labeling()
        state = round_state(self._workspace, self._store)
        if self._query is None and state.step != "query":
            return self.view(note="nothing can be asked before a round is trained")
        entries = self._random_images()
        if not entries:
            return self.view(note="no image is left to ask, or the budget is spent")
        if self._query is not None:
            self._store.extend_query(entries)
        else:
            chosen = Query(
                round=state.number, strategy="random", model_sha=None, entries=tuple(entries)
            )
            self._store.save_query(chosen, overlap=self._config.query.overlap)
        self.open()
        return self.view(note=f"{len(entries)} images, chosen at random")

    def keep_labeling(self) -> LabelView:
        """Ask more images in the open query while the next round trains.

        They are what the learner tells apart worst, by the sampler of the round before; the query
        after training is chosen by the new networks and by nothing of this.
        """
        if self._query is None or self._learner is None:
            return self.view(note="nothing to rank more images by; the next query comes soon")
        known = self._known()
        if any(entry.item_id in known for entry in self._ranked):
            self._ranked = []  # somebody else has answered meanwhile
        entries = self._ranked or self._rank_more(known)
        added, self._ranked = self._store.extend_query(entries), []
        self._query = self._store.open_query()
        self._extended += added
        self._reload()
        if self._task is None:
            self._take()
        return self.view(note=f"{added} more images, ranked by the round before")

    def rank_ahead(self) -> LabelView:
        """Rank what comes next while the last part of the query is answered.

        Takes milliseconds in a small pool and a moment in a large one: for the pauses between
        answers, so that ``keep_labeling`` need not wait.
        """
        query, learner = self._query, self._learner
        if query is not None and learner is not None and not self._ranked:
            left = self._store.query_progress(query.round).left
            if left * LAST_PART <= len(query.entries):
                rest = {image.item_id for image in self._ahead.rest()}
                self._ranked = self._rank_more(self._known() | rest)
        return self.view()

    def _known(self) -> set[ItemId]:
        asked = {entry.item_id for entry in self._query.entries} if self._query else set[ItemId]()
        return asked | set(self._labels) | self._store.cannot_tell()

    def _rank_more(self, known: set[ItemId]) -> list[QueryEntry]:
        if self._learner is None:
            return []
        return self._learner.doubtful(self._room(), without=known)

    def _random_images(self) -> list[QueryEntry]:
        known = self._known()
        free = [
            item.item_id
            for item in self._store.items()
            if not item.is_synthetic and item.state == "ok" and item.item_id not in known
        ]
        drawn = random.SystemRandom().sample(free, min(self._room(), len(free)))
        why = "the method chose none" if self._query is None else "the round is not trained"
        reason = f"chosen at random, as {why}"
        return [QueryEntry(item_id=i, rank=r, reason=reason) for r, i in enumerate(drawn, start=1)]

    def _room(self) -> int:
        """How many more images may be asked."""
        budget, size = self._config.query.budget, self._config.query.size
        query = self._query
        open_ = self._store.query_progress(query.round).left if query else 0
        left = budget - self._memory.tally.spent - open_ if budget else size
        return max(0, min(size, left))

    def finish_query(self) -> int:
        """Close the open query; images left unanswered return to the pool.

        Returns:
            How many returned.
        """
        query = self._store.open_query()
        self._task = None
        return self._store.close_query(query.round) if query else 0
