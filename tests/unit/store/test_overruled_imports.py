"""An import says which of its labels do not count; labels of the source yield to all others."""

from pathlib import Path

import pytest
from asked_stores import FakeClock, new_item
from class_labels import as_label, name_of

from dgaal_cli.ids import ClassUid, SampleId
from dgaal_cli.store import fold
from dgaal_cli.store.fold import SOURCE
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import ImportedLabel, ImportReport
from dgaal_cli.store.sqlite import overruled, projection


@pytest.fixture
def store(tmp_path: Path):
    clock = FakeClock()
    with store_location(tmp_path / "labels.db").create(clock=clock) as opened:
        opened.add_items(new_item(name) for name in ("a.png", "b.png"))
        yield opened


def give(store: Store, annotator: str, name: str, **changes: object) -> ImportReport:
    uids: dict[str, ClassUid] = {record.name: record.uid for record in store.classes()}
    uid = uids[name] if name in uids else store.add_class(name).uid
    line = ImportedLabel(
        sample_id=SampleId("a.png"), label=as_label(uid), annotator=annotator, **changes
    )
    return store.import_labels([line])


def label_of(store: Store) -> str | None:
    (label,) = store.labels()
    return name_of(store, label)


def check_source_yields(store: Store) -> None:
    give(store, SOURCE, "cat", at="2020-01-01")
    assert label_of(store) == "cat"
    report = give(store, "ann", "dog")
    assert (report.added, report.overruled) == (1, ())
    assert label_of(store) == "dog"
    assert store.disputed_ids() == set()
    (answer,) = give(store, SOURCE, "eel").overruled
    assert (answer.sample_id, answer.annotator, answer.because) == ("a.png", SOURCE, "source")
    assert store.check() == []


def test_labels_of_the_source_yield_to_every_other_answer(store):
    check_source_yields(store)


def test_control_source_that_votes_like_a_person_is_caught(store, monkeypatch):
    for module in (fold, projection):
        monkeypatch.setattr(module, "SOURCE", "nobody")
    with pytest.raises(AssertionError):
        check_source_yields(store)


def test_import_says_that_an_earlier_answer_counts(store):
    assert give(store, "ann", "cat", at="2020-01-01").overruled == ()
    assert [a.because for a in give(store, "bob", "dog").overruled] == ["later"]
    assert label_of(store) == "cat"
    assert [a.because for a in give(store, "bob", "dog").overruled] == ["later"]  # also unchanged


def test_import_says_that_more_annotators_gave_another_label(store):
    give(store, "ann", "cat", at="2020-01-02")
    give(store, "bob", "cat", at="2020-01-03")
    assert [a.because for a in give(store, "cem", "dog", at="2020-01-01").overruled] == ["outvoted"]


def test_import_says_that_a_decision_counts(store):
    give(store, "boss", "cat", kind="adjudicate")
    assert [a.because for a in give(store, "ann", "dog").overruled] == ["decided"]


def test_deciding_label_counts_and_keeps_the_other_answers(store):
    give(store, "ann", "cat", at="2020-01-01")
    report = give(store, "bob", "dog", decided_by="bob")
    assert (report.replaced, report.overruled, label_of(store)) == (1, (), "dog")
    assert {a.annotator for a in store.answers()} == {"ann", "bob"}
    assert store.disputed_ids() == set()


def steps_to_list_overruled(folder: Path, count: int) -> int:
    """Return the steps of SQLite that an import of outvoted answers to ``count`` images takes."""
    folder.mkdir()
    with store_location(folder / "labels.db").create(clock=FakeClock()) as store:
        names = [SampleId(f"{number}.png") for number in range(count)]
        store.add_items(new_item(name) for name in names)
        cat, dog = (as_label(store.add_class(name).uid) for name in ("cat", "dog"))
        for who in ("ann", "bob"):
            store.import_labels(
                ImportedLabel(sample_id=name, label=cat, annotator=who) for name in names
            )
        late = [ImportedLabel(sample_id=name, label=dog, annotator="eve") for name in names]
        store.import_labels(late)
        steps = [0]

        def count_step() -> int:
            steps[0] += 1
            return 0

        store.database.connection.set_progress_handler(count_step, 10)
        assert len(store.import_labels(late).overruled) == count
        return steps[0]


def test_steps_to_list_overruled_answers_grow_with_them_only(tmp_path):
    few, many = (steps_to_list_overruled(tmp_path / str(count), count) for count in (100, 400))
    assert many < 6 * few


def test_control_counting_all_answers_with_a_label_is_caught(tmp_path, monkeypatch):
    query = overruled._OVERRULED.replace("+o.label_id", "o.label_id")
    monkeypatch.setattr(overruled, "_OVERRULED", query)
    with pytest.raises(AssertionError):
        test_steps_to_list_overruled_answers_grow_with_them_only(tmp_path)
