"""Simulated label noise: error rate and wrong classes of the oracle."""

import json

import numpy as np
import pytest

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.tasks.classification.noise import parse_noise

NAMES = ["cat", "dog", "car", "bus"]


def answers(spec, truth, *, seed=0, ids=None, names=NAMES):
    return parse_noise(spec).answers(
        truth,
        ids=ids or [f"train/{i:06d}" for i in range(len(truth))],
        class_names=names,
        generator=np.random.default_rng(seed),
    )


@pytest.fixture
def truth():
    return np.arange(4000) % 4


def test_empty_spec_returns_the_true_labels(truth):
    assert (answers("", truth) == truth).all()


def test_uniform_noise_has_its_rate_and_reaches_every_other_class(truth):
    found = answers("uniform:0.25", truth)
    assert (found != truth).mean() == pytest.approx(0.25, abs=0.03)
    wrong = found[(truth == 0) & (found != 0)]
    assert set(wrong.tolist()) == {1, 2, 3}
    assert (answers("uniform:1", truth) != truth).all()


def test_same_seed_gives_same_noise(truth):
    assert (answers("uniform:0.5", truth) == answers("uniform:0.5", truth)).all()
    assert (answers("uniform:0.5", truth) != answers("uniform:0.5", truth, seed=1)).any()


def test_within_noise_stays_in_its_super_class(truth, tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"animals": ["cat", "dog"], "alone": ["car"]}))
    found = answers(f"within:0.5:{path}", truth)
    assert set(found[truth == 0].tolist()) == {0, 1}
    assert set(found[truth == 1].tolist()) == {0, 1}
    assert (found[truth >= 2] == truth[truth >= 2]).all()


@pytest.mark.parametrize(
    "content", ['["cat"]', "{", '{"a": ["cat", "cat"]}', '{"a": ["cow\\u001b"]}']
)
def test_invalid_super_class_map_is_refused(content, truth, tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(content)
    with pytest.raises(InputDataError) as refused:
        answers(f"within:0.5:{path}", truth)
    assert "\x1b" not in str(refused.value)


def test_recorded_labels_are_matched_by_row_and_class_order(tmp_path):
    path = tmp_path / "people.npz"
    # class indices in this file: bus 0, car 1, cat 2, dog 3
    np.savez(path, clean_label=np.array([2, 3, 1, 0]), worse=np.array([3, 3, 0, 0]))
    ids = ["train/000003", "train/000002", "train/000001", "train/000000"]
    found = answers(f"recorded:worse:{path}", np.array([3, 2, 1, 0]), ids=ids)
    assert found.tolist() == [3, 3, 1, 1]


def test_recorded_labels_of_another_data_set_are_refused(tmp_path):
    path = tmp_path / "people.npz"
    np.savez(path, clean_label=np.array([0, 0, 1]), worse=np.array([0, 0, 1]))
    with pytest.raises(InputDataError, match="do not belong together"):
        answers(f"recorded:worse:{path}", np.array([0, 1, 2]))


def test_recorded_labels_require_key_rows_and_array_pool(tmp_path):
    path = tmp_path / "people.npz"
    np.savez(path, worse=np.array([0, 1]))
    truth = np.array([0, 1, 2])
    with pytest.raises(InputDataError, match="no array better"):
        answers(f"recorded:better:{path}", truth)
    with pytest.raises(InputDataError, match="contains 2 labels"):
        answers(f"recorded:worse:{path}", truth)
    with pytest.raises(InputDataError, match="rows of an array"):
        answers(f"recorded:worse:{path}", truth, ids=["a.png", "b.png", "c.png"])
    with pytest.raises(InputDataError, match="cannot read"):
        answers(f"recorded:worse:{tmp_path / 'absent.npz'}", truth)


@pytest.mark.parametrize(
    "spec", ["uniform", "uniform:x", "uniform:2", "within:0.2", "people", "recorded:k"]
)
def test_invalid_spec_is_refused(spec):
    with pytest.raises(UsageError, match="noise"):
        parse_noise(spec)


def test_with_absolute_path_resolves_file_of_recorded_labels(tmp_path):
    recorded, uniform = parse_noise("recorded:k:a.npz"), parse_noise("uniform:0.2")
    assert recorded.with_absolute_path(tmp_path) == f"recorded:k:{tmp_path / 'a.npz'}"
    assert uniform.with_absolute_path(tmp_path) == "uniform:0.2"


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("recorded:people:/somewhere/else/labels.npz", "recorded:people:labels.npz"),
        ("uniform:0.2", "uniform:0.2"),
        ("", ""),
    ],
)
def test_without_folder_keeps_only_the_file_name(spec, shown):
    assert parse_noise(spec).without_folder() == shown
