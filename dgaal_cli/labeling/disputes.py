"""Images with different answers, and the final decision."""

from collections.abc import Iterator
from dataclasses import dataclass

from dgaal_cli.errors import UsageError
from dgaal_cli.escaping import unspell
from dgaal_cli.ids import SampleId
from dgaal_cli.labeling.annotators import check_annotator, new_op_id
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, DisputedItem, ItemRecord
from dgaal_cli.tasks.registry import workspace_task
from dgaal_cli.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjudicated:
    """The final decision on one image."""

    sample_id: SampleId
    class_name: str
    annotator: str
    settled: bool
    """Whether it had different answers before."""
    left: int
    """Number of images still disputed."""


def disputes(workspace: Workspace) -> list[DisputedItem]:
    """Return the images with different answers and no decision, ordered by item id."""
    return list(iter_disputes(workspace))


def iter_disputes(workspace: Workspace) -> Iterator[DisputedItem]:
    """Yield ``disputes`` in short reads of the store, which do not block writers."""
    text = workspace_task(workspace).text
    with open_store(workspace, read_only=True) as store:
        names = store.class_names()
        yield from store.disputed(lambda label: text.to_text(label, names))


def adjudicate(
    workspace: Workspace, sample: str, class_name: str, *, annotator: str, note: str = ""
) -> Adjudicated:
    """Set the final class of an image; the answers of all annotators are kept.

    Args:
        workspace: Workspace of the labels.
        sample: The image as the pool or ``dgaal labels disputes`` names it.
        class_name: Of a class of the workspace.
        annotator: Annotator who decides; a later decision of any annotator replaces it.
        note: Why, for the history.

    Raises:
        UsageError: No such image or class.
    """
    check_annotator(annotator)
    with open_store(workspace) as store:
        item = _find(store, sample)
        text = workspace_task(workspace).text
        label = text.from_text([class_name], lambda texts: store.class_by_name(texts[0]).uid)
        was_disputed = item.item_id in store.disputed_ids()
        answer = Answer(
            op_id=new_op_id(), kind="adjudicate", item_id=item.item_id, label=label, note=note
        )
        store.submit(answer, annotator=annotator, session="adjudicate", take_next=False)
        left = len(store.disputed_ids())
    return Adjudicated(
        sample_id=item.sample_id,
        class_name=class_name,
        annotator=annotator,
        settled=was_disputed,
        left=left,
    )


def _find(store: Store, sample: str) -> ItemRecord:
    """Find an image by its name, else by its name as written by ``escaping.spell``."""
    for name in dict.fromkeys((sample, unspell(sample))):
        item = store.item_by_sample(SampleId(name))
        if item is not None:
            return item
    raise UsageError(f"no image {sample} in this workspace")
