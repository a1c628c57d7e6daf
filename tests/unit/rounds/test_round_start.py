"""Messages about missing labels at the start of a round."""

import pytest
from small_rounds import set_labels, small_data


def gap_messages(data):
    return data.task.gaps(data)


def test_message_without_labels_names_the_cold_start_rule():
    [message] = gap_messages(small_data(40, labeled=0))
    assert "no labels yet: a sampler that separates labeled from unlabeled images" in message
    assert "the next query shows images typical of clusters, or random ones" in message


def test_message_with_one_labeled_class_asks_for_two_classes():
    data = small_data(40, labeled=0)
    set_labels(data, slice(6), 1)
    [message] = gap_messages(data)
    assert message.startswith("labels of 1 class so far: the task model needs two classes")


@pytest.mark.parametrize(("classes", "expected"), [(2, []), (3, ["c2"]), (12, ["c2"])])
def test_message_names_classes_without_labels(classes, expected):
    data = small_data(40, labeled=10)
    data.class_names = ["dark", "bright", *(f"c{k}" for k in range(2, classes))]
    messages = gap_messages(data)
    assert len(messages) == len(expected)
    if expected:
        assert f"no training labels yet for {classes - 2} of the classes: c2" in messages[0]
        assert ("..." in messages[0]) == (classes - 2 > 8)
