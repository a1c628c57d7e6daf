"""Labels of classification: one class each, and nothing else is read as one."""

import pytest

from dgaal_cli.errors import ConfigError, WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label
from dgaal_cli.tasks.classification.label import ClassNames, class_label, class_of
from dgaal_cli.tasks.registry import TASKS, load_task

CAT, DOG = ClassUid("00000000000000ca"), ClassUid("00000000000000d0")


def test_a_label_names_its_class():
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
def test_what_is_not_one_class_is_refused(label: Label):
    with pytest.raises(WorkspaceError, match="one class per image"):
        class_of(label)


@pytest.mark.parametrize("classes", [(DOG, CAT), (CAT, CAT)])
def test_classes_of_a_label_are_sorted_and_distinct(classes: tuple[ClassUid, ...]):
    with pytest.raises(ValueError, match="sorted and distinct"):
        Label(payload=b"", version=1, classes=classes)


def test_a_label_is_written_as_the_name_of_its_class():
    names = {CAT: "cat", DOG: "dog"}
    uids = {name: uid for uid, name in names.items()}
    text = ClassNames()
    assert text.to_text(class_label(DOG), names) == "dog"
    assert text.from_text(["dog"], lambda found: uids[found[0]]) == class_label(DOG)
    assert text.single_class(class_label(DOG)) == DOG


@pytest.mark.parametrize("name", TASKS)
def test_a_task_carries_the_name_it_is_listed_under(name: str):
    assert load_task(name).name == name


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'classification'"):
        load_task("clasification")
