"""Several forked processes label one query at once; report lost, doubled and refused answers.

The report also has the waiting times.

Arguments: seed, store, people, maximum number of labels per person, variant, mean seconds between
answers. Variants: ``sound``; ``reading`` (another process reads all labels meanwhile). Negative
controls: ``leaseless`` (other people's leases are ignored and every answer counts), ``deferred``
(no gate, a read transaction that becomes a write), ``sleepy`` (a person pauses within a
transaction), ``hoarding`` (a reader blocks writers while it reads).
"""

import contextlib
import json
import os
import random
import sys
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

from dgaal_cli.errors import DgaalError
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import Answer
from dgaal_cli.store.sqlite import answers, queries
from dgaal_cli.store.sqlite.connection import Database
from dgaal_cli.tasks.classification.label import class_label


def break_store(variant: str) -> None:
    """Break the store as the variant requires."""
    if variant == "leaseless":
        answers._is_counted = lambda *_, **__: True
        blind = queries._CANDIDATES.replace("o.expires > :now", "0")
        assert blind != queries._CANDIDATES
        queries._CANDIDATES = blind
    if variant == "deferred":

        @contextlib.contextmanager
        def write(self: Database) -> Generator[Any]:
            with self.read() as connection:
                connection.execute("PRAGMA busy_timeout = 0")
                yield connection
                connection.execute("COMMIT")

        Database.write = write


def label_as(  # noqa: PLR0917
    path: Path,
    name: str,
    variant: str,
    max_labels: int,
    think_s: float,
    rng: random.Random,
    holding: int,
) -> Any:
    """Label until nothing is left; count errors. A byte in ``holding``: it has the lock."""
    report: dict[str, Any] = {"acknowledged": [], "waits": [], "errors": []}
    with open_store(path) as store:
        uid = store.classes()[0].uid
        began = time.perf_counter()
        try:
            task = store.next_task(name, name)
        except DgaalError as error:
            report["errors"].append(str(error)[:200])
            return report
        report["waits"].append(time.perf_counter() - began)
        while task is not None and len(report["acknowledged"]) < max_labels:
            if think_s:
                time.sleep(rng.random() * 2 * think_s)
            answer = Answer(
                op_id=uuid.uuid4().hex,
                kind="label",
                item_id=task.item.item_id,
                label=class_label(uid),
            )
            began = time.perf_counter()
            # Before the first answer, while the others still have work; later none may be left.
            if variant == "sleepy" and name == "p0" and not report["acknowledged"]:
                with store.database.write():
                    os.write(holding, b".")
                    time.sleep(2.5)
            try:
                receipt = store.submit(answer, annotator=name, session=name, lease=task.lease)
            except DgaalError as error:
                report["errors"].append(str(error)[:200])
                if len(report["errors"]) > 50:
                    break
                continue
            report["waits"].append(time.perf_counter() - began)
            report["acknowledged"].append(answer.op_id)
            task = receipt.next_task
    return report


def read_until_killed(path: Path, variant: str, reading: int) -> NoReturn:
    """Read all labels repeatedly, as a trainer does, until killed; write a byte at the start."""
    with open_store(path) as store:
        if variant == "reading":
            os.write(reading, b".")
        while True:
            if variant == "hoarding":
                with store.database.write():
                    store.labels()
                    os.write(reading, b".")
                    time.sleep(2.5)
            watermark = store.watermark()
            assert len(store.labels(watermark=watermark)) <= watermark
            time.sleep(0.01)


def start(task: Any) -> tuple[int, int]:
    """Fork; the child runs the task and sends its report through the returned descriptor."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, read_end
    os.close(read_end)
    try:
        with os.fdopen(write_end, "w") as stream:
            stream.write(json.dumps(task()))
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a child must never return into the driver
        sys.stderr.write(f"child: {error!r}\n")
        os._exit(1)


def summary(path: Path, reports: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Compare acknowledged answers with stored ones."""
    acknowledged = [op for report in reports for op in report["acknowledged"]]
    waits = sorted(wait for report in reports for wait in report["waits"])
    with open_store(path) as store:
        events = list(store.events())
        counted = [event.item_id for event in events if event.is_counted]
        return {
            "acknowledged": len(acknowledged),
            "labels": len(store.labels()),
            "lost": len(set(acknowledged) - {event.op_id for event in events}),
            "extra": len(events) - len(acknowledged),
            "doubled": len(counted) - len(set(counted)),
            "unlabeled": store.counts().unlabeled,
            "errors": sum(len(report["errors"]) for report in reports),
            "first_error": next((e for report in reports for e in report["errors"]), ""),
            "worst_wait_s": round(waits[-1], 3),
            "p99_wait_s": round(waits[int(len(waits) * 0.99)], 3),
            "labels_per_s": round(len(acknowledged) / seconds, 1),
            "problems": store.check(),
            "journal": store.database.connection.execute("PRAGMA journal_mode").fetchone()[0],
        }


def main() -> None:
    """Run the labelers and print the summary."""
    seed, path, people, max_labels = int(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5])
    variant, think_s = sys.argv[5], float(sys.argv[6])
    break_store(variant)
    reader = 0
    has_begun, beginning = os.pipe()
    if variant in ("reading", "hoarding"):
        reader = os.fork()
        if not reader:
            read_until_killed(path, variant, beginning)
        os.read(has_begun, 1)
    began = time.perf_counter()
    children: list[tuple[int, int]] = []
    for n in range(people):
        rng = random.Random(seed + n)
        children.append(
            start(
                lambda n=n, rng=rng: label_as(
                    path, f"p{n}", variant, max_labels, think_s, rng, beginning
                )
            )
        )
        if variant == "sleepy" and n == 0:
            os.read(has_begun, 1)  # the others start while the first one sleeps
    reports: list[dict[str, Any]] = []
    for child, read_end in children:
        with os.fdopen(read_end) as stream:
            reports.append(json.loads(stream.read()))
        assert os.waitpid(child, 0)[1] == 0
    seconds = time.perf_counter() - began
    if reader:
        assert os.waitpid(reader, os.WNOHANG) == (0, 0), "the reader died"
        os.kill(reader, 9)
        os.waitpid(reader, 0)
    sys.stdout.write(json.dumps(summary(path, reports, seconds)))


if __name__ == "__main__":
    main()
