"""Labels and copies of a round after the class list changed."""

import torch
from class_labels import as_label
from label_workspaces import make_workspace

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds.on_disk import gather
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer, NewSynthetic
from dgaal_cli.workspace import Workspace


def test_labels_and_copies_of_a_removed_class_are_ignored(tmp_path):
    workspace = Workspace(make_workspace(tmp_path / "w", ["a.png", "b.png"]))
    copy = workspace.rounds_path / "000/synthetic/1.png"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((workspace.root / "pool/a.png").read_bytes())
    with open_store(workspace.store_path) as store:
        cat = store.class_by_name("cat").uid
        answer = Answer(op_id="1", kind="label", item_id=ItemId(1), label=as_label(cat))
        store.submit(answer, annotator="sam", session="s")
        store.add_synthetic(
            [
                NewSynthetic(
                    sample_id=SampleId("synthetic/000/1.png"),
                    sha256=bytes(32),
                    size_bytes=9,
                    width=8,
                    height=8,
                    parent=ItemId(1),
                    round=0,
                    inherited=as_label(cat),
                )
            ]
        )
        store.undo("sam", "s")
        store.retire_class(cat)
        config = configuration(workspace, "threads=1")
        found = gather(workspace, config, store, number=0, device=torch.device("cpu"), watermark=1)
    assert found.data.class_names == ["dog"]
    assert found.data.targets.tolist() == [-1, -1]
    assert found.data.synthetic.targets.tolist() == [-1]
    assert not found.data.synthetic.is_candidate.any()


def test_labels_digest_depends_on_class_order_but_not_on_names(tmp_path):
    workspace = Workspace(make_workspace(tmp_path / "w", ["a.png", "b.png"]))
    config = configuration(workspace, "threads=1")

    def gathered(store):
        return gather(workspace, config, store, number=0, device=torch.device("cpu"))

    with open_store(workspace.store_path) as store:
        cat, dog = (record.uid for record in store.classes())
        answer = Answer(op_id="1", kind="label", item_id=ItemId(1), label=as_label(cat))
        store.submit(answer, annotator="sam", session="s")
        before = gathered(store)
        store.rename_class(cat, "lynx")
        renamed = gathered(store)
        store.reorder_classes([dog, cat])
        after = gathered(store)
    assert before.data.targets.tolist() == [0, -1]
    assert after.data.targets.tolist() == [1, -1]
    assert renamed.labels_digest == before.labels_digest != after.labels_digest
