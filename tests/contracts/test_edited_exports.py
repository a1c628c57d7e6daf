"""In every format, an untouched export changes nothing and a person's edit changes exactly that."""

import csv
import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from asked_stores import FakeClock, new_item
from class_labels import as_label, name_of
from mask_task import PIXELS, MaskLabels, MaskText

from dgaal_cli.atomic import assembling
from dgaal_cli.errors import InputDataError
from dgaal_cli.ids import ClassUid, ItemId, SampleId
from dgaal_cli.store.exchange import marks
from dgaal_cli.store.exchange.base import ExportJob, FileFormat, LabelText
from dgaal_cli.store.exchange.registry import FORMATS, load_format
from dgaal_cli.store.exchange.resolve import Resolved, resolve
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.store.records import Answer, ImportReport, Label, Query, QueryEntry
from dgaal_cli.tasks.classification.label import ClassNames

IMAGES = ("a.png", "deep/b.png", "c.png", "d.png", "e.png", "f.png")
CLASSES = ("cat", "dog", "b%o/ws")
PEOPLE = ("ann", "bob", "cem")
SEEDS = (0, 1, 2)
MANY_SEEDS = range(3, 15)
ANY_LABEL_FORMATS = ("csv", "jsonl")
KINDS = ("label",) * 6 + ("adjudicate", "cannot_tell", "skip", "flag", "undo")


class Pixels:
    """Images without files."""

    def path(self, sample_id: SampleId, *, is_synthetic: bool) -> None:
        return None

    def content(self, sample_id: SampleId, *, is_synthetic: bool) -> tuple[bytes, str]:
        return sample_id.encode(), ""


def class_labels(uids: list[ClassUid]) -> list[Label]:
    return [as_label(uid) for uid in uids]


def mask_labels(uids: list[ClassUid]) -> list[Label]:
    """Return masks of one class, of several, and without any."""
    first, second, third = uids
    halves = [(first,) * 8 + (each,) * 8 for each in (second, third, None)]
    return [MaskLabels().encode(mask) for mask in (*halves, (None,) * PIXELS)]


def random_store(
    path: Path,
    seed: int,
    *,
    make_labels: Callable[[list[ClassUid]], list[Label]] = class_labels,
    kinds: Sequence[str] = KINDS,
) -> Store:
    """Return a store with answers of several people, decisions, corrections and undos."""
    draw = random.Random(seed)
    clock = FakeClock()
    store = store_location(path).create(clock=clock)
    uids = [store.add_class(name).uid for name in CLASSES]
    labels = make_labels(uids)
    store.add_items(new_item(name) for name in IMAGES)
    numbers = range(1, len(IMAGES) + 1)
    entries = tuple(QueryEntry(item_id=ItemId(n), rank=n) for n in numbers)
    store.save_query(Query(round=0, strategy="x", model_sha=None, entries=entries), overlap=3)
    for number in range(24):
        person, kind = draw.choice(PEOPLE), draw.choice(kinds)
        item, value = ItemId(draw.choice(numbers)), draw.choice(labels)
        clock.wait(1)
        if kind == "undo":
            store.undo(person, "s")
            continue
        if kind == "rename":
            store.rename_class(draw.choice(uids), f"new%/{number}")
            continue
        label = value if kind in ("label", "adjudicate") else None
        answer = Answer(op_id=f"op{number}", kind=kind, item_id=item, label=label)
        store.submit(answer, annotator=person, session=person, take_next=False)
    clock.wait(1)
    return store


def export(name: str, store: Store, folder: Path, text: LabelText | None = None) -> Path:
    job = ExportJob(
        answers=store.answers(),
        labels=list(store.effective_answers()),
        withdrawn=store.withdrawn(),
        classes=store.classes(),
        names=store.class_names(),
        text=text or ClassNames(),
        images=Pixels(),
    )
    format_ = load_format(name)
    target = folder / f"labels-{name}"
    if isinstance(format_, FileFormat):
        with target.open("wb") as stream:
            format_.write(stream, job)
    else:
        with assembling(target) as temporary:
            format_.fill(temporary, job)
    return target


def take(name: str, path: Path, store: Store, **options: Any) -> tuple[ImportReport, Resolved]:
    given = {"annotator": "editor", "may_add_classes": False, "text": ClassNames(), **options}
    found = resolve(store, load_format(name).read(path), **given)
    return store.import_labels(found.labels, new_classes=found.new_classes), found


