"""Workspaces whose encoder is a tiny ONNX model."""

import numpy as np
from class_labels import as_label
from label_workspaces import make_workspace
from onnx_models import image_model
from PIL import Image

from dgaal_cli.api.init import InitRequest, init
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel

NAMES = [f"{number:02d}.png" for number in range(24)]


def feature_workspace(folder, *, model=None):
    """Return a workspace of 12 dark and 12 bright images, eight of which have their label."""
    root = make_workspace(folder, NAMES)
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        level = 60 if number % 2 else 180
        pixels = rng.integers(level - 40, level + 40, (20, 20, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(root / "pool" / name)
    (root / "labels.db").unlink()
    (root / "dgaal.toml").unlink()
    (root / "model.onnx").write_bytes(model or image_model())
    request = InitRequest(
        root=root,
        pool=str(root / "pool"),
        base=root,
        classes=("bright", "dark"),
        query_size=4,
        encoder="model.onnx",
        method="margin",
    )
    made = init(request).workspace
    with open_store(made) as store:
        uids = [record.uid for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(sample_id=name, label=as_label(uids[at % 2]), annotator="a")
                for at, name in enumerate(NAMES[:8])
            ]
        )
    return made
