"""Accept the model's predictions for the rest of the pool, at an audited error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.estimate import LEVEL, MIN_AUDITED, estimate
from dgaal_cli.config.schema import Config
from dgaal_cli.errors import CheckFailedError, UsageError
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds.accepted_predictions import (
    AcceptedPredictions,
    read_accepted,
    revoke_accepted,
    save_accepted,
)
from dgaal_cli.rounds.audit_entries import AuditedImage, audited_images
from dgaal_cli.rounds.audit_estimate import class_answers
from dgaal_cli.scoring.prediction_file import FILE_NAME, PoolPredictions, load_pool_predictions
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace

__all__ = ["Accepted", "accept_predicted", "read_accepted", "revoke_accepted"]

_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of the rest that are tried, the surest images first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was accepted."""

    count: int
    left: int
    """Unlabeled images without an accepted prediction."""
    error_at_most: float
    """Upper bound of the share of wrong predictions among them, 0..1."""
    level: float
    audited: int


def accept_predicted(
    workspace: Workspace, config: Config, *, max_error: float, annotator: str
) -> Accepted:
    """Accept predictions of unlabeled images, of all or of the surest, if the audit allows it.

    The wrong predictions among the accepted ones are no more than those among all images of each
    audited pool on which the model is as sure: an upper bound of their number is divided by the
    number of accepted ones. All, three quarters, half and a quarter of the rest are tried, the
    surest images first; each bound has a quarter of the risk, so the one that is used holds with
    the stated probability.

    Args:
        workspace: Workspace of the pool.
        config: Its configuration.
        max_error: Share of wrong predictions that is allowed, above 0 and below 1.
        annotator: Who accepts them.

    Raises:
        UsageError: ``max_error`` is out of range, no model has predicted the pool, or fewer than
            ``MIN_AUDITED`` audited images are answered.
        CheckFailedError: The audit does not show that the error is small enough.
    """
    if not 0 < max_error < 1:
        raise UsageError(f"--max-error is {max_error:g}; give a share above 0 and below 1, as 0.02")
    predictions = load_pool_predictions(workspace.cache_path / FILE_NAME)
    if predictions is None or not predictions.probabilities.shape[1]:
        raise UsageError("no model has predicted the pool; run 'dgaal query' and try again")
    with open_store(workspace) as store:
        images = audited_images(store)
        rest = _Rest.read(store, predictions, images)
        answers, sure = _answers(config, store, predictions, images)
        shas = {item.item_id: item.sha256.hex() for item in store.items()}
    if len(answers) < MIN_AUDITED:
        raise UsageError(
            f"{len(answers)} audited images are answered and predicted, and {MIN_AUDITED} are "
            "needed; ask some with 'dgaal query --audit 30' and answer them"
        )
    if not len(rest.items):
        raise UsageError("every image that the audit covers is labeled; nothing is left to accept")
    total, bounds = max(image.total for image in images), list[float]()
    for share in _SHARES:
        count = max(1, round(share * len(rest.items)))
        least = float(rest.confidences[count - 1])
        bound = most_errors(answers, sure >= least, total) / count
        bounds.append(bound)
        if bound <= max_error:
            classes = zip(rest.items[:count], rest.classes[:count], strict=True)
            save_accepted(
                workspace,
                AcceptedPredictions(
                    round=predictions.round,
                    by=annotator,
                    at=datetime.now(UTC).isoformat(timespec="microseconds"),
                    max_error=max_error,
                    error_at_most=bound,
                    level=LEVEL,
                    classes={shas[item]: uid for item, uid in classes},
                ),
            )
            return Accepted(
                count=count,
                left=rest.unlabeled - count,
                error_at_most=bound,
                level=LEVEL,
                audited=len(answers),
            )
    raise CheckFailedError(
        f"predictions with at most {max_error:.1%} errors are requested, and the audit of "
        f"{len(answers)} images shows at most {min(1.0, *bounds):.1%}; audit more images with "
        "'dgaal query --audit N', or label and train more"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """Unlabeled images that every audit covers and the model predicts, the surest first."""

    items: list[ItemId]
    classes: list[ClassUid]
    confidences: npt.NDArray[np.floating]
    """Descending."""
    unlabeled: int
    """All unlabeled images, covered or not."""

    @classmethod
    def read(
        cls, store: Store, predictions: PoolPredictions, images: Sequence[AuditedImage]
    ) -> "_Rest":
        unanswered = store.unanswered()
        covered = _covered(store, images, unanswered)
        # A class that was removed, merged or split since cannot be accepted.
        uids = np.array(predictions.class_uids)[predictions.probabilities.argmax(axis=1)]
        is_in_use = np.isin(uids, [record.uid for record in store.classes()])
        rows = np.flatnonzero(np.isin(predictions.items, covered) & is_in_use)
        confidences = predictions.probabilities[rows].max(axis=1)
        order = np.argsort(-confidences, kind="stable")
        rows = rows[order]
        return cls(
            items=[ItemId(item) for item in predictions.items[rows].tolist()],
            classes=[ClassUid(uid) for uid in uids[rows].tolist()],
            confidences=confidences[order],
            unlabeled=len(unanswered),
        )


def _covered(
    store: Store, images: Sequence[AuditedImage], unanswered: Sequence[ItemId]
) -> list[ItemId]:
    """Return the unlabeled images that were in the pool of every audit.

    An audit is drawn from the images that have no label and that its query does not ask. An image
    whose answer was taken back may have had a label then.
    """
    newest = min((image.newest for image in images), default=ItemId(0))
    asked = {
        entry.item_id
        for number in {image.round for image in images}
        for entry in store.query(number).entries
    }
    asked.update(answer.item_id for answer in store.withdrawn())
    return [item for item in unanswered if item <= newest and item not in asked]


def _answers(
    config: Config, store: Store, predictions: PoolPredictions, images: Sequence[AuditedImage]
) -> tuple[list[AuditAnswer], npt.NDArray[np.floating]]:
    """Return the audited answers (A), and how sure the model is of each image (A,)."""
    row_of = {ItemId(item): row for row, item in enumerate(predictions.items.tolist())}
    known = [image.item_id for image in images if image.item_id in row_of]
    rows = np.array([row_of[item] for item in known], np.int64)
    columns: list[int] = predictions.probabilities[rows].argmax(axis=1).tolist()
    uids = [ClassUid(predictions.class_uids[column]) for column in columns]
    predicted = dict(zip(known, uids, strict=True))
    verdicts = store.verdicts(items=known)
    given = class_answers(images, verdicts, predicted, load_task(config.task).text)
    places = np.array([row_of[item] for item in given], np.int64)
    return [each.answer for each in given.values()], predictions.probabilities[places].max(axis=1)


def most_errors(
    answers: Sequence[AuditAnswer], is_sure: npt.NDArray[np.bool_], total: int
) -> float:
    """Return an upper bound of the number of wrong predictions among sure ones.

    With several audits the estimate is a weighted mean of their error rates. Each audited pool
    contains the images to accept, so it has at least as many wrong predictions as they have, and
    its rate times ``total`` is not below their number: neither is the mean.

    Args:
        answers: Of all audits.
        is_sure: (A,): whether the model is as sure of the image as of the accepted ones.
        total: Images of the largest audited pool.
    """
    own = [
        replace(answer, is_right=answer.is_right or not sure)
        for answer, sure in zip(answers, is_sure.tolist(), strict=True)
    ]
    # The upper end of a two-sided interval has half of its risk.
    risk = 2 * (1 - LEVEL) / len(_SHARES)
    return (1 - estimate(own, 1 - risk).low) * total
