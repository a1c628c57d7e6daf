"""kill -9 while labeling: every acknowledged answer is there afterwards, exactly once.

A process kill cannot show a missing fsync; that needs a power-cut model and is no part of this.
"""

import random
import subprocess
import sys
import time
import uuid

import pytest

from dgaal_cli.store.labels import LabelStore

KILLS = 20

CHILD = """
import sys, uuid
from pathlib import Path
from dgaal_cli.store.labels import LabelStore
from dgaal_cli.store.records import Answer

is_broken = sys.argv[2] == "broken"
with LabelStore.open(Path(sys.argv[1])) as store:
    classes = store.classes()
    held = []
    print("ready", flush=True)
    while True:
        task = store.next_task("sam", "s")
        answer = Answer(op_id=uuid.uuid4().hex, kind="label", item_id=task.item.item_id,
                        class_uid=classes[len(held) % 2].uid)
        if not is_broken:
            store.submit(answer, annotator="sam", session="s", lease=task.lease, take_next=False)
        else:  # acknowledges at once, commits every fifth answer
            held.append(answer)
            if len(held) == 5:
                store.submit_many(held, annotator="sam", session="s")
                held = []
        print(answer.op_id, flush=True)
"""


def kill_while_labeling(path, *, variant: str, kills: int, seed: int) -> list[str]:
    """Return every operation the killed processes had acknowledged."""
    rng = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), variant], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        told = "".join(child.stdout.readline() for _ in range(rng.randrange(0, 4)))
        time.sleep(rng.random() * 0.003)  # somewhere within a transaction
        child.kill()
        child.wait()
        told += child.stdout.read()
        acknowledged += told[: told.rfind("\n") + 1].split()
        child.stdout.close()
    return acknowledged


def prepare(path, make_item) -> None:
    from dgaal_cli.ids import ItemId
    from dgaal_cli.store.records import Query, QueryEntry

    with LabelStore.create(path) as store:
        store.add_class("cat")
        store.add_class("dog")
        store.add_items(make_item(f"{number}.png") for number in range(3000))
        entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, 3001))
        store.save_query(Query(round=0, strategy="random", model_sha=None, entries=entries))


@pytest.mark.slow
def test_no_acknowledged_answer_is_lost_or_doubled_by_kills(path, make_item):
    prepare(path, make_item)
    acknowledged = kill_while_labeling(path, variant="sound", kills=KILLS, seed=7)
    with LabelStore.open(path) as store:
        stored = [event.op_id for event in store.events()]
        assert len(acknowledged) > KILLS
        assert set(acknowledged) - set(stored) == set()
        assert len(stored) == len(set(stored))
        assert len({event.item_id for event in store.events()}) == len(stored)
        assert store.check() == []
    assert not list(path.parent.glob(".*.tmp"))


@pytest.mark.slow
def test_the_harness_catches_a_store_that_acknowledges_too_early(path, make_item):
    prepare(path, make_item)
    acknowledged = kill_while_labeling(path, variant="broken", kills=6, seed=7)
    with LabelStore.open(path) as store:
        stored = {event.op_id for event in store.events()}
    assert len(set(acknowledged) - stored) > 0
    assert uuid.UUID(acknowledged[0])
