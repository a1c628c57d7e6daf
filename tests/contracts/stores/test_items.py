"""Images are identified by content, not by name."""

import hashlib

import pytest
from class_labels import as_label, name_of

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.records import AddedItems, ImportedLabel, NewSynthetic, PoolChange

HOSTILE = [
    "\x1b]52;c;aGk=\x07.png",
    "[/bold] [red].png",
    "\udcff\udcfe.png",
    "new\nline.png",
    "=cmd|' /C calc'!A0.png",
    "-rf",
    "\u202egnp.exe",
    "nul\x00byte",
    "a" * 255,
    "",
]


def test_files_with_equal_bytes_share_one_item(store, make_item):
    added = store.add_items([make_item("a", "x"), make_item("b", "x"), make_item("c", "y")])
    assert added == AddedItems(new=2, duplicates=1, known=0, changed=0)
    assert [i.sample_id for i in store.items()] == ["a", "c"]
    assert store.item_by_sample(SampleId("a")).item_id == 1
    assert store.item_by_sample(SampleId("b")).item_id == 1


def test_adding_the_same_files_again_changes_nothing(store, make_item):
    store.add_items([make_item("a"), make_item("b")])
    assert store.add_items([make_item("a"), make_item("b")]) == AddedItems(
        new=0, duplicates=0, known=2
    )
    assert len(store.items()) == 2


def test_changed_file_keeps_the_item_of_its_old_bytes(store, make_item):
    cat = store.add_class("cat")
    store.add_items([make_item("a", "old")])
    assert store.add_items([make_item("a", "new")]).changed == 1
    (item,) = store.items()
    assert item.state == "changed"
    assert item.sha256 == hashlib.sha256(b"old").digest()
    assert store.add_items([make_item("a", "old")]).known == 1
    assert store.item(ItemId(1)).state == "ok"
    assert cat.position == 0


def test_images_exchange_names_and_keep_their_labels(store, make_item):
    cat = store.add_class("cat")
    store.add_items([make_item("a"), make_item("b")])
    label = ImportedLabel(sample_id=SampleId("a"), label=as_label(cat.uid), annotator="ann")
    store.import_labels([label])
    firsts = {ItemId(1): SampleId("b"), ItemId(2): SampleId("a")}
    names = [(name, item_id) for item_id, name in firsts.items()]
    store.change_pool(PoolChange(firsts=firsts, names=names))
    assert [(i.item_id, i.sample_id) for i in store.items()] == [(1, "b"), (2, "a")]
    assert [(file.sample_id, file.item_id) for file in store.pool_files()] == [("a", 2), ("b", 1)]
    assert [record.sample_id for record in store.labels()] == ["b"]
    assert store.check() == []


def test_new_image_takes_the_name_of_one_that_is_set_aside(store, make_item):
    store.add_items([make_item("a", "old"), make_item("b")])
    change = PoolChange(
        new=[make_item("a", "new"), make_item("c", "new")],
        names=[(SampleId("a@1"), ItemId(1))],
        firsts={ItemId(1): SampleId("a@1")},
        states={ItemId(1): "missing"},
        unreadable=[(SampleId("b2"), "cut short")],
    )
    assert store.change_pool(change) == AddedItems(new=1, duplicates=1)
    assert store.item_by_sample(SampleId("a")).item_id == 3
    assert store.item_by_sample(SampleId("c")).item_id == 3
    assert store.item_by_sample(SampleId("a@1")).state == "missing"
    assert store.quarantined() == [("b2", "cut short")]
    store.change_pool(PoolChange(readable=[SampleId("b2")], states={ItemId(1): "ok"}))
    assert store.quarantined() == store.replaced() == []


def test_refused_change_of_the_pool_changes_nothing(store, make_item):
    store.add_items([make_item("a"), make_item("b")])
    before = store.pool_files()
    change = PoolChange(new=[make_item("c"), make_item("\ud800", "d")])
    with pytest.raises(UsageError):
        store.change_pool(change)
    assert store.pool_files() == before


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_returned_unchanged(store, make_item, name):
    store.add_items([make_item(name)])
    assert store.items()[0].sample_id == name
    assert store.item_by_sample(SampleId(name)).item_id == 1


