"""What the audited images say of the newest task model, without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgaal_cli.audit.answers import AuditAnswer
from dgaal_cli.audit.estimate import LEVEL, MIN_AUDITED, Interval, estimate
from dgaal_cli.audit.groups import for_new_groups
from dgaal_cli.config.schema import Config
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds.audit_entries import AuditedImage, audited_images
from dgaal_cli.rounds.audit_record import read_records
from dgaal_cli.rounds.image_groups import firsts_of_groups
from dgaal_cli.rounds.unfound import unfound_images
from dgaal_cli.store.exchange.base import LabelText
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Label
from dgaal_cli.tasks.registry import load_task
from dgaal_cli.workspace import Workspace

if TYPE_CHECKING:
    from dgaal_cli.audit.classes import ClassAnswer, ClassEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEstimate:
    """Accuracy of the newest task model on the pool, from the audited images."""

    audited: int
    """Audited images with a label and a prediction."""
    asked: int
    """Audited images of all queries, answered or not."""
    accuracy: Interval | None
    """None if fewer than ``MIN_AUDITED`` images count."""
    at_least: float
    """Lower bound of the accuracy, 0..1, that holds however often one looks."""
    at_most: float
    """Upper bound that holds in the same way."""
    in_order: "tuple[ClassAnswer, ...]"
    """Answers in the order of their draws, without gaps: bounds for every look use these."""
    classes: "tuple[ClassEstimate, ...]"
    """Recall and precision of each class in use, in its order."""
    unfound: dict[ClassUid, Interval]
    """Unlabeled images of each class; empty if too few images are audited."""
    balanced: Interval | None
    """Mean recall of the classes; None if it is unknown for one of them."""
    level: float
    """Of each interval and of each bound."""
    groups: int
    """Groups of the audited images that count; 0 if the pool has no groups."""
    new_groups: Interval | None
    """Accuracy for images of new groups, such as new patients; None if too few groups are known."""
    added: int
    """Images that were added to the pool after the newest audit was drawn: it says nothing of
    them."""

    @property
    def in_words(self) -> str:
        """The accuracy in one line, or that there are too few to tell."""
        if self.accuracy is None:
            return (
                f"accuracy on the pool: too few to tell, {self.audited} of {self.asked} audited "
                f"images are answered and predicted"
            )
        added = f"; {self.added} images were added to the pool since" if self.added else ""
        value, new = self.accuracy, self.new_groups
        of_new = f"; for images of new groups {new.low:.1%} to {new.high:.1%}" if new else ""
        return (
            f"accuracy on the pool: {value.value:.1%} ({value.low:.1%} to {value.high:.1%} at "
            f"{self.level:.0%}), from {self.audited} audited images{added}{of_new}"
        )


def pool_estimate(workspace: Workspace, config: Config, store: Store) -> PoolEstimate | None:
    """Estimate the accuracy of the newest task model; None if nothing was audited.

    The estimate is for the images that had no label when an audit was drawn, as if none of them had
    been learned from since; with several audits, for the average of their pools. A label counts as
    the store has it now. Images that were answered "can't tell" are left out, and so are images
    that the newest model has no prediction for.
    """
    images = audited_images(store)
    if not images:
        return None
    from dgaal_cli.audit.anytime import lower_bound, upper_bound
    from dgaal_cli.audit.classes import balanced_accuracy, class_estimates

    groups = store.groups()
    first = dict(zip(groups, firsts_of_groups([*groups], groups), strict=True))
    verdicts = store.verdicts(items=[image.item_id for image in images])
    records, text = read_records(workspace), load_task(config.task).text
    given = class_answers(images, verdicts, records[-1].predicted if records else {}, text)
    answers = [each.answer for each in given.values()]
    looked = _without_gap(images, set(verdicts), store.open_round())
    in_order = [given[image.item_id] for image in looked if image.item_id in given]
    newest = max(image.newest for image in images)
    uids = [record.uid for record in store.classes()]
    is_enough = len(answers) >= MIN_AUDITED
    own = [first.get(item_id, item_id) for item_id in given]
    classes = class_estimates(list(given.values()), uids)
    return PoolEstimate(
        audited=len(answers),
        asked=len(images),
        accuracy=estimate(answers) if is_enough else None,
        at_least=lower_bound([each.answer for each in in_order]),
        at_most=upper_bound([each.answer for each in in_order]),
        in_order=tuple(in_order),
        unfound=unfound_images(store, images, given, uids, text),
        classes=tuple(classes),
        balanced=balanced_accuracy(classes) if is_enough else None,
        level=LEVEL,
        groups=len(set(own)) if groups else 0,
        new_groups=for_new_groups(answers, own) if groups and is_enough else None,
        added=len(store.unanswered(after=newest)),
    )


def class_answers(
    images: Sequence[AuditedImage],
    verdicts: Mapping[ItemId, Label | None],
    predicted: Mapping[ItemId, ClassUid],
    text: LabelText,
) -> "dict[ItemId, ClassAnswer]":
    """Return label and prediction of each audited image that has both, in the order of draws."""
    from dgaal_cli.audit.classes import ClassAnswer

    given: dict[ItemId, ClassAnswer] = {}
    for image in images:
        label = verdicts.get(image.item_id)
        uid = text.single_class(label) if label else None
        guess = predicted.get(image.item_id)
        if uid is None or guess is None:
            continue
        answer = AuditAnswer(
            audit=image.round, total=image.total, stratum=image.stratum, is_right=guess == uid
        )
        given[image.item_id] = ClassAnswer(answer=answer, label=uid, predicted=guess)
    return given


def _without_gap(
    images: Sequence[AuditedImage], answered: set[ItemId], open_round: int | None
) -> list[AuditedImage]:
    """Return images up to the first one of the open query that is not answered.

    Which images are answered first may depend on how hard they are.
    """
    found: list[AuditedImage] = []
    for image in images:
        if image.round == open_round and image.item_id not in answered:
            break
        found.append(image)
    return found
