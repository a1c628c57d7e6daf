"""Labels that are likely wrong: those that a model of the other labels contradicts."""

from dataclasses import dataclass

import numpy as np

from dgaal_cli import events
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import UsageError
from dgaal_cli.events import Emit
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.labeling.annotators import check_annotator, new_op_id
from dgaal_cli.rounds.feature_query import MAX_PREDICTED
from dgaal_cli.rounds.image_groups import group_numbers
from dgaal_cli.rounds.pool_labels import label_columns
from dgaal_cli.rounds.pool_rows import pool_rows
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.task_heads.fit import HeldOut, fit
from dgaal_cli.task_heads.folds import labels_of
from dgaal_cli.task_heads.graph_file import cached_graph
from dgaal_cli.task_heads.label_errors import confident_labels
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectLabel:
    """One label that is likely wrong."""

    sample_id: SampleId
    item_id: ItemId
    given: str
    """Its class."""
    suggested: str
    """The class that the model predicts."""
    given_probability: float
    """Probability of the given class, 0..1, by a model that did not see this label."""
    suggested_probability: float
    """Probability of the suggested class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelErrors:
    """The labels that were checked, and those that are likely wrong."""

    checked: int
    """Number of labels that were predicted without being seen."""
    unchecked: int
    """Labels that were not: all of a class in one group, or of an image without features."""
    suspects: tuple[SuspectLabel, ...]
    """The least probable label first."""
    flagged: int = 0
    """Number of images that were flagged for the review."""


def label_errors(
    workspace: Workspace,
    config: Config,
    *,
    flag: int = 0,
    annotator: str = "",
    emit: Emit = events.ignore,
) -> LabelErrors:
    """Find labels that are likely wrong, without torch and without a training.

    The task model on features (of the encoder, else of thumbnails) is fitted to four fifths of the
    labels and predicts the others, five times; see ``task_heads.label_errors`` for the rule.

    Args:
        workspace: Workspace of the labels.
        config: Its configuration.
        flag: Number of the first suspects to flag, so that the review lists them.
        annotator: Who flags them.
        emit: Listener for progress.

    Raises:
        UsageError: Fewer than two classes have two labels of different groups, or the pool is too
            large.
        InputDataError: No image can be read.
    """
    if flag:
        check_annotator(annotator)
    with open_store(workspace) as store:
        classes = store.classes()
        items = [item for item in store.items() if item.state == "ok" and not item.is_synthetic]
        if len(items) > MAX_PREDICTED:
            raise UsageError(
                f"the pool has {len(items):,} images; labels are checked in pools of at most "
                f"{MAX_PREDICTED:,}"
            )
        ids = np.array([item.item_id for item in items], np.int64)
        labels = label_columns(config, store, classes, ids)
        groups = group_numbers(store, ids)
        if not labels_of(labels, len(classes), groups).has_folds:
            raise UsageError(
                "to check labels, at least two classes need two labels each, not of one group; "
                "label more images with 'dgaal label'"
            )
        positions, rows = pool_rows(workspace, config, items, emit=emit)
        of_rows = labels[positions]
        model = fit(
            rows,
            of_rows,
            len(classes),
            groups=groups[positions],
            graph=cached_graph(rows),
            head=config.classifier.head,
        )
        names = [record.name for record in classes]
        suspects = _suspects(model.held_out, of_rows, names)
        found = tuple(
            SuspectLabel(
                sample_id=items[int(positions[row])].sample_id,
                item_id=items[int(positions[row])].item_id,
                given=given,
                suggested=suggested,
                given_probability=p_given,
                suggested_probability=p_suggested,
            )
            for row, given, suggested, p_given, p_suggested in suspects
        )
        flagged = 0
        already = {item.item_id for item in store.flagged()} if flag else set[ItemId]()
        for suspect in found[:flag]:
            if suspect.item_id in already:
                continue
            answer = Answer(op_id=new_op_id(), kind="flag", item_id=suspect.item_id)
            store.submit(answer, annotator=annotator, session="errors", take_next=False)
            flagged += 1
    checked = model.held_out.count if model.held_out else 0
    return LabelErrors(
        checked=checked,
        unchecked=int(np.sum(labels >= 0)) - checked,
        suspects=found,
        flagged=flagged,
    )


def _suspects(
    held_out: HeldOut | None, labels: np.ndarray, names: list[str]
) -> list[tuple[int, str, str, float, float]]:
    """Return row, given and suggested class, and their probabilities; the worst first."""
    if held_out is None:
        return []
    given = labels[held_out.positions]
    found = confident_labels(held_out.predicted, given)
    return [
        (
            int(held_out.positions[at]),
            names[given[at]],
            names[found.suggested[at]],
            float(found.quality[at]),
            float(held_out.predicted[at, found.suggested[at]]),
        )
        for at in found.worst_first().tolist()
    ]
