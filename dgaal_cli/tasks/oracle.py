"""An oracle with the true labels of a source; it answers instead of a person in demo and tests."""

import uuid
from collections.abc import Mapping
from pathlib import Path

from dgaal_cli.data.sources import open_source
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, Label
from dgaal_cli.tasks.registry import DEFAULT_TASK, load_task

ANNOTATOR = "oracle"


def true_labels(spec: str, *, base: Path) -> dict[SampleId, str]:
    """Read the labels of a source.

    Raises:
        InputDataError: The source has no labels.
    """
    source = open_source(spec, base=base)
    labels = {entry.id: entry.label for entry in source.entries() if entry.label is not None}
    if not labels:
        raise InputDataError(f"{spec} has no labels, so an oracle cannot answer from it")
    return labels


def answer_items(store: Store, items: list[ItemId], labels: Mapping[SampleId, str]) -> int:
    """Submit the true label of each item as one answer event; return the number of answers."""
    uids = {record.name: record.uid for record in store.classes()}
    text = load_task(DEFAULT_TASK).text

    def true_label(item_id: ItemId) -> Label:
        true = labels[store.item(item_id).sample_id]
        return text.from_text([true], lambda names: uids[names[0]])

    answers = [
        Answer(op_id=str(uuid.uuid4()), kind="label", item_id=item_id, label=true_label(item_id))
        for item_id in items
    ]
    store.submit_many(answers, annotator=ANNOTATOR, session=ANNOTATOR, provenance="simulated")
    return len(answers)
