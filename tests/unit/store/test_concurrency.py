"""Several processes label at once: every image once, no answer lost, nobody sees "locked"."""

import subprocess
import sys

import pytest

from dgaal_cli.ids import ItemId
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Query, QueryEntry

ITEMS = 200

CHILD = """
import sys, uuid
from pathlib import Path
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Answer

who = sys.argv[2]
with LabelStore.open(Path(sys.argv[1])) as store:
    uid = store.classes()[0].uid
    print("ready", flush=True)
    sys.stdin.readline()
    task = store.next_task(who, who)
    while task is not None:
        answer = Answer(op_id=uuid.uuid4().hex, kind="label", item_id=task.item.item_id,
                        class_uid=uid)
        receipt = store.submit(answer, annotator=who, session=who, lease=task.lease)
        assert receipt.is_counted
        print(answer.op_id, flush=True)
        task = receipt.next_task
"""


@pytest.mark.slow
def test_four_people_share_a_query_without_a_collision(path, make_item):
    with LabelStore.create(path) as store:
        store.add_class("cat")
        store.add_items(make_item(f"{number}.png") for number in range(ITEMS))
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, ITEMS + 1))
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))
    people = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), f"p{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for person in people:
        assert person.stdout.readline() == "ready\n"
    for person in people:
        person.stdin.write("go\n")
        person.stdin.flush()
    acknowledged: list[str] = []
    with LabelStore.open(path) as reader:  # a trainer reads meanwhile
        while any(person.poll() is None for person in people):
            reader.labels()
    for person in people:
        out, err = person.communicate()
        assert err == ""
        acknowledged += out.split()
    with LabelStore.open(path) as store:
        events = list(store.events())
        assert sorted(event.op_id for event in events) == sorted(acknowledged)
        assert {event.item_id for event in events} == set(range(1, ITEMS + 1))
        assert len(events) == ITEMS
        assert store.check() == []
