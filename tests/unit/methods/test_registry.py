"""The registry describes methods without importing them."""

import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from dgaal_cli.config.load import build_config
from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import (
    METHODS,
    check_method,
    kernel_form,
    method_info,
    method_names,
)

POOL = {"pool": {"source": "unused"}}
README = Path(__file__).parents[3] / "README.md"


@pytest.mark.parametrize("key", [{"rule": "power"}, {"beta": 0.5}, {"sub_batches": 4}])
@pytest.mark.parametrize("method", ["dgaal", "dgaal-paper", "badge", "coreset", "gaal-mixed"])
def test_method_without_scores_refuses_acquisition_settings(method, key):
    with pytest.raises(ConfigError, match=f"{method} fills its queries by its own rule"):
        check_method(build_config(POOL | {"method": method, "acquisition": key}))
    check_method(build_config(POOL | {"method": "margin", "acquisition": key}))


def test_linear_svm_is_refused_for_ta_vaal():
    tree = POOL | {"method": "ta-vaal", "classifier": {"architecture": "linear-svm"}}
    with pytest.raises(ConfigError, match="no losses for ta-vaal's ranker"):
        check_method(build_config(tree))
    check_method(build_config(tree | {"method": "vaal"}))


def test_dgaal_refuses_disabled_coevolution():
    tree = POOL | {"coevolve": {"is_on": False}}
    with pytest.raises(ConfigError, match=r"'coevolve\.is_on' is false, but dgaal .* dgaal-paper"):
        check_method(build_config(tree | {"method": "dgaal"}))
    check_method(build_config(tree | {"method": "dgaal-paper"}))


FEATURES = {"encoder": {"source": "model.onnx"}}


@pytest.mark.parametrize("form", ["auto", "mlp"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_accepts_the_default_form_and_the_network(method, form):
    tree = POOL | {"method": method, "discriminator": {"form": form}}
    check_method(build_config(tree))


def test_form_without_a_network_is_the_default_on_features_only():
    def form(method, **tree):
        return kernel_form(build_config(POOL | {"method": method} | tree))

    assert form("dgaal") is None
    assert form("dgaal", **FEATURES) == METHODS["dgaal"].kernel_forms["coverage"]
    assert form("vaal", **FEATURES) == METHODS["vaal"].kernel_forms["kernel"]
    assert form("dgaal-paper", **FEATURES) is None
    assert form("margin", **FEATURES) is None
    assert form("dgaal", **FEATURES, discriminator={"form": "mlp"}) is None
    chosen = form("dgaal", **FEATURES, discriminator={"form": "kernel"})
    assert chosen == METHODS["dgaal"].kernel_forms["kernel"]


def test_form_that_does_not_fit_is_refused():
    kernel = POOL | {"discriminator": {"form": "kernel"}}
    with pytest.raises(
        ConfigError, match=r"form' is kernel, which 'margin' does not have; .*dgaal"
    ):
        check_method(build_config(kernel | FEATURES | {"method": "margin"}))
    with pytest.raises(
        ConfigError, match=r"features of an encoder, but 'encoder\.source' is pixels"
    ):
        check_method(build_config(kernel | {"method": "dgaal"}))
    coverage = POOL | FEATURES | {"discriminator": {"form": "coverage"}}
    with pytest.raises(ConfigError, match=r"coverage, which 'vaal' does not have"):
        check_method(build_config(coverage | {"method": "vaal"}))
    check_method(build_config(kernel | FEATURES | {"method": "dgaal"}))


def test_unknown_method_error_suggests_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'dgaal'"):
        method_info("dgall")
    with pytest.raises(ConfigError, match="unknown method 'gal'"):
        check_method(build_config(POOL | {"method": "gal"}))


def test_readme_table_lists_every_method_once():
    rows = [line for line in README.read_text().splitlines() if line.startswith("| ")]
    start = rows.index("| family | methods |")
    listed = re.findall(r"`([a-z-]+)`", " ".join(rows[start + 2 : start + 8]))
    assert sorted(listed) == sorted(METHODS)


def test_method_names_filters_by_descriptor():
    assert method_names(lambda info: info.generator == "parents") == ["dgaal", "dgaal-paper"]
    assert method_names(lambda _info: True) == sorted(METHODS)


def test_listing_methods_imports_neither_torch_nor_numpy():
    code = (
        "import sys; import dgaal_cli.methods.registry as r; assert len(r.METHODS) > 20; "
        "sys.exit(bool({'torch', 'numpy', 'msgspec'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def foreign_imports(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Return imports between the files or folders of two methods."""
    owners = {info.factory.split(".")[0].split(":")[0] for info in METHODS.values()}
    found = set()
    for owner in owners:
        root = f"dgaal_cli.methods.{owner}"
        for module in {root, *graph.find_descendants(root)}:
            for other in graph.find_modules_directly_imported_by(module):
                parts = other.split(".")
                if parts[:2] == ["dgaal_cli", "methods"] and len(parts) > 2:
                    found |= {(module, other)} if parts[2] in owners - {owner} else set()
    return found


def test_methods_do_not_import_each_other():
    graph = grimp.build_graph("dgaal_cli", cache_dir=None)
    assert foreign_imports(graph) == set()
    planted = ("dgaal_cli.methods.waal.method", "dgaal_cli.methods.vaal.samplers")
    graph.add_import(importer=planted[0], imported=planted[1])
    assert foreign_imports(graph) == {planted}
