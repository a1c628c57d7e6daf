"""Training and queries of a workspace whose encoder is pretrained."""

import json
import shutil

import numpy as np
import pytest
from class_labels import as_label
from feature_workspaces import NAMES, feature_workspace
from onnx_models import WIDTH

from dgaal_cli.api.query import query
from dgaal_cli.api.train import train
from dgaal_cli.data import pool
from dgaal_cli.errors import ConfigError, InputDataError
from dgaal_cli.events import Warned, ignore
from dgaal_cli.features.cache import cache_folder
from dgaal_cli.features.herding import max_herding
from dgaal_cli.features.standardized import StandardizedRows, UnitRows
from dgaal_cli.methods.configuration import configuration
from dgaal_cli.rounds import on_disk, test_source
from dgaal_cli.rounds.audit_entries import is_audit
from dgaal_cli.rounds.audit_estimate import pool_estimate
from dgaal_cli.rounds.audit_record import read_records
from dgaal_cli.rounds.in_memory import InMemoryRounds
from dgaal_cli.rounds.pool_rows import pool_rows
from dgaal_cli.store.open import open_store
from dgaal_cli.store.records import ImportedLabel


@pytest.fixture
def workspace(tmp_path):
    return feature_workspace(tmp_path / "w")


def trained(workspace, *, is_fresh=False):
    """Train the next round; return the warnings."""
    warnings = []

    def listen(event):
        if isinstance(event, Warned):
            warnings.append(event.message)

    train(workspace, configuration(workspace), is_fresh=is_fresh, emit=listen)
    return warnings


def test_a_round_trains_a_head_and_asks_without_decoding_pixels(workspace, monkeypatch):
    def refuse(*_arguments, **_options):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(on_disk, "sound_pixels", refuse)
    monkeypatch.setattr(test_source, "readable_pixels", refuse)
    trained(workspace)
    result = query(workspace, configuration(workspace))
    assert len(result.entries) == 4
    assert {item.sample_id for item in result.items}.isdisjoint(NAMES[:8])
    right = [
        entry.predicted == uid_of(workspace, item.sample_id)
        for entry, item in zip(result.entries, result.items, strict=True)
    ]
    assert all(right)
    record = json.loads((workspace.round_path(0) / "run.json").read_text())
    assert record["steps"] == {"classifier": 1}
    assert not (workspace.round_path(0) / "plots" / "learning_curve.png").exists()


def test_a_query_compares_the_rows_that_a_method_in_a_simulation_compares(workspace):
    config = configuration(workspace, "method=maxherding")
    asked = [item.sample_id for item in query(workspace, config, count=6).items]
    with open_store(workspace) as store:
        items = list(store.items())
    positions, rows = pool_rows(workspace, config, items, emit=ignore)
    assert positions.tolist() == list(range(len(NAMES)))
    unit, ids = UnitRows(StandardizedRows.of_pool(rows)), np.arange(len(NAMES))
    picks = max_herding(unit, ids, ids[:8], 6).positions
    assert asked == [items[position].sample_id for position in picks]
    others = max_herding(rows, ids, ids[:8], 6).positions
    assert asked != [items[position].sample_id for position in others]


def ranked_in_memory(config, rows, labels):
    """Return the rows that the method of a simulation picks from the same features."""
    pool = StandardizedRows.of_pool(rows[:])
    pixels = np.zeros((len(rows), 32, 32, 3), np.uint8)
    rounds = InMemoryRounds(
        config,
        pixels,
        ["bright", "dark"],
        oracle=None,
        labels=labels,
        features=(pool, None),
        is_test_hidden=True,
    )
    rounds.train()
    return rounds.choose(6).ranking


@pytest.mark.parametrize(
    "settings",
    [["method=dgaal"], ["method=dgaal", "discriminator.form=kernel"], ["method=vaal"]],
    ids=["coverage", "kernel", "vaal"],
)
def test_a_query_without_networks_asks_what_the_method_of_a_simulation_picks(workspace, settings):
    config = configuration(workspace, *settings)
    with open_store(workspace) as store:
        items = list(store.items())
    rows = pool_rows(workspace, config, items, emit=ignore)[1]
    labels = np.where(np.arange(len(NAMES)) < 8, np.arange(len(NAMES)) % 2, -1)
    expected = ranked_in_memory(config, rows, labels)
    asked = query(workspace, config, count=6)
    assert [item.sample_id for item in asked.items] == [NAMES[row] for row in expected.picks]
    assert {entry.reason for entry in asked.entries} == set(expected.reasons.values())
    assert asked.strategy == config.method == expected.strategy


