"""Label Studio exports of real projects: several annotators, uploads, other keys and controls."""

import json
from pathlib import Path
from typing import Any

import pytest
from asked_stores import new_item
from class_labels import name_of

from dgaal_cli.errors import InputDataError
from dgaal_cli.store.exchange.label_studio import LabelStudio
from dgaal_cli.store.exchange.resolve import Resolved, resolve
from dgaal_cli.store.open import store_location
from dgaal_cli.store.protocol import Store
from dgaal_cli.tasks.classification.label import ClassNames


@pytest.fixture
def store(tmp_path: Path):
    with store_location(tmp_path / "labels.db").create() as opened:
        opened.add_items(new_item(name) for name in ("im0.png", "im1.png", "deadbeef-im1.png"))
        yield opened


def choice(name: str, control: str = "choice") -> dict[str, Any]:
    return {"type": "choices", "from_name": control, "value": {"choices": [name]}}


def annotation(who: Any, *results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    times = {"created_at": "2024-05-02T08:11:12.3Z", "updated_at": "2024-05-02T08:12:00.1Z"}
    given = {"completed_by": who, "was_cancelled": False, "lead_time": 3.2, **times, **changes}
    return {"result": list(results), **given}


def task(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = {"image": "/data/local-files/?d=photos/im0.png"}
    return {"data": data, "annotations": list(annotations), "meta": {}, **changes}


def take(store: Store, folder: Path, *tasks: dict[str, Any], **options: str) -> Resolved:
    path = folder / "in.json"
    path.write_text(json.dumps(tasks))
    found = resolve(
        store,
        LabelStudio(**options).read(path),
        text=ClassNames(),
        annotator="importer",
        may_add_classes=True,
    )
    store.import_labels(found.labels, new_classes=found.new_classes)
    return found


def answers_of(store: Store) -> dict[tuple[str, str], str | None]:
    return {(a.sample_id, a.annotator): name_of(store, a) for a in store.answers()}


def test_each_annotator_has_an_answer_with_its_time(store, tmp_path):
    take(
        store,
        tmp_path,
        task(
            annotation(1, choice("cat")),
            annotation({"id": 2, "email": "eve@example.org"}, choice("dog"), lead_time=None),
        ),
    )
    assert answers_of(store) == {
        ("im0.png", "labelstudio-1"): "cat",
        ("im0.png", "eve@example.org"): "dog",
    }
    first, second = sorted(store.answers(), key=lambda a: a.annotator, reverse=True)
    assert (first.at, first.elapsed_ms) == ("2024-05-02T08:12:00.100000Z", 3200)
    assert second.elapsed_ms is None
    assert len(store.disputed_ids()) == 1


def test_newest_answer_of_an_annotator_counts_and_the_rest_is_counted(store, tmp_path):
    found = take(
        store,
        tmp_path,
        task(
            annotation(1, choice("dog"), updated_at="2024-06-01T00:00:00Z"),
            annotation(1, choice("cat")),
            annotation(2, choice("eel"), was_cancelled=True),
            annotation(3),
            predictions=[{}, {}],
        ),
    )
    assert answers_of(store) == {("im0.png", "labelstudio-1"): "dog"}
    assert found.passed_over == {
        "predictions": 2,
        "older answers of the same annotator": 1,
        "canceled answers": 1,
        "answers without a choice": 1,
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("/data/upload/1/a1b2c3d0-im0.png", "im0.png"),
        ("/data/upload/1/deadbeef-im1.png", "deadbeef-im1.png"),
        ("/data/local-files/?d=photos%5Cim0.png", "im0.png"),
        ("C:\\photos\\im0.png", "im0.png"),
    ],
)
def test_names_of_uploads_and_of_windows_are_understood(image, expected, store, tmp_path):
    take(store, tmp_path, task(annotation(1, choice("cat")), data={"image": image}))
    assert list(answers_of(store)) == [(expected, "labelstudio-1")]


def test_same_file_name_in_two_folders_is_refused(store, tmp_path):
    data = [{"image": f"/data/local-files/?d=batch{n}/im0.png"} for n in (1, 2)]
    tasks = [task(annotation(1, choice("cat")), data=each) for each in data]
    with pytest.raises(InputDataError, match=r"may both be im0\.png"):
        take(store, tmp_path, *tasks)
    assert answers_of(store) == {}


def test_key_of_the_image_is_the_only_text_or_given(store, tmp_path):
    one = annotation(1, choice("cat"))
    take(store, tmp_path, task(one, data={"img": "im0.png", "size": 3}))
    assert answers_of(store) == {("im0.png", "labelstudio-1"): "cat"}
    two = task(one, data={"img": "im1.png", "thumb": "im0.png"})
    with pytest.raises(InputDataError, match=r"texts are img, thumb.*--image-key"):
        take(store, tmp_path, two)
    take(store, tmp_path, two, image_key="img")
    assert ("im1.png", "labelstudio-1") in answers_of(store)


def test_of_two_controls_one_must_be_given(store, tmp_path):
    both = task(annotation(1, choice("cat"), choice("blurry", "quality")))
    with pytest.raises(InputDataError, match=r"controls, choice, quality.*--control"):
        take(store, tmp_path, both)
    take(store, tmp_path, both, control="choice")
    assert answers_of(store) == {("im0.png", "labelstudio-1"): "cat"}
