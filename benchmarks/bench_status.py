"""``dgaal status`` of a pool of 50,000 images after six audited queries.

Run on demand: ``python benchmarks/bench_status.py --cpu [--images 50000] [--keep DIR]``. The store
has a query of 200 images and an audit of 40 for each of six rounds, all answered, and each round's
model predicts the audited images, so the estimate, the classes, the forecast, the goals and the
stopping criteria are computed. ``--cpu`` reports CPU seconds instead of elapsed ones; ``--keep``
leaves pool and workspace in a folder and uses them again. The labels and predictions are drawn, not
real.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench_scale import CLASSES, init, make_pool, run_dgaal
from making import Line, print_table

from dgaal_cli.audit.design import draw
from dgaal_cli.ids import ClassUid, ItemId
from dgaal_cli.rounds.audit_draw import Predicted
from dgaal_cli.rounds.audit_entries import audit_reason
from dgaal_cli.rounds.audit_record import save_record
from dgaal_cli.store.open import open_store
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel, Query, QueryEntry
from dgaal_cli.tasks.classification.label import class_label
from dgaal_cli.workspace import Workspace

ROUNDS, ASKED, AUDITED = 6, 200, 40
REPEATS = 5
"""The least seconds of these runs count."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--cpu", action="store_true", help="CPU seconds instead of elapsed ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        root, pool = folder / "workspace", folder / "pool"
        if not root.exists():
            make_pool(pool, options.images)
            init(root, pool)
            fill(Workspace(root))
            with (root / "dgaal.toml").open("a") as settings:
                settings.write(f"\n[goal]\naccuracy = 0.95\nrecall.{CLASSES[0]} = 0.9\n")
        runs = [run_dgaal(root, "--json", "status") for _ in range(REPEATS)]
        start, _ = min(run_dgaal(root, "--version") for _ in range(REPEATS))
    lines = [
        Line("status, s", min(seconds for seconds, _ in runs), "<= 1"),
        Line("status, MB", max(peak for _, peak in runs), "<= 300"),
        Line("start of the program alone (--version), s", start),
    ]
    print_table(f"status of {options.images:,} images", lines)
    sys.exit(0 if all(line.holds for line in lines) else 1)


def fill(workspace: Workspace) -> None:
    """Ask, answer and audit; the model of each round is right more often."""
    random = np.random.default_rng(0)
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        for number in range(1, ROUNDS + 1):
            query = audited_query(store, number, random)
            store.save_query(query)
            truth = {e.item_id: uids[int(random.integers(len(uids)))] for e in query.entries}
            store.import_labels([answer(store, item, uid) for item, uid in truth.items()])
            store.close_query(number)
        known = {record.item_id: record.label for record in store.labels()}
    right = {class_label(uid): uid for uid in uids}
    for number in range(1, ROUNDS + 1):
        is_right = random.random(len(known)) < 1 - 0.4 * number**-0.8
        guesses = [
            right[label] if good else uids[random.integers(len(uids))]
            for label, good in zip(known.values(), is_right, strict=True)
        ]
        predicted = Predicted(
            item_ids=list(known), classes=guesses, confidences=np.ones(len(known), np.float32)
        )
        save_record(workspace, number, predicted, labels=ASKED * number, uncertainty=0.4 / number)


def audited_query(store: Store, number: int, random: np.random.Generator) -> Query:
    """Return a query of unlabeled images, and an audit of the rest, by random confidences."""
    left = random.permutation(store.unanswered())
    asked, rest = left[:ASKED].tolist(), left[ASKED:]
    draws = draw(random.beta(8, 1, len(rest)), AUDITED, seed=number)
    newest = ItemId(len(store.items()))
    reasons = {ItemId(item): "drawn at random" for item in asked} | {
        ItemId(rest[each.position]): audit_reason(each.stratum, total=len(rest), newest=newest)
        for each in draws
    }
    entries = [
        QueryEntry(item_id=ItemId(int(item)), rank=rank, reason=reason)
        for rank, (item, reason) in enumerate(reasons.items(), start=1)
    ]
    return Query(round=number, strategy="random", model_sha=None, entries=tuple(entries))


def answer(store: Store, item: ItemId, uid: ClassUid) -> ImportedLabel:
    return ImportedLabel(
        sample_id=store.item(item).sample_id,
        label=class_label(uid),
        annotator="person",
        elapsed_ms=2000,
    )


if __name__ == "__main__":
    main()
