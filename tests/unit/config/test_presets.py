"""Presets that inherit values from a base."""

import pytest

from dgaal_cli.config.presets import merge_overrides, preset_names, read_preset
from dgaal_cli.errors import ConfigError


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "whole": "a = 1\nb = [1, 2]\n[t]\nx = 1\ny = 2\n[t.u]\nz = 3\n"
        '[config]\npreset = "p"\nk = 1\n',
        "small": 'base = "whole"\nb = [3]\n[t]\ny = 5\n[config]\npreset = "q"\n',
        "smaller": 'base = "small"\na = 0\n[config]\nk = 7\n',
        "me": 'base = "me"\n',
        "one": 'base = "two"\n',
        "two": 'base = "three"\n',
        "three": 'base = "one"\n',
        "lost": 'base = "smal"\n',
        "number": "base = 3\n",
        "list": 'base = ["small"]\n',
    }.items():
        (tmp_path / f"{name}.toml").write_text(text)
    (tmp_path / "notes.txt").write_text("no preset")
    return tmp_path


def test_preset_inherits_unset_values_from_its_base(folder):
    assert read_preset("small", folder) == {
        "a": 1,
        "b": [3],
        "t": {"x": 1, "y": 5, "u": {"z": 3}},
        "config": {"preset": "q"},  # ``k`` belongs to the base's own preset and is not inherited
    }
    assert read_preset("smaller", folder)["config"] == {"preset": "q", "k": 7}
    assert read_preset("smaller", folder)["a"] == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("me", "^preset with a circular base: me -> me$"),
        ("one", "^preset with a circular base: one -> two -> three -> one$"),
        ("lost", "^unknown base of preset 'lost': 'smal'; did you mean 'small'\\?$"),
        ("number", "^unknown base of preset 'number': 3; choose one of list, lost, me"),
        ("list", r"^unknown base of preset 'list': \['small'\]; "),
        ("", "^unknown preset ''; choose one of"),
        ("../whole", "^unknown preset '../whole'; "),
        ("notes", "^unknown preset 'notes'; "),
    ],
)
def test_unknown_or_circular_base_raises_config_error(folder, name, message):
    with pytest.raises(ConfigError, match=message) as wrong:
        read_preset(name, folder)
    assert wrong.value.exit_code == 2
    assert "\n" not in str(wrong.value)


def test_merge_overrides_changes_neither_argument():
    below, above = {"t": {"x": 1}}, {"t": {"y": 2}}
    assert merge_overrides(below, above) == {"t": {"x": 1, "y": 2}}
    assert (below, above) == ({"t": {"x": 1}}, {"t": {"y": 2}})


def test_only_toml_files_are_presets(folder):
    assert "notes" not in preset_names(folder)
    assert preset_names(folder) == sorted(preset_names(folder))
