"""A line of the jsonl format has the bytes of ``json.dumps``: key order, spaces, escapes."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dgaal_cli.store.exchange import json_lines
from dgaal_cli.store.exchange.json_lines import answer_line
from dgaal_cli.store.exchange.marks import digest
from dgaal_cli.store.records import AnswerRecord
from dgaal_cli.tasks.classification.label import ClassNames, class_label

# Surrogates stand for bytes of file names that are not text.
TEXT = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from('"\\\n%é\udcff'))
NUMBER = st.none() | st.integers(0, 2**53)
ANSWERS = st.builds(
    AnswerRecord,
    kind=st.sampled_from(["label", "cannot_tell", "undo"]),
    item_id=st.just(1),
    sample_id=TEXT,
    sha256=st.binary(min_size=32, max_size=32),
    width=st.just(1),
    height=st.just(1),
    label=st.none() | st.builds(class_label, st.uuids().map(lambda uid: uid.hex)),
    provenance=st.sampled_from(["human", "imported"]),
    annotator=TEXT,
    round=NUMBER,
    event_id=st.just(1),
    at=st.just("2026-01-31T12:00:00.000000Z"),
    op_id=TEXT,
    changed_at=st.none() | st.just("2026-01-31T12:00:01.000000Z"),
    elapsed_ms=NUMBER,
    note=TEXT,
    is_effective=st.booleans(),
    is_synthetic=st.booleans(),
    parent=st.none() | TEXT,
)


def check_line(answer, name):
    uid = answer.label.classes[0] if answer.label else None
    document = {
        "file_name": answer.sample_id,
        "label": None if uid is None else name,
        "class_uid": uid,
        "kind": answer.kind,
        "effective": answer.is_effective,
        "annotator": answer.annotator,
        "provenance": answer.provenance,
        "at": answer.at,
        "round": answer.round,
        "elapsed_ms": answer.elapsed_ms,
        "note": answer.note,
        "sha256": answer.sha256.hex(),
        "synthetic": answer.is_synthetic,
        "parent": answer.parent,
        "op_id": answer.op_id,
        "changed": answer.changed_at,
        "exported": digest(answer.kind, None if uid is None else name),
    }
    line = answer_line(answer, ClassNames(), {uid: name})
    assert line == json.dumps(document).encode() + b"\n"


test_line_equals_json_dumps = settings(max_examples=50)(given(ANSWERS, TEXT)(check_line))


def test_control_line_without_escapes_is_caught(monkeypatch):
    monkeypatch.setattr(json_lines, "_quoted", lambda text: f'"{text}"')
    without_shrinking = settings(max_examples=50, phases=[Phase.generate])
    with pytest.raises((AssertionError, UnicodeEncodeError, ExceptionGroup)):
        without_shrinking(given(ANSWERS, TEXT)(check_line))()