def labels_of(store: Store) -> dict[str, str | None]:
    return {label.sample_id: name_of(store, label) for label in store.labels()}


def state_of(store: Store) -> Any:
    return store.watermark(), labels_of(store), store.answers(), store.disputed_ids()


def edit_csv(path: Path, sample: str, name: str | None) -> None:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    for row in rows:
        if row["file_name"] == sample:
            row["label"] = name or ""
    with path.open("w") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def edit_lines(path: Path, sample: str, name: str | None) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["file_name"] == sample and line.get("effective", True):
            line["label"] = name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def edit_folder(path: Path, sample: str, name: str | None) -> None:
    (file,) = (file for file in path.rglob("*.png") if file.as_posix().endswith(f"/{sample}"))
    if name is None:
        file.unlink()
        return
    target = path / name.replace("%", "%25").replace("/", "%2F") / sample
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def edit_coco(path: Path, sample: str, name: str | None) -> None:
    def change(document: Any) -> None:
        (image,) = (i["id"] for i in document["images"] if i["file_name"] == sample)
        (annotation,) = (a for a in document["annotations"] if a["image_id"] == image)
        numbers = {c["name"]: c["id"] for c in document["categories"]}
        if name is None:
            document["annotations"].remove(annotation)
            return
        if name not in numbers:
            numbers[name] = 99
            document["categories"].append({"id": 99, "name": name})
        annotation["category_id"] = numbers[name]

    edit_json(path, change)


def edit_label_studio(path: Path, sample: str, name: str | None) -> None:
    def change(document: Any) -> None:
        (task,) = (t for t in document if t["data"]["file_name"] == sample)
        result = task["annotations"][0]["result"]
        if name is None:
            result.clear()
        else:
            result[0]["value"]["choices"] = [name]

    edit_json(path, change)


def edit_fiftyone(path: Path, sample: str, name: str | None) -> None:
    def change(document: Any) -> None:
        document["labels"][sample.removesuffix(".png")] = name

    edit_json(path / "labels.json", change)


def edit_doccano(path: Path, sample: str, name: str | None) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["filename"] == sample:
            line["label"] = [] if name is None else [name]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def edit_prodigy(path: Path, sample: str, name: str | None) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["path"] == sample:
            line.update({"answer": "ignore"} if name is None else {"label": name})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


EDITS: dict[str, Callable[[Path, str, str | None], None]] = {
    "csv": edit_csv,
    "jsonl": edit_lines,
    "imagefolder": edit_folder,
    "coco": edit_coco,
    "labelstudio": edit_label_studio,
    "fiftyone": edit_fiftyone,
    "doccano": edit_doccano,
    "prodigy": edit_prodigy,
    "hf": lambda path, *edit: edit_lines(path / "metadata.jsonl", *edit),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FORMATS)
def test_untouched_export_changes_nothing(name, seed, tmp_path):
    with random_store(tmp_path / "one.db", seed) as store:
        path = export(name, store, tmp_path)
        before = state_of(store)
        report, found = take(name, path, store)
        assert state_of(store) == before
        assert (report, found.cleared) == (ImportReport(), 0)
        assert found.untouched > 0


def check_untouched(name: str, seed: int, folder: Path) -> None:
    """Rename classes before and after the export."""
    with random_store(folder / "one.db", seed, kinds=(*KINDS, "rename")) as store:
        path = export(name, store, folder)
        for number, record in enumerate(store.classes()):
            if (seed + number) % 2:
                store.rename_class(record.uid, f"later {number}")
        before = state_of(store)
        report, found = take(name, path, store)
        assert state_of(store) == before
        assert (report, found.cleared) == (ImportReport(), 0)


@pytest.mark.deep
@pytest.mark.parametrize("seed", MANY_SEEDS)
@pytest.mark.parametrize("name", FORMATS)
def test_export_is_the_identity_and_edits_are_exact_in_many_histories(name, seed, tmp_path):
    (tmp_path / "same").mkdir()
    check_untouched(name, seed, tmp_path / "same")
    (tmp_path / "edited").mkdir()
    check_edits(name, seed, tmp_path / "edited", kinds=(*KINDS, "rename"))


