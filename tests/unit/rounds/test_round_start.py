"""What a round says before it learns."""

import pytest
from small_rounds import give, small_data


def said(data):
    return data.task.gaps(data)


def test_without_labels_a_sampler_has_nothing_to_learn_and_the_cold_start_rule_is_named():
    [message] = said(small_data(40, labeled=0))
    assert "no labels yet: a sampler that separates labeled from unlabeled images" in message
    assert "the next query shows images typical of clusters, or random ones" in message


def test_labels_of_one_class_give_the_task_model_nothing_to_learn():
    data = small_data(40, labeled=0)
    give(data, slice(6), 1)
    [message] = said(data)
    assert message.startswith("labels of 1 class so far: the task model needs two classes")


@pytest.mark.parametrize(("classes", "expected"), [(2, []), (3, ["c2"]), (12, ["c2"])])
def test_classes_without_a_label_are_named(classes, expected):
    data = small_data(40, labeled=10)
    data.class_names = ["dark", "bright", *(f"c{k}" for k in range(2, classes))]
    messages = said(data)
    assert len(messages) == len(expected)
    if expected:
        assert f"no labels yet for {classes - 2} of the classes: c2" in messages[0]
        assert ("..." in messages[0]) == (classes - 2 > 8)
