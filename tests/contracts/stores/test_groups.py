"""Images have groups, which later updates extend and keep."""

from dataclasses import replace

from dgaal_cli.ids import ItemId, SampleId
from dgaal_cli.store.records import PoolChange


def test_images_have_the_group_of_their_first_name(store, make_item):
    given = [("a", "x", "p1"), ("b", "x", "p2"), ("c", "y", ""), ("d", "y", "p2"), ("e", "z", "")]
    store.add_items(replace(make_item(name, text), group=group) for name, text, group in given)
    assert store.groups() == {1: "p1", 2: "p2"}
    store.add_items([replace(make_item("e", "z"), group="p3")])
    assert store.groups() == {1: "p1", 2: "p2"}
    store.add_items([replace(make_item("f", "z"), group="p3")])
    assert store.groups() == {1: "p1", 2: "p2", 3: "p3"}


def test_names_that_are_not_text_are_groups(store, make_item):
    store.add_items([replace(make_item("a"), group="\udcff")])
    assert store.groups() == {1: "\udcff"}


def test_changes_of_the_pool_add_and_replace_groups(store, make_item):
    store.add_items([replace(make_item("a"), group="p1"), make_item("b")])
    store.change_pool(
        PoolChange(
            new=[replace(make_item("c"), group="p3"), replace(make_item("d", "a"), group="p4")],
            groups={ItemId(1): "p9", ItemId(2): "p2"},
        )
    )
    assert store.groups() == {1: "p9", 2: "p2", 3: "p3"}
    assert store.item_by_sample(SampleId("d")).item_id == 1