def uid_of(workspace, name):
    with open_store(workspace) as store:
        return store.classes()[NAMES.index(name) % 2].uid


def test_the_cache_has_rows_of_the_encoder_after_a_round(workspace):
    trained(workspace)
    folder = cache_folder(workspace, configuration(workspace).features)
    files = list(folder.rglob("*.features"))
    assert files
    assert max(path.stat().st_size for path in files) > len(NAMES) * WIDTH * 2


def test_an_unchanged_pool_is_not_read_again(workspace, monkeypatch):
    trained(workspace)

    def refuse(*_arguments, **_options):
        raise AssertionError("the pool was read")

    monkeypatch.setattr(pool, "find_differences", refuse)
    query(workspace, configuration(workspace))


def test_a_changed_image_is_left_out_although_the_cache_has_its_features(workspace):
    trained(workspace)
    changed = workspace.root / "pool" / NAMES[2]
    shutil.copy(workspace.root / "pool" / NAMES[9], changed)
    warnings = trained(workspace, is_fresh=True)
    assert any("changed since" in text and NAMES[2] in text for text in warnings)
    with open_store(workspace) as store:
        state = {item.sample_id: item.state for item in store.items()}
    assert state[NAMES[2]] == "changed"


def test_a_test_image_that_cannot_be_encoded_is_named_counted_and_left_out(workspace):
    for name, source in (("bright", NAMES[20]), ("dark", NAMES[21])):
        (workspace.root / "test" / name).mkdir(parents=True)
        shutil.copy(workspace.root / "pool" / source, workspace.root / "test" / name / "a.png")
    broken = workspace.root / "test" / "dark" / "broken.png"
    broken.write_bytes(b"no image")
    (broken.parent / "gone.png").symlink_to("nothing.png")
    config = configuration(workspace, "pool.test=test")
    warnings = []
    result = train(
        workspace, config, emit=lambda e: warnings.append(e) if isinstance(e, Warned) else None
    )
    told = next(each.message for each in warnings if "test image" in each.message)
    assert told.startswith("left out 2 test images that cannot be read: ")
    assert "dark/broken.png" in told
    assert "dark/gone.png" in told
    assert (result.measured_count, result.measured_on) == (2, "test images")


def test_a_test_source_without_one_image_that_can_be_encoded_is_refused(workspace):
    (workspace.root / "test" / "dark").mkdir(parents=True)
    (workspace.root / "test" / "dark" / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputDataError, match=r"no image of the test source test can be read"):
        train(workspace, configuration(workspace, "pool.test=test"))


def test_methods_that_draw_are_refused_by_name(workspace):
    with pytest.raises(ConfigError, match=r"'gaal' learns from pixels.*use --encoder pixels"):
        configuration(workspace, "method=gaal")


def test_each_trained_model_is_measured_on_the_audited_images(workspace):
    config = configuration(workspace)
    train(workspace, config)
    asked = query(workspace, config, count=2, audit=6)
    audited = {e.item_id for e in asked.entries if is_audit(e.reason)}
    assert set(read_records(workspace)[-1].predicted) == audited
    assert len(audited) == asked.audited == 6
    with open_store(workspace) as store:
        uids = [record.uid for record in store.classes()]
        store.import_labels(
            [
                ImportedLabel(
                    sample_id=item.sample_id,
                    label=as_label(uids[NAMES.index(item.sample_id) % 2]),
                    annotator="a",
                )
                for item in asked.items
            ]
        )
    train(workspace, config)
    (workspace.round_path(0) / "audit.json").unlink()
    assert set(read_records(workspace)[-1].predicted) == audited
    with open_store(workspace) as store:
        found = pool_estimate(workspace, config, store)
    assert (found.audited, found.asked) == (6, 6)
