"""Settings that are checked against the method."""

import pytest

from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.configuration import (
    build_configuration,
    change_configuration,
    configuration,
    read_configuration,
)
from dgaal_cli.workspace import Workspace

POOL = {"pool": {"source": "x"}}


@pytest.mark.parametrize("key", [{"rule": "power"}, {"beta": 0.5}, {"sub_batches": 4}])
@pytest.mark.parametrize("method", ["dgaal", "dgaal-paper", "badge", "coreset", "gaal-mixed"])
def test_method_without_scores_refuses_acquisition_settings(method, key):
    with pytest.raises(ConfigError, match=f"{method} fills its queries by its own rule"):
        build_configuration(POOL | {"method": method, "acquisition": key})
    assert build_configuration(POOL | {"method": "margin", "acquisition": key}).method == "margin"


def test_linear_svm_is_refused_for_ta_vaal():
    tree = POOL | {"method": "ta-vaal", "classifier": {"architecture": "linear-svm"}}
    with pytest.raises(ConfigError, match="no losses for ta-vaal's ranker"):
        build_configuration(tree)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "nope"}, "unknown method 'nope'"),
        ({"method": "dgaal", "coevolve": {"is_on": False}}, "coevolve.is_on"),
    ],
)
def test_settings_that_do_not_fit_the_method_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message) as wrong:
        build_configuration(POOL | changes)
    assert wrong.value.exit_code == 2


def test_every_way_to_read_a_configuration_checks_the_method(tmp_path, monkeypatch):
    path = tmp_path / "dgaal.toml"
    text = 'method = "margin"\n[pool]\nsource = "x"\n'
    path.write_text(text)
    assert configuration(Workspace(tmp_path)).method == "margin"
    with pytest.raises(ConfigError, match="unknown method 'nope'"):
        configuration(Workspace(tmp_path), "method=nope")
    with pytest.raises(ConfigError, match="unknown method 'nope'"):
        change_configuration(path, {"method": "nope"})
    assert path.read_text() == text
    with pytest.raises(ConfigError, match="unknown method 'nope'"):
        read_configuration(path, environment={"DGAAL_METHOD": "nope"})
    path.write_text(text.replace("margin", "nope"))
    with pytest.raises(ConfigError, match="unknown method 'nope'"):
        read_configuration(path, environment={})
    monkeypatch.setenv("DGAAL_METHOD", "margin")
    assert configuration(Workspace(tmp_path)).method == "margin"
