"""Answers that are not the label of their image, and why."""

import json
import sqlite3
from collections.abc import Sequence

from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.records import OverruledAnswer, OverruledBecause
from dgaal_cli.store.sqlite.items import decode_path

_BATCH = 1000
# The plus keeps SQLite from reading all answers with a label to count those of one image.
_VOTES = """(SELECT count(*) FROM answer o WHERE o.item_id = a.item_id AND o.annotator <> :source
    AND o.says IN ('label','cannot_tell') AND +o.label_id IS {of}.label_id)"""
_OVERRULED = f"""SELECT i.sample, e.says = 'adjudicate', {_VOTES.format(of="v")},
    {_VOTES.format(of="a")} FROM answer a JOIN verdict v USING(item_id)
    JOIN event e ON e.event_id = v.event_id JOIN item i ON i.item_id = a.item_id
    WHERE a.item_id IN (SELECT value FROM json_each(:items)) AND a.annotator = :annotator
    AND a.says IN ('label','cannot_tell','adjudicate') AND a.label_id IS NOT v.label_id
    ORDER BY a.item_id"""  # noqa: S608 - constants


def overruled(
    connection: sqlite3.Connection, annotator: str, items: Sequence[int]
) -> list[OverruledAnswer]:
    """Return those of an annotator's answers to some items that are not the items' labels."""
    found: list[OverruledAnswer] = []
    for start in range(0, len(items), _BATCH):
        numbers = json.dumps(list(items[start : start + _BATCH]))
        given = {"items": numbers, "annotator": annotator, "source": SOURCE}
        for sample, is_decided, votes, own_votes in connection.execute(_OVERRULED, given):
            reason = _reason(annotator, is_decided=is_decided, is_outvoted=votes > own_votes)
            found.append(
                OverruledAnswer(sample_id=decode_path(sample), annotator=annotator, because=reason)
            )
    return found


def _reason(annotator: str, *, is_decided: bool, is_outvoted: bool) -> OverruledBecause:
    if is_decided:
        return "decided"
    if annotator == SOURCE:
        return "source"
    return "outvoted" if is_outvoted else "later"