@pytest.mark.parametrize("name", FORMATS)
def test_history_with_renamed_classes_is_exported_and_edited(name, tmp_path):
    (tmp_path / "same").mkdir()
    check_untouched(name, 3, tmp_path / "same")
    check_edits(name, 3, tmp_path, kinds=(*KINDS, "rename"))


def mask_texts(store: Store) -> dict[str, str]:
    names = store.class_names()
    return {r.sample_id: MaskText().to_text(r.label, names) for r in store.labels()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ANY_LABEL_FORMATS)
def test_masks_of_several_people_are_exported_and_edited(name, seed, tmp_path):
    kinds, text = (*KINDS, "rename"), MaskText()
    with random_store(tmp_path / "one.db", seed, make_labels=mask_labels, kinds=kinds) as store:
        path = export(name, store, tmp_path, text)
        before = store.answers(), mask_texts(store)
        report, found = take(name, path, store, text=text)
        assert (store.answers(), mask_texts(store)) == before
        assert (report, found.cleared) == (ImportReport(), 0)
        assert found.untouched > 0
        sample = next(iter(before[1]))
        new = json.dumps([[store.classes()[2].name, 3], [None, 13]])
        EDITS[name](path, sample, new)
        report, _ = take(name, path, store, text=text)
        assert report.added + report.replaced > 0
        after = mask_texts(store)
        assert (after.pop(sample) == new) or name == "jsonl"
        assert after == {each: mask for each, mask in before[1].items() if each != sample}
        assert store.check() == []


@pytest.mark.parametrize("name", FORMATS)
def test_untouched_export_changes_nothing_after_classes_changed_their_names(name, tmp_path):
    with random_store(tmp_path / "one.db", 1) as store:
        path = export(name, store, tmp_path)
        for old, new in (("cat", "x"), ("dog", "cat"), ("x", "dog"), ("b%o/ws", "bow")):
            store.rename_class(store.class_by_name(old).uid, new)
        before = state_of(store)
        take(name, path, store)
        assert state_of(store) == before


@pytest.mark.parametrize("name", FORMATS)
def test_older_export_does_not_replace_newer_answers(name, tmp_path):
    with random_store(tmp_path / "one.db", 2) as store:
        path = export(name, store, tmp_path)
        dog = as_label(store.class_by_name("dog").uid)
        for number in range(1, len(IMAGES) + 1):
            answer = Answer(
                op_id=f"new{number}", kind="adjudicate", item_id=ItemId(number), label=dog
            )
            store.submit(answer, annotator="ann", session="s", take_next=False)
        before = state_of(store)
        take(name, path, store)
        assert state_of(store) == before
        assert set(labels_of(store).values()) == {"dog"}


def check_edits(name: str, seed: int, folder: Path, kinds: Sequence[str] = KINDS) -> None:
    """Edit the label of each image once; jsonl lines are one person's answer, see below."""
    with random_store(folder / "one.db", seed, kinds=kinds) as store:
        classes = [record.name for record in store.classes()]
        for sample, old in labels_of(store).items():
            (folder / sample).mkdir(parents=True)
            path = export(name, store, folder / sample)
            before = labels_of(store)
            new = classes[(classes.index(str(old)) + 1) % 3]
            EDITS[name](path, sample, new)
            report, _ = take(name, path, store)
            assert report.added + report.replaced == 1
            if name != "jsonl":
                assert labels_of(store) == {**before, sample: new}
            assert store.check() == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FORMATS)
