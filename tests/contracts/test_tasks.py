"""The contract of tasks: store, fold and exchange handle labels without reading the payload.

It runs for classification and for a task of this suite whose labels are small masks.
"""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asked_stores import FakeClock
from mask_task import PIXELS, MaskTask

from dgaal_cli.api.labels import export_labels, import_labels, label_log
from dgaal_cli.atomic import assembling
from dgaal_cli.errors import InputDataError, UsageError, WorkspaceError
from dgaal_cli.escaping import cell
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.labeling.annotators import OperationIds
from dgaal_cli.labeling.answers import Answers
from dgaal_cli.labeling.disputes import disputes
from dgaal_cli.labeling.open_round import OpenRound
from dgaal_cli.labeling.view import Press
from dgaal_cli.methods.configuration import build_configuration
from dgaal_cli.store.exchange.base import ExportJob, FileFormat
from dgaal_cli.store.exchange.registry import FORMATS, load_format
from dgaal_cli.store.exchange.resolve import resolve
from dgaal_cli.store.fold import Fact, fold
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, Label, NewItem, NewSynthetic, Query, QueryEntry
from dgaal_cli.tasks.base import Task
from dgaal_cli.tasks.registry import TASKS, load_task
from dgaal_cli.workspace import Workspace, open_workspace

ANY_LABEL_FORMATS = ("csv", "jsonl")


@dataclass
class Case:
    """A store with three classes, five images and an open query, and three values of a task."""

    task: Task[Any]
    store: Store
    values: list[Any]
    uids: list[ClassUid]

    @property
    def labels(self) -> list[Label]:
        return [self.task.labels.encode(value) for value in self.values]

    def submit(self, annotator: str, item: int, label: Label | None, kind: Any = "label") -> None:
        answer = Answer(
            op_id=f"{annotator}-{item}-{self.store.watermark()}",
            kind=kind,
            item_id=ItemId(item),
            label=label,
        )
        self.store.submit(answer, annotator=annotator, session=annotator, take_next=False)

    def current_labels(self) -> dict[int, Label]:
        return {record.item_id: record.label for record in self.store.labels()}


def item(name: str) -> NewItem:
    digest = hashlib.sha256(name.encode()).digest()
    return NewItem(sample_id=SampleId(name), sha256=digest, size_bytes=9, width=4, height=4)


def new_store(path: Path, classes: list[str], overlap: int = 1) -> Store:
    store = store_location(path).create(clock=FakeClock(1_700_000_000.25))
    for name in classes:
        store.add_class(name)
    store.add_items(item(f"{number}.png") for number in range(1, 6))
    entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in range(1, 6))
    query = Query(round=0, strategy="random", model_sha=None, entries=entries)
    store.save_query(query, overlap=overlap)
    return store


def values_of(task: Task[Any], uids: list[ClassUid]) -> list[Any]:
    if task.name == "classification":
        return list(uids)
    cat, dog, eel = uids
    none = (None,) * PIXELS
    return [(cat,) * 3 + (None,) * 9 + (dog,) * 4, (eel,) * PIXELS, none]


TASK_NAMES = [*TASKS, MaskTask.name]


