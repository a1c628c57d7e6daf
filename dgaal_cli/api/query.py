"""Choose the next images to label, and store the query with a reason for each image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli import events, interruption
from dgaal_cli.config.schema import Config
from dgaal_cli.events import Emit, QueryChosen, Warned
from dgaal_cli.ids import SampleId
from dgaal_cli.rounds.audit_draw import with_audit
from dgaal_cli.rounds.audit_entries import audited_images, is_audit, labels_to_learn
from dgaal_cli.rounds.audit_record import save_record
from dgaal_cli.rounds.chosen_query import ChosenEntries
from dgaal_cli.rounds.model_record import save_model_record
from dgaal_cli.rounds.next_query import choose_next
from dgaal_cli.rounds.stored_query import store_query
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ItemRecord, QueryEntry
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """A stored query."""

    round: int
    strategy: str
    entries: tuple[QueryEntry, ...]
    items: tuple[ItemRecord, ...]
    """The asked items, in the order of ``entries``."""
    promoted: int
    """Synthetic images added to the labels with their inherited label, without annotation."""
    left: int
    """Unlabeled images that were not asked."""
    audited: int = 0
    """Entries that are asked to measure the model."""
    guessed_by: str = ""
    """Which task model on features guessed the classes, and why; empty if none did."""


def query(
    workspace: Workspace,
    config: Config,
    *,
    count: int | None = None,
    synthetic: int = 0,
    audit: int | None = None,
    like: str | None = None,
    emit: Emit = events.ignore,
) -> QueryResult:
    """Choose images with the networks of the last trained round, by features, or at random.

    Without a trained round that can choose, images are chosen by ``registry.FIRST_METHOD``.

    Args:
        workspace: Workspace to query.
        config: Configuration.
        count: Pool images to ask; None uses ``query.size``, fewer near the end of pool or budget.
        synthetic: Images to synthesize near the decision boundary and ask in addition.
        audit: Images to ask in addition, to measure the model; None uses ``audit.share``.
        like: Image of the pool that the images are to resemble, by its name; None: none.
        emit: Listener for progress.

    Raises:
        UsageError: A query is open, more images are requested than exist, or synthetic images are
            requested though nothing is trained or most of the last ones were unlabelable.
        BusyError: Another process trains in this workspace.
    """
    with (
        workspace.lock("train", doing="choosing a query"),
        interruption.listening(),
        open_store(workspace) as store,
    ):
        chosen = choose_next(
            workspace,
            config,
            store,
            count=count,
            synthetic=synthetic,
            like=None if like is None else SampleId(like),
            emit=emit,
        )
        chosen = with_audit(workspace, config, store, chosen, count=audit, emit=emit)
        stored = chosen.query
        items = store_query(workspace, config, store, stored)
        _save_guesses(workspace, chosen)
        if chosen.model is not None:
            save_model_record(workspace, stored.round, chosen.model.model)
        audited = [image.item_id for image in audited_images(store)]
        if audited and chosen.predict is not None:
            of_pool = _pool_confidences(chosen, store)
            save_record(
                workspace,
                stored.round,
                chosen.predict(audited),
                labels=labels_to_learn(store),
                uncertainty=1 - float(of_pool.mean()) if len(of_pool) else None,
            )
    if chosen.promoted:
        joined = (
            f"{chosen.promoted} synthetic images now train with the label of their parent image"
        )
        emit(Warned(message=joined))
    emit(
        QueryChosen(
            round=stored.round,
            size=len(stored.entries),
            synthetic=sum(item.is_synthetic for item in items),
            strategy=stored.strategy,
        )
    )
    return QueryResult(
        round=stored.round,
        strategy=stored.strategy,
        entries=stored.entries,
        items=items,
        promoted=chosen.promoted,
        left=chosen.left,
        audited=sum(is_audit(entry.reason) for entry in stored.entries),
        guessed_by=chosen.model.model.note if chosen.model else "",
    )


def _pool_confidences(chosen: ChosenEntries, store: Store) -> "npt.NDArray[np.floating]":
    """Return how sure the model is of the unlabeled images; empty if that takes a pass."""
    import numpy as np

    if chosen.model is None or chosen.predict is None:
        return np.zeros(0)
    return chosen.predict(store.unanswered()).confidences


def _save_guesses(workspace: Workspace, chosen: ChosenEntries) -> None:
    """Save what the task model on features says of the pool, for the learner of a session."""
    if chosen.model is None:
        return
    import numpy as np

    from dgaal_cli.scoring.prediction_file import FILE_NAME, OF_FEATURES, PoolPredictions

    own, order = chosen.model, np.argsort(chosen.model.ids)
    PoolPredictions(
        items=own.ids[order],
        scores=np.zeros(len(own.ids), np.float32),
        probabilities=own.probabilities[order].astype(np.float32),
        features=own.model.graph.points[order],
        class_uids=own.class_uids,
        sampler_sha=OF_FEATURES,
        round=chosen.query.round,
    ).save(workspace.cache_path / FILE_NAME)