def test_invalid_sample_id_is_refused(store, make_item):
    item = make_item("ok")
    with pytest.raises(UsageError, match=r"\\u\{d800\}"):
        store.item_by_sample(SampleId("\ud800"))
    assert store.item_by_sample(item.sample_id) is None


def test_unreadable_files_are_listed_and_their_item_quarantined(store, make_item):
    store.add_items([make_item("a", "x"), make_item("b", "x")])
    store.mark_unreadable([(SampleId("new"), "0 bytes")])
    store.mark_unreadable([(SampleId("a"), "gone")])
    assert store.item(ItemId(1)).state == "ok"  # b still has the same content
    store.mark_unreadable([(SampleId("b"), "gone too")])
    assert store.item(ItemId(1)).state == "quarantined"
    assert store.quarantined() == [("a", "gone"), ("b", "gone too"), ("new", "0 bytes")]
    store.add_items([make_item("a", "x")])
    assert store.item(ItemId(1)).state == "ok"
    assert [name for name, _ in store.quarantined()] == ["b", "new"]


def synthetic(name: str, **changes):
    values = {
        "sample_id": SampleId(name),
        "sha256": hashlib.sha256(name.encode()).digest(),
        "size_bytes": 5,
        "width": 8,
        "height": 8,
        "parent": ItemId(1),
        "round": 3,
        "inherited": None,
    }
    return NewSynthetic(**{**values, **changes})


def test_synthetic_image_has_parent_round_and_class(store, make_item):
    cat = store.add_class("cat")
    store.add_items([make_item("a")])
    added = store.add_synthetic(
        [
            synthetic("s/1", inherited=as_label(cat.uid)),
            synthetic("s/2", parent=None, is_quarantined=True),
        ]
    )
    first, second = (store.item(number) for number in added)
    assert (first.is_synthetic, first.parent, first.round, first.inherited, first.state) == (
        True,
        1,
        3,
        as_label(cat.uid),
        "ok",
    )
    assert (second.parent, second.state) == (None, "quarantined")
    counts = store.counts()
    assert (counts.items, counts.synthetic, counts.unlabeled) == (1, 2, 1)


def test_duplicate_synthetic_image_rejects_the_whole_batch(store, make_item):
    store.add_items([make_item("a")])
    with pytest.raises(UsageError, match="s/1"):
        store.add_synthetic([synthetic("s/1"), synthetic("s/1")])
    assert len(store.items()) == 1


def test_inherited_classes_become_labels_only_when_promoted(store, make_item):
    cat, dog = store.add_class("cat"), store.add_class("dog")
    store.add_items([make_item("a")])
    good, quarantined, unlabeled = store.add_synthetic(
        [
            synthetic("s/1", inherited=as_label(cat.uid)),
            synthetic("s/2", inherited=as_label(dog.uid), is_quarantined=True),
            synthetic("s/3"),
        ]
    )
    assert store.labels() == []
    assert store.promote_synthetic([good, quarantined, unlabeled], 3) == 1
    assert store.promote_synthetic([good], 3) == 0
    (label,) = store.labels()
    assert (label.item_id, name_of(store, label), label.provenance) == (good, "cat", "inherited")
    assert (label.is_synthetic, label.parent, label.round) == (True, 1, 3)
    assert store.counts().annotations == 0
    assert store.undo("dgaal", "x") is None
    with pytest.raises(UsageError, match="not a synthetic image"):
        store.promote_synthetic([ItemId(1)], 3)


def test_unknown_item_id_is_an_error(store):
    with pytest.raises(UsageError, match="number 7"):
        store.item(ItemId(7))


@pytest.mark.parametrize("earlier", [[], ["z"]])
def test_first_images_are_added_as_later_ones_are(store, make_item, earlier):
    """The first images of a store are added together, later ones one by one."""
    names = ["a", "b", "same as a", "c", "a", "b"]
    contents = ["1", "2", "1", "3", "1", "other"]
    new = [make_item(name, content) for name, content in zip(names, contents, strict=True)]
    store.add_items(make_item(name) for name in earlier)
    assert store.add_items(new) == AddedItems(new=3, duplicates=1, known=1, changed=1)
    assert [item.sample_id for item in store.items()] == [*earlier, "a", "b", "c"]
    assert store.item_by_sample("same as a").item_id == len(earlier) + 1
    assert store.item_by_sample("b").state == "changed"
