"""Loading the configuration: precedence, and error messages for wrong values."""

import dataclasses
import re
import typing
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgaal_cli.config.load import build_config, load_config, parse_assignment
from dgaal_cli.config.presets import PRESETS, preset_names
from dgaal_cli.config.ranges import convert
from dgaal_cli.config.schema import Config, PoolConfig
from dgaal_cli.errors import ConfigError, StorageError, WorkspaceError

POOL = {"pool": {"source": "x"}}


def write(tmp_path, text):
    path = tmp_path / "dgaal.toml"
    path.write_text(text)
    return path


def load(path, *assignments, **environment):
    return load_config(path, environment=environment, assignments=assignments)


def test_precedence_is_command_line_environment_file_preset(tmp_path):
    path = write(
        tmp_path, 'preset = "tiny"\n[pool]\nsource = "x"\n[query]\nsize = 5\n[network]\nwidth = 9\n'
    )
    config = load(path, "query.size=7", DGAAL_QUERY__SIZE="6", DGAAL_QUERY__BUDGET="50")
    assert config.query.size == 7
    assert config.query.budget == 50
    assert config.network.width == 9  # the file
    assert config.network.latent == 16  # the preset
    assert config.coevolve.folds == 3  # the default
    assert load(path, DGAAL_QUERY__SIZE="6").query.size == 6


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"query": {"sise": 3}}, "unknown key 'query.sise'.*did you mean 'query.size'"),
        ({"sead": 3}, "unknown key 'sead'.*did you mean 'seed'"),
        ({"seed": "3"}, "Expected `int`, got `str` - at `\\$.seed`"),
        ({"seed": True}, "Expected `int`, got `bool`"),
        ({"seed": 1.0}, "Expected `int`, got `float`"),
        ({"seed": -1}, "'seed' is -1; it must be between 0 and 9223372036854775807$"),
        ({"query": 3}, "'query' .* is a table; write \\[query\\]"),
        ({"query": {"size": 0}}, "'query.size' is 0; it must be above 0"),
        (
            {"preset": "huge"},
            "unknown preset 'huge'; choose one of cifar10-fast, cifar10-paper, imagenette",
        ),
        ({"generation": {"share": 1.5}}, "at least 0 and below 1"),
        ({"coevolve": {"folds": 1}}, "must be between 2 and 100"),
        ({"precision": "foo"}, "^precision cannot be 'foo'; choose one of auto, fp32, bf16$"),
        (
            {"classifier": {"init": 3}},
            r"^classifier\.init cannot be 3; choose one of scratch, warm, shrink_perturb$",
        ),
    ],
)
def test_error_names_key_and_wrong_value(tree, message):
    with pytest.raises(ConfigError, match=message) as wrong:
        build_config(POOL | tree)
    assert wrong.value.exit_code == 2


def test_integer_is_accepted_for_a_float():
    assert build_config(POOL | {"classifier": {"lr": 1}}).classifier.lr == 1.0


def test_every_preset_documents_its_source_and_cost():
    folder = resources.files("dgaal_cli.config") / "presets"
    for name in preset_names(PRESETS):
        text = (folder / f"{name}.toml").read_text("utf-8")
        comments = text.partition("\n[")[0]
        assert all(line.startswith("#") for line in comments.splitlines()), name
        assert "ollows" in comments or "as Guo et al." in comments, name
        assert "Costs" in comments, name


def test_old_name_of_a_preset_is_accepted():
    old, new = (build_config(POOL | {"preset": name}) for name in ("paper", "cifar10-paper"))
    assert (old.network, old.classifier, old.vaal) == (new.network, new.classifier, new.vaal)


def test_every_preset_gives_a_valid_configuration():
    assert preset_names(PRESETS) == [
        "cifar10-fast",
        "cifar10-paper",
        "imagenette",
        "small",
        "tiny",
    ]
    for name in preset_names(PRESETS):
        assert build_config(POOL | {"preset": name}).preset == name


def test_file_of_a_later_version_is_refused(tmp_path):
    path = write(tmp_path, 'version = 2\nnew_key = 1\n[pool]\nsource = "x"\n')
    with pytest.raises(WorkspaceError, match=r"version 2.*upgrade") as refused:
        load(path)
    assert refused.value.exit_code == 4


def test_error_names_invalid_or_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(write(tmp_path, "a = ["))
    with pytest.raises(StorageError, match="cannot read"):
        load(tmp_path / "absent.toml")


def test_unknown_environment_key_raises(tmp_path):
    path = write(tmp_path, '[pool]\nsource = "x"\n')
    with pytest.raises(ConfigError, match=r"unknown key 'sed'.*did you mean 'seed'"):
        load(path, DGAAL_SED="1")


def test_assignment_without_a_value_raises():
    with pytest.raises(ConfigError, match="is not an assignment"):
        parse_assignment("query.size")


@given(st.integers(min_value=1, max_value=10**9))
def test_parse_assignment_reads_integers(number):
    assert parse_assignment(f"query.size={number}") == (["query", "size"], number)


@given(st.text(max_size=30))
def test_parse_assignment_raises_only_config_errors(text):
    try:
        keys, _ = parse_assignment(text)
    except ConfigError:
        return
    assert keys


HUGE = 10**20 - 1
OUT_OF_RANGE = [
    *(f"{key}={value}" for key in ("seed", "threads") for value in (-1, HUGE, "nan", "inf")),
    *(f"query.{key}={value}" for key in ("size", "overlap", "budget") for value in (-1, HUGE)),
    "query.overlap=1000000",
    'name="' + "x" * 201 + '"',
    'device="gpu"',
    'device="cuda:0001"',
    'pool.source=""',
    'pool.source="' + "x" * 5000 + '"',
    "pool.channels=2",
    "network.max_image_size=0",
    "label.gate_ms=3600000",
    *(f"label.class_keys='{keys}'" for keys in ("11", "1", "a b", "^a", "a\tb")),
    "label.max_junk=1.01",
    *(f"generation.min_confidence={value}" for value in (-0.5, 1, "nan", "-inf")),
    "coverage.radius=2.1",
    "selection.spread=0.5",
]


@pytest.mark.parametrize("assignment", OUT_OF_RANGE)
def test_error_for_value_out_of_range_names_allowed_values(tmp_path, assignment):
    path = write(tmp_path, '[pool]\nsource = "x"\n')
    key = assignment.partition("=")[0]
    with pytest.raises(ConfigError) as wrong:
        load(path, assignment)
    message = str(wrong.value)
    assert wrong.value.exit_code == 2
    assert f"'{key}' is" in message or f"`$.{key}`" in message or f"{key} cannot be" in message
    assert "must" in message or "choose one of" in message or "Expected" in message
    assert "\n" not in message


def number_fields(schema=Config, prefix=""):
    """Yield dotted key and type of every numeric field."""
    for key, hint in typing.get_type_hints(schema).items():
        if dataclasses.is_dataclass(hint):
            yield from number_fields(hint, f"{prefix}{key}.")
        elif hint in (int, float):
            yield f"{prefix}{key}", hint


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300", str(10**30), str(-(10**30))])
def test_every_numeric_field_has_a_range(tmp_path, value):
    path = write(tmp_path, '[pool]\nsource = "x"\n')
    assert len(list(number_fields())) > 80
    for key, _ in number_fields():
        with pytest.raises(ConfigError, match=re.escape(key)):
            load(path, f"{key}={value}")


def test_every_default_is_in_its_range():
    default = dataclasses.asdict(Config(pool=PoolConfig(source="x")))
    assert convert(default, Config) == Config(pool=PoolConfig(source="x"))
