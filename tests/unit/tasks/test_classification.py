"""Classification labels: each has exactly one class, and other labels are refused."""

import pytest

from dgaal_cli.errors import ConfigError, WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label
from dgaal_cli.tasks.classification.label import ClassNames, class_label, class_of
from dgaal_cli.tasks.registry import TASKS, load_task

CAT, DOG = ClassUid("00000000000000ca"), ClassUid("00000000000000d0")


def test_class_label_round_trips_to_its_class():
    label = class_label(CAT)
    assert label == Label(payload=b"00000000000000ca", version=1, classes=(CAT,))
    assert class_of(label) == CAT
    assert class_label(DOG) != label


@pytest.mark.parametrize(
    "label",
    [
        Label(payload=CAT.encode(), version=2, classes=(CAT,)),
        Label(payload=b"other", version=1, classes=(CAT,)),
        Label(payload=b"", version=1, classes=()),
        Label(payload=CAT.encode(), version=1, classes=(CAT, DOG)),
    ],
)
def test_class_of_refuses_label_without_exactly_one_class(label: Label):
    with pytest.raises(WorkspaceError, match="one class per image"):
        class_of(label)


@pytest.mark.parametrize("classes", [(DOG, CAT), (CAT, CAT)])
def test_label_requires_sorted_distinct_classes(classes: tuple[ClassUid, ...]):
    with pytest.raises(ValueError, match="sorted and distinct"):
        Label(payload=b"", version=1, classes=classes)


def test_label_text_is_the_name_of_its_class():
    names = {CAT: "cat", DOG: "dog"}
    uids = {name: uid for uid, name in names.items()}
    codec = ClassNames()
    assert codec.to_text(class_label(DOG), names) == "dog"
    assert codec.from_text(["dog"], lambda texts: uids[texts[0]]) == class_label(DOG)
    assert codec.single_class(class_label(DOG)) == DOG


@pytest.mark.parametrize("name", TASKS)
def test_task_name_equals_its_registry_key(name: str):
    assert load_task(name).name == name


def test_unknown_task_error_suggests_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'classification'"):
        load_task("clasification")