@pytest.fixture(params=TASK_NAMES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    task: Task[Any] = MaskTask() if request.param == MaskTask.name else load_task(request.param)
    with new_store(tmp_path / "one.db", ["cat", "=dog, [x]", "e\u00e9l"], overlap=3) as store:
        uids = [record.uid for record in store.classes()]
        yield Case(task, store, values_of(task, uids), uids)


def test_labels_round_trip_and_equal_values_have_equal_labels(case: Case):
    for value, label in zip(case.values, case.labels, strict=True):
        assert case.task.labels.decode(label) == value
        assert case.task.labels.encode(value) == label
    assert len(set(case.labels)) == len(case.values)


def test_label_of_a_newer_version_is_refused(case: Case):
    (label, *_) = case.labels
    newer = Label(payload=label.payload, version=99, classes=label.classes)
    with pytest.raises(WorkspaceError):
        case.task.labels.decode(newer)


def test_target_round_trips_to_its_label(case: Case):
    index_of = {uid: index for index, uid in enumerate(case.uids)}
    for label in case.labels:
        target = case.task.labels.target(label, index_of)
        assert target is not None
        assert case.task.labels.of_target(target, case.uids) == label


def test_label_of_an_unlisted_class_has_no_target(case: Case):
    known = {uid: index for index, uid in enumerate(case.uids[:1])}
    named = [label for label in case.labels if set(label.classes) - set(known)]
    assert named
    assert [case.task.labels.target(label, known) for label in named] == [None] * len(named)


def test_session_stores_labels_without_reading_their_payload(case: Case, tmp_path: Path):
    session = OpenRound(
        case.store,
        Workspace(tmp_path),
        annotator="ann",
        session_id="s",
        clock=lambda: 0.0,
        checker=None,
        is_learner_on=True,
        text=case.task.text,
    )
    answers = Answers(session, OperationIds())
    session.load()
    for number, label in enumerate(case.labels):
        assert session.task is not None
        item_id = session.task.item.item_id
        answers.give(Press(op_id=f"press-{number}", kind="label", item_id=item_id, label=label))
    assert [answer.label for answer in session.stats.history] == case.labels
    assert [answer.label for answer in reversed(answers.given())] == case.labels
    assert dict(session.stats.counts.by_class) == dict(case.store.counts().by_class)
    answers.undo()
    assert session.taken_back is not None
    assert session.taken_back.label == case.labels[-1]
    assert list(case.current_labels().values()) == case.labels[:-1]


def test_store_returns_the_labels_it_stored(case: Case):
    for number, label in enumerate(case.labels, start=1):
        case.submit("ann", number, label)
    assert case.current_labels() == dict(enumerate(case.labels, start=1))
    assert [event.label for event in case.store.events()] == case.labels
    assert [answer.label for answer in case.store.answers()] == case.labels
    assert [
        case.task.labels.decode(label) for label in case.current_labels().values()
    ] == case.values
    named = [uid for label in case.labels for uid in label.classes]
    assert case.store.counts().by_class == {uid: named.count(uid) for uid in set(named)}
    assert case.store.counts().labeled == len(case.labels)
    assert case.store.check() == []
    assert case.store.rebuild() == 0


def test_undo_overlap_and_adjudication_compare_labels(case: Case):
    one, two, three = case.labels
    case.submit("ann", 1, one)
    case.submit("bob", 1, two)
    assert case.current_labels() == {1: one}  # the earliest answer wins
    case.submit("eve", 1, two)
    assert case.current_labels() == {1: two}  # the majority wins
    undone = case.store.undo("eve", "eve")
    assert undone is not None
    assert undone.label == two
    assert case.current_labels() == {1: one}
    case.store.redo("eve", "eve")
    case.submit("zoe", 1, three, "adjudicate")
    assert case.current_labels() == {1: three}
    assert case.store.labels(watermark=1)[0].label == one


def test_fold_works_without_a_store(case: Case):
    one, two, _ = case.labels
    facts = [
        Fact(number, "label", ItemId(1), annotator, label, None, True, 0, number)
        for number, (annotator, label) in enumerate(
            [("ann", one), ("bob", two), ("eve", two)], start=1
        )
    ]
    verdict = fold(facts, need=3).verdict
    assert verdict is not None
    assert (verdict.label, verdict.event_id) == (two, 2)


def test_class_named_by_a_label_cannot_be_retired(case: Case):
    case.submit("ann", 1, case.labels[0])
    with pytest.raises(UsageError, match="1 answers name it"):
        case.store.retire_class(case.labels[0].classes[-1])
    free = next(uid for uid in case.uids if uid not in case.labels[0].classes)
    case.store.retire_class(free)
    named = next(label for label in case.labels if free in label.classes)
    with pytest.raises(UsageError, match="no class with the uid"):
        case.submit("ann", 2, named)


def test_synthetic_image_inherits_any_label(case: Case):
    new = NewSynthetic(
        sample_id=SampleId("synthetic/000/a.png"), sha256=b"s" * 32, size_bytes=9, width=4,
        height=4, parent=ItemId(1), round=0, inherited=case.labels[0],
    )  # fmt: skip
    (synthetic_id,) = case.store.add_synthetic([new])
    assert case.store.item(synthetic_id).inherited == case.labels[0]
    assert case.store.promote_synthetic([synthetic_id], 0) == 1
    assert case.current_labels() == {synthetic_id: case.labels[0]}


def job_of(case: Case) -> ExportJob:
    return ExportJob(
        answers=case.store.answers(), labels=case.store.effective_answers(),
        classes=case.store.classes(),
        names=case.store.class_names(), text=case.task.text, images=Arrays(),
    )  # fmt: skip


class Arrays:
    """Images without files."""

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> None:
        return None

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        return sample_id.encode(), ""


def write(name: str, job: ExportJob, folder: Path) -> Path:
    format_ = load_format(name)
    target = folder / f"labels-{name}"
    if isinstance(format_, FileFormat):
        with target.open("wb") as stream:
            format_.write(stream, job)
    else:
        with assembling(target) as temporary:
            format_.fill(temporary, job)
    return target


@pytest.mark.parametrize("name", FORMATS)
def test_labels_survive_export_and_import_or_the_format_refuses(
    case: Case, name: str, tmp_path: Path
):
    for number, label in enumerate(case.labels, start=1):
        case.submit("ann", number, label)
    if case.task.name != "classification" and name not in ANY_LABEL_FORMATS:
        with pytest.raises(UsageError, match=rf"the format {name} holds one class per image"):
            write(name, job_of(case), tmp_path)
        return
    path = write(name, job_of(case), tmp_path)
    with new_store(tmp_path / "two.db", []) as other:
        found = resolve(
            other, load_format(name).read(path), text=case.task.text, annotator="x",
            may_add_classes=True,
        )  # fmt: skip
        other.import_labels(found.labels, new_classes=found.new_classes)

        def texts(store: Store) -> dict[str, str]:
            names = store.class_names()
            return {r.sample_id: case.task.text.to_text(r.label, names) for r in store.labels()}

        assert texts(other) == texts(case.store)


@pytest.mark.parametrize("name", ANY_LABEL_FORMATS)
def test_untouched_export_changes_nothing_after_classes_changed_their_names(
    case: Case, name: str, tmp_path: Path
):
    for number, label in enumerate(case.labels, start=1):
        case.submit("ann", number, label)
        case.submit("bob", number, case.labels[0])
    case.submit("boss", 2, case.labels[2], kind="adjudicate")
    path = write(name, job_of(case), tmp_path)
    first, second, _ = (record.name for record in case.store.classes())
    for uid, new in zip((*case.uids[:2], case.uids[0]), ("other", first, second), strict=True):
        case.store.rename_class(uid, new)
    before = case.store.watermark(), case.current_labels()
    found = resolve(
        case.store, load_format(name).read(path), text=case.task.text, annotator="x",
        may_add_classes=False,
    )  # fmt: skip
    case.store.import_labels(found.labels, new_classes=found.new_classes)
    assert (case.store.watermark(), case.current_labels()) == before


@pytest.mark.parametrize("name", ANY_LABEL_FORMATS)
def test_edited_label_of_an_export_counts(case: Case, name: str, tmp_path: Path):
    one, two, _ = case.labels
    case.submit("ann", 1, one)
    case.submit("ann", 2, two)
    names = case.store.class_names()
    old, new = (case.task.text.to_text(label, names) for label in (one, two))
    path = write(name, job_of(case), tmp_path)
    if name == "jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert lines[0]["label"] == old
        lines[0]["label"] = new
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    else:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        rows[0]["label"] = cell(new)
        with path.open("w") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    found = resolve(
        case.store, load_format(name).read(path), text=case.task.text, annotator="x",
        may_add_classes=False,
    )  # fmt: skip
    case.store.import_labels(found.labels, new_classes=found.new_classes)
    assert case.current_labels() == {1: two, 2: two}


@pytest.mark.parametrize("name", ["coco", "labelstudio"])
def test_label_of_several_classes_is_refused_before_the_first_byte(
    case: Case, name: str, monkeypatch: pytest.MonkeyPatch
):
    assert not written_before_refusal(case, name, monkeypatch)


def test_control_without_distinct_labels_a_part_is_written(
    case: Case, monkeypatch: pytest.MonkeyPatch
):
    assert written_before_refusal(case, "coco", monkeypatch, distinct=())


def written_before_refusal(
    case: Case, name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> bytes:
    """Export two labels, the second of which states several classes."""
    for number, label in enumerate(case.labels[:2], start=1):
        case.submit("ann", number, label)
    one = case.labels[0]

    def single_class(_text: Any, label: Label) -> ClassUid | None:
        return case.uids[0] if label == one else None

    monkeypatch.setattr(type(case.task.text), "single_class", single_class)
    distinct = case.store.distinct_labels(include_synthetic=False)
    job, stream = replace(job_of(case), **{"distinct": distinct, **changes}), BytesIO()
    format_ = load_format(name)
    assert isinstance(format_, FileFormat)
    with pytest.raises(UsageError, match=r"one class per image, and the label of 2\.png states"):
        format_.write(stream, job)
    return stream.getvalue()


def test_distinct_labels_are_those_of_images(case: Case):
    new = NewSynthetic(
        sample_id=SampleId("synthetic/000/a.png"), sha256=b"s" * 32, size_bytes=9, width=4,
        height=4, parent=ItemId(1), round=0, inherited=None,
    )  # fmt: skip
    (synthetic,) = case.store.add_synthetic([new])
    one, two, three = case.labels[:3]
    for number, label in ((1, one), (2, one), (3, two), (3, one), (synthetic, three)):
        case.submit("ann", number, label)
    found = list(case.store.distinct_labels(include_synthetic=False))
    assert found == [(one, found[0][1])]
    assert found[0][1] in {"1.png", "2.png", "3.png"}
    both = dict(case.store.distinct_labels(include_synthetic=True))
    assert both == {one: both[one], three: "synthetic/000/a.png"}


def test_label_verbs_use_the_task_of_the_workspace(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(TASKS, MaskTask.name, "mask_task:MaskTask")
    for folder in ("one", "two"):
        root = tmp_path / folder
        root.mkdir()
        text = f'version = 1\ntask = "{case.task.name}"\n[pool]\nsource = "pool"\n'
        (root / "dgaal.toml").write_text(text)
    case.submit("ann", 1, case.labels[0])
    case.submit("bob", 1, case.labels[1])
    names = case.store.class_names()
    (tmp_path / "one.db").rename(tmp_path / "one" / "labels.db")  # it is not used again
    new_store(tmp_path / "two" / "labels.db", []).close()
    one, two = (open_workspace(tmp_path / folder) for folder in ("one", "two"))

    config = build_configuration({"pool": {"source": "pool"}})
    export_labels(one, config, format="jsonl", target=tmp_path / "labels.jsonl")
    import_labels(two, tmp_path / "labels.jsonl", add_classes=True)

    texts = [case.task.text.to_text(label, names) for label in case.labels[:2]]
    for workspace in (one, two):
        (dispute,) = disputes(workspace)
        assert [text for _, text in dispute.answers] == texts
        assert [line.text for line in reversed(label_log(workspace))] == texts


@pytest.mark.parametrize("name", ANY_LABEL_FORMATS)
def test_control_invalid_mask_text_is_refused_with_its_position(name: str, tmp_path: Path):
    """A store that accepts any text as a label would pass the tests above."""
    path = tmp_path / f"in.{name}"
    line = {"csv": "file_name,label\n1.png,cat\n", "jsonl": '{"file_name":"1.png","label":"cat"}\n'}
    path.write_text(line[name])
    with (
        new_store(tmp_path / "two.db", ["cat"]) as store,
        pytest.raises(InputDataError, match=r"line \d, column label: cat is no mask"),
    ):
        resolve(
            store, load_format(name).read(path), text=MaskTask().text, annotator="x",
            may_add_classes=True,
        )  # fmt: skip


def test_payload_with_other_classes_is_refused(case: Case):
    case.submit("ann", 1, case.labels[0])
    other = next(uid for uid in case.uids if uid not in case.labels[0].classes)
    wrong_label = Label(
        payload=case.labels[0].payload, version=case.labels[0].version, classes=(other,)
    )
    with pytest.raises(UsageError, match="other classes"):
        case.submit("bob", 1, wrong_label)
    assert case.current_labels() == {1: case.labels[0]}