def test_edited_label_counts_and_no_other_changes(name, seed, tmp_path):
    check_edits(name, seed, tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_control_import_that_ignores_marks_is_caught(name, tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "is_untouched", lambda *_: True)
    with pytest.raises(AssertionError):
        check_edits(name, 0, tmp_path)


def test_edited_line_of_jsonl_changes_the_answer_of_its_annotator_only(tmp_path):
    with random_store(tmp_path / "one.db", 0) as store:
        path = export("jsonl", store, tmp_path)
        before = {(a.annotator, a.sample_id, a.kind): a for a in store.answers()}
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        line = next(line for line in lines if line["kind"] == "label" and line["label"] != "dog")
        line["label"] = "dog"
        path.write_text("".join(json.dumps(each) + "\n" for each in lines))
        take("jsonl", path, store)
        after = {(a.annotator, a.sample_id, a.kind): a for a in store.answers()}
        key = line["annotator"], line["file_name"], "label"
        assert after.keys() == before.keys()
        assert {k for k in after if after[k].label != before[k].label} == {key}
        assert (name_of(store, after[key]), after[key].at) == ("dog", line["at"])


@pytest.mark.parametrize("name", FORMATS)
def test_new_class_typed_into_an_export_is_refused_by_name_or_added(name, tmp_path):
    with random_store(tmp_path / "one.db", 0) as store:
        path = export(name, store, tmp_path)
        (sample, *_) = labels_of(store)
        EDITS[name](path, sample, "okapi")
        before = state_of(store)
        with pytest.raises(InputDataError, match=r"no class is named okapi.*--add-classes"):
            take(name, path, store)
        assert state_of(store) == before
        _, found = take(name, path, store, may_add_classes=True)
        assert [record.name for record in found.new_classes] == ["okapi"]
        if name != "jsonl":
            assert labels_of(store)[sample] == "okapi"


@pytest.mark.parametrize("name", FORMATS)
def test_cleared_label_is_counted_and_stays(name, tmp_path):
    with random_store(tmp_path / "one.db", 0) as store:
        path = export(name, store, tmp_path)
        (sample, *_) = labels_of(store)
        EDITS[name](path, sample, None)
        before = state_of(store)
        _, found = take(name, path, store)
        assert found.cleared == 1
        assert state_of(store) == before


@pytest.mark.parametrize("name", FORMATS)
def test_replacing_restores_the_exported_labels(name, tmp_path):
    with random_store(tmp_path / "one.db", 1) as store:
        path = export(name, store, tmp_path)
        exported = labels_of(store)
        for number in range(1, len(IMAGES) + 1):
            label = as_label(store.class_by_name(CLASSES[number % 3]).uid)
            answer = Answer(
                op_id=f"new{number}", kind="adjudicate", item_id=ItemId(number), label=label
            )
            store.submit(answer, annotator="zoe", session="s", take_next=False)
        assert labels_of(store) != exported
        take(name, path, store, replaces=True)
        assert labels_of(store).items() >= exported.items()


def test_second_label_of_an_image_in_an_edited_export_is_refused(tmp_path):
    with random_store(tmp_path / "one.db", 0) as store:
        path = export("imagefolder", store, tmp_path)
        sample, old = next(iter(labels_of(store).items()))
        new = next(name for name in CLASSES if name != old and name.isalpha())
        (file,) = (each for each in path.rglob("*.png") if each.as_posix().endswith(f"/{sample}"))
        target = path / new / sample
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        with pytest.raises(InputDataError, match="another label"):
            take("imagefolder", path, store)


def test_unmarked_line_whose_label_and_class_uid_differ_is_refused(tmp_path):
    with random_store(tmp_path / "one.db", 0) as store:
        path = tmp_path / "in.jsonl"
        uid = store.class_by_name("cat").uid
        path.write_text(json.dumps({"file_name": "a.png", "label": "dog", "class_uid": uid}))
        with pytest.raises(InputDataError, match="remove class_uid"):
            take("jsonl", path, store)


AWKWARD = (
    "test_tubes/a.png",
    "test_1.png",
    "train.png",
    ".hid/x.png",
    "images/0000001.png",
    "b.png",
)


def test_hugging_face_export_has_no_names_that_are_read_as_splits(tmp_path):
    with store_location(tmp_path / "one.db").create() as store:
        label = as_label(store.add_class("cat").uid)
        store.add_items(new_item(name) for name in AWKWARD)
        for number in range(1, len(AWKWARD) + 1):
            answer = Answer(op_id=f"{number}", kind="label", item_id=ItemId(number), label=label)
            store.submit(answer, annotator="ann", session="s", take_next=False)
        path = export("hf", store, tmp_path)
        lines = [json.loads(line) for line in (path / "metadata.jsonl").read_text().splitlines()]
        files = {line["id"]: line["file_name"] for line in lines}
        assert files.keys() == set(AWKWARD)
        assert files["b.png"] == "b.png"
        assert len(set(files.values())) == len(AWKWARD)
        for name, file in files.items():
            assert (path / file).read_bytes() == name.encode()
            assert not any(word in file for word in ("test", "train", ".hid"))
        _, found = take("hf", path, store)
        assert found.untouched == len(AWKWARD)
