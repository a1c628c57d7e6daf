"""What the task model of a round on disk predicts for images of the pool."""

from collections.abc import Sequence

import numpy as np

from dgaal_cli.ids import ItemId
from dgaal_cli.methods.base import Method
from dgaal_cli.rounds.audit_draw import Predicted
from dgaal_cli.rounds.on_disk import OnDisk
from dgaal_cli.training.classifier import predict


def predict_items(bench: OnDisk, method: Method, items: Sequence[ItemId]) -> Predicted:
    """Predict images; without a trained task model, and of images that are lost, nothing."""
    data, row_of = bench.data, {item_id: row for row, item_id in enumerate(bench.data.item_ids)}
    known = [item_id for item_id in items if item_id in row_of] if data.can_learn else []
    if not known:
        return Predicted(item_ids=(), classes=(), confidences=np.zeros(0))
    inputs = data.inputs[np.array([row_of[item_id] for item_id in known])]
    probabilities = predict(method.classifier, inputs, data.device).probabilities
    columns: list[int] = probabilities.argmax(axis=1).tolist()
    return Predicted(
        item_ids=known,
        classes=[bench.classes[column].uid for column in columns],
        confidences=probabilities.max(axis=1),
    )
