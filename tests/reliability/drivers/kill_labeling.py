"""Kill forked labelers at random moments; compare acknowledged answers with stored ones.

Arguments: seed, store, kills, variant. The variant ``early`` acknowledges before it commits: the
negative control.
"""

import json
import os
import random
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import NoReturn

from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.tasks.classification.label import class_label


def label(path: Path, variant: str, channel: int) -> NoReturn:
    """Label until killed; write the id of every answer that is on the disk."""
    with open_store(path) as store:
        classes = store.classes()
        os.write(channel, b"ready\n")
        held: list[Answer] = []
        task = store.next_task("sam", "s")
        while task is not None:
            answer = Answer(
                op_id=uuid.uuid4().hex,
                kind="label",
                item_id=task.item.item_id,
                label=class_label(classes[task.item.item_id % 2].uid),
            )
            if variant == "sound":
                receipt = store.submit(answer, annotator="sam", session="s", lease=task.lease)
                os.write(channel, f"{answer.op_id}\n".encode())
                task = receipt.next_task
                continue
            held.append(answer)
            os.write(channel, f"{answer.op_id}\n".encode())
            if len(held) == 5:
                store.submit_many(held, annotator="sam", session="s")
                held = []
                task = store.next_task("sam", "s")
    os._exit(0)


def kill_once(path: Path, variant: str, rng: random.Random) -> list[str]:
    """Fork a labeler, wait for some answers and a moment more, kill it."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        label(path, variant, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        count = rng.randrange(0, 6)
        lines = [stream.readline() for _ in range(1 + count)]
        time.sleep(rng.random() * 0.004)  # somewhere within a transaction
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rest = b"".join(lines) + stream.read()
    complete = rest[: rest.rfind(b"\n") + 1].split()
    return [line.decode() for line in complete if line != b"ready"]


def main() -> None:
    """Run the labelers and print a report."""
    seed, path, kills, variant = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    rng = random.Random(seed)
    acknowledged: list[str] = []
    for _ in range(kills):
        acknowledged += kill_once(path, variant, rng)
    with open_store(path) as store:
        events = list(store.events())
        stored = [event.op_id for event in events]
        report = {
            "kills": kills,
            "acknowledged": len(acknowledged),
            "lost": len(set(acknowledged) - set(stored)),
            "unacknowledged": len(set(stored) - set(acknowledged)),
            "doubled": len(stored) - len({event.item_id for event in events}),
            "problems": store.check(),
        }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
