"""Classes: stable uids, changeable names."""

import pytest
from class_labels import as_label

from dgaal_cli.errors import UsageError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.records import NewSynthetic


def names(store) -> list[str]:
    return [record.name for record in store.classes()]


def test_classes_keep_their_uid_through_rename_and_reorder(store):
    cat, dog, eel = (store.add_class(name) for name in ("cat", "dog", "eel"))
    store.rename_class(dog.uid, "wolf")
    assert [r.uid for r in store.reorder_classes([eel.uid, cat.uid, dog.uid])] == [
        eel.uid,
        cat.uid,
        dog.uid,
    ]
    assert names(store) == ["eel", "cat", "wolf"]
    assert store.class_by_name("wolf").uid == dog.uid


def test_unknown_class_error_suggests_the_nearest_name(store):
    store.add_class("horse")
    store.add_class("truck")
    with pytest.raises(
        UsageError, match=r"'house'|house; did you mean 'horse'\? known: horse, truck"
    ):
        store.class_by_name("house")


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\nb", "\x1b[2J", "a\u202eb", "a\u200bb"])
def test_bad_class_names_are_refused(store, name):
    with pytest.raises(UsageError):
        store.add_class(name)
    assert store.classes() == []


def test_class_names_differing_only_in_case_or_composition_are_equal(store):
    store.add_class("Caf\u00e9")
    for name in ("CAF\u00c9", "Cafe\u0301"):
        with pytest.raises(UsageError, match="exists already"):
            store.add_class(name)


def test_joiners_belong_to_names_and_make_no_other_name(store):
    word = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # Persian: "I want"
    store.add_class(word)
    assert names(store) == [word]
    for name in (word.replace("\u200c", ""), word.replace("\u200c", "\u200d")):
        with pytest.raises(UsageError, match="exists already"):
            store.add_class(name)
    with pytest.raises(UsageError, match="cannot be printed"):
        store.add_class("c\u200dat")


def test_many_classes_are_added_in_their_order_or_none_of_them(store):
    store.add_class("first")
    many = [f"class {number:03d} " + "x" * 245 for number in range(300)]
    added = store.add_classes(many)
    assert names(store) == ["first", *many]
    assert [record.position for record in added] == [*range(1, 301)]
    with pytest.raises(UsageError, match="exists already"):
        store.add_classes(["new", "NEW"])
    with pytest.raises(UsageError, match="exists already"):
        store.add_classes(["other", "First"])
    assert names(store) == ["first", *many]


def test_removed_class_is_reinstated_at_the_end_unless_its_name_is_used(store):
    cat, dog = (store.add_class(name) for name in ("cat", "dog"))
    store.retire_class(cat.uid)
    assert store.reinstate_class(cat.uid).uid == cat.uid
    assert names(store) == ["dog", "cat"]
    store.retire_class(dog.uid)
    store.add_class("Dog")
    with pytest.raises(UsageError, match="exists already"):
        store.reinstate_class(dog.uid)
    with pytest.raises(UsageError, match="was removed"):
        store.reinstate_class(cat.uid)


def test_two_classes_cannot_share_a_key(store):
    store.add_class("cat", "1")
    with pytest.raises(UsageError, match="belongs to class cat"):
        store.add_class("dog", "1")
    store.add_class("dog", "")
    store.add_class("eel", "")


def test_labeled_class_cannot_be_retired(asked):
    asked.submit("sam", "label", 3, asked.cat)
    with pytest.raises(UsageError, match="1 answers name it"):
        asked.store.retire_class(asked.cat)
    asked.store.undo("sam", "s")
    asked.store.retire_class(asked.cat)
    assert names(asked.store) == ["dog"]
    assert asked.store.class_names()[asked.cat] == "cat"
    with pytest.raises(UsageError, match="no class"):
        asked.submit("sam", "label", 3, asked.cat)


def test_name_of_a_retired_class_can_be_reused_by_a_new_class(store):
    old = store.add_class("cat")
    store.retire_class(old.uid)
    assert store.add_class("cat").uid != old.uid


def test_reorder_requires_every_class_once(store):
    cat, _ = store.add_class("cat"), store.add_class("dog")
    for order in ([cat.uid], [cat.uid, cat.uid], [cat.uid, ClassUid("zzz")]):
        with pytest.raises(UsageError, match="every class once"):
            store.reorder_classes(order)


def test_redo_of_a_removed_class_is_refused(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.store.undo("sam", "s")
    asked.store.retire_class(asked.cat)
    with pytest.raises(UsageError, match="class cat, which was removed"):
        asked.store.redo("sam", "s")
    assert asked.names() == {}
    assert [event.kind for event in asked.store.events()] == ["label", "undo"]


def test_undo_to_a_removed_class_is_refused(asked):
    asked.submit("sam", "label", 3, asked.cat)
    asked.submit("sam", "label", 3, asked.dog)
    asked.store.retire_class(asked.cat)
    with pytest.raises(UsageError, match="class cat, which was removed"):
        asked.store.undo("sam", "s")
    assert asked.names() == {3: "dog"}
    assert asked.store.check() == []


def test_synthetic_image_of_a_removed_class_is_not_promoted(asked):
    names = ("a", "b")
    added = asked.store.add_synthetic(
        NewSynthetic(
            sample_id=SampleId(f"synthetic/000/{name}.png"),
            sha256=name.encode() * 32,
            size_bytes=9,
            width=8,
            height=8,
            parent=ItemId(3),
            round=0,
            inherited=as_label(uid),
        )
        for name, uid in zip(names, (asked.cat, asked.dog), strict=True)
    )
    asked.store.retire_class(asked.cat)
    assert asked.store.promote_synthetic(added, 0) == 1
    assert asked.names() == {added[1]: "dog"}
