"""Changing a key in a file that a person wrote: comments stay, or the file stays."""

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


def test_values_change_and_everything_else_stays(path):
    config = set_values(path, {"query.size": 50, "method": "margin"}, check=check_method)
    assert (config.query.size, config.method) == (50, "margin")
    expected = TEXT.replace("size = 24   #", "size = 50   #").replace('"dgaal"', '"margin"')
    assert path.read_text() == expected
    assert [p.name for p in path.parent.iterdir()] == ["dgaal.toml"]


def test_missing_keys_and_sections_are_added_where_they_belong(path):
    path.write_text('[pool]\nsource = "x"\n\n[label]\ngate_ms = 90\n')
    set_values(path, {"query.size": 7, "method": "random", "label.hints": True}, check=check_method)
    assert path.read_text() == (
        'method = "random"\n[pool]\nsource = "x"\n\n[label]\ngate_ms = 90\nhints = true\n\n'
        "[query]\nsize = 7\n"
    )


@pytest.mark.parametrize("size", [0, -3])
def test_a_value_out_of_range_leaves_the_file(path, size):
    with pytest.raises(ConfigError):
        set_values(path, {"query.size": size}, check=check_method)
    assert path.read_text() == TEXT
    assert [p.name for p in path.parent.iterdir()] == ["dgaal.toml"]


def test_settings_that_the_method_cannot_take_leave_the_file(path):
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
def test_a_file_written_another_way_is_left_to_its_author(path, text):
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        set_values(path, {"query.size": 9}, check=check_method)
    assert path.read_text() == text
