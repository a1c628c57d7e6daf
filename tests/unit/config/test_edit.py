"""Changing values in a hand-written dgaal.toml keeps comments, or leaves the file unchanged."""

import pytest

from dgaal_cli.config.edit import set_values
from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import check_method

TEXT = """# mine
method = "dgaal"  # keep
[pool]
source = "a # b"

[query]
# how many
size = 24   # a round
budget = 100

[label]
hints = true
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "dgaal.toml"
    path.write_text(TEXT)
    return path


def test_set_values_changes_only_the_given_values(path):
    config = set_values(path, {"query.size": 50, "method": "margin"}, check=check_method)
    assert (config.query.size, config.method) == (50, "margin")
    expected = TEXT.replace("size = 24   #", "size = 50   #").replace('"dgaal"', '"margin"')
    assert path.read_text() == expected
    assert [p.name for p in path.parent.iterdir()] == ["dgaal.toml"]


def test_set_values_adds_missing_keys_and_sections(path):
    path.write_text('[pool]\nsource = "x"\n\n[label]\ngate_ms = 90\n')
    set_values(path, {"query.size": 7, "method": "random", "label.hints": True}, check=check_method)
    assert path.read_text() == (
        'method = "random"\n[pool]\nsource = "x"\n\n[label]\ngate_ms = 90\nhints = true\n\n'
        "[query]\nsize = 7\n"
    )


@pytest.mark.parametrize("size", [0, -3])
def test_value_out_of_range_leaves_file_unchanged(path, size):
    with pytest.raises(ConfigError):
        set_values(path, {"query.size": size}, check=check_method)
    assert path.read_text() == TEXT
    assert [p.name for p in path.parent.iterdir()] == ["dgaal.toml"]


def test_settings_the_method_refuses_leave_file_unchanged(path):
    with pytest.raises(ConfigError, match="its own rule"):
        set_values(path, {"method": "badge", "acquisition.beta": 2}, check=check_method)
    assert path.read_text() == TEXT


@pytest.mark.parametrize(
    "text",
    [
        'query.size = 5\n[pool]\nsource = "x"\n',
        'query = { size = 5 }\n[pool]\nsource = "x"\n',
        'name = """\n[query]\nsize = 5\n"""\n[pool]\nsource = "x"\n',
    ],
)
def test_unsupported_toml_notation_leaves_file_unchanged(path, text):
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        set_values(path, {"query.size": 9}, check=check_method)
    assert path.read_text() == text
