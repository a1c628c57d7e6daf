"""Simulation presets of published experiments."""

import re
from pathlib import Path

import pytest

from dgaal_cli.errors import ConfigError
from dgaal_cli.simulation.plan import check, config_of
from dgaal_cli.simulation.presets import load_preset, simulation_presets

EVERY = pytest.mark.parametrize("name", simulation_presets())
DOCUMENTED = (
    "gaal-mnist-usps",
    "gaal-mnist",
    "gaal-cifar-auto-horse",
    "vaal-cifar10",
    "vaal-cifar10-bias",
    "vaal-cifar10-noise",
    "vaal-cifar10-budget",
    "dgaal-cifar10",
)


def test_documented_presets_exist():
    assert set(DOCUMENTED) <= set(simulation_presets())


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("adaptive", "selection.is_adaptive"),
        ("progressive", "generation.is_progressive"),
        ("balanced", "generation.is_balanced"),
    ],
)
@pytest.mark.parametrize("size", ["", "-small"])
def test_ablation_preset_switches_one_enhancement_off(name, switch, size):
    plan = load_preset(f"dgaal-cifar10-{name}{size}")
    plain, without = plan.arms[1:3]
    assert (plain.method, plain.settings) == ("dgaal", ())
    assert (without.method, without.settings) == ("dgaal", (f"{switch}=false",))
    plain_config, changed_config = (
        config_of(plan, arm, seed=0, image_size=32, channels=3) for arm in plan.arms[1:3]
    )
    section, key = switch.split(".")
    assert getattr(getattr(plain_config, section), key)
    assert not getattr(getattr(changed_config, section), key)


@pytest.mark.parametrize("size", ["", "-small"])
def test_published_ablation_lists_the_numbers_of_the_figure(size):
    plan = load_preset(f"dgaal-cifar10-generation{size}")
    assert "Fig. 3" in plan.follows
    arms = {arm.label: arm for arm in plan.arms}
    configs = {
        name: config_of(plan, arm, seed=0, image_size=32, channels=3)
        for name, arm in arms.items()
        if arm.method == "dgaal-paper"
    }
    assert {
        name: (config.coevolve.is_on, config.generation.per_parent)
        for name, config in configs.items()
    } == {"dgaal-paper": (True, 1), "co-evolution alone": (True, 0), "neither": (False, 0)}
    assert [
        name for name, arm in arms.items() if arm.method == "dgaal" and "ours" not in name
    ] == []
    for line, last in (
        ("'neither')", "79.0"),
        ("'co-evolution alone')", "79.1"),
        ("(here dgaal-paper)", "80.6"),
    ):
        _, _, figures = plan.published[0].partition(line)
        assert figures.partition(" %")[0].endswith(last)


@pytest.mark.parametrize("name", ["adversary", "adaptive", "progressive", "balanced"])
@pytest.mark.parametrize("size", ["", "-small"])
def test_presets_without_a_paper_do_not_claim_one(name, size):
    plan = load_preset(f"dgaal-cifar10-{name}{size}")
    assert "this package's dgaal" in plan.note
    assert ("our own" in plan.follows) == (name == "adversary")
    assert "dgaal-paper" not in [arm.method for arm in plan.arms]


@EVERY
def test_preset_is_valid_and_names_its_source(name):
    plan = load_preset(name)
    check(plan)
    assert re.search(r"(Sinha|Guo|Zhu).* 20\d\d", plan.follows)
    assert plan.note
    assert plan.published
    assert plan.arms[0].label == "random"
    assert plan.preset == name


@EVERY
def test_every_preset_has_a_small_variant(name):
    if name.endswith("-small"):
        assert load_preset(name.removesuffix("-small"))
        return
    full, small = load_preset(name), load_preset(f"{name}-small")
    assert small.budget < full.budget
    assert len(small.seeds) <= len(full.seeds)
    assert 0 < small.pool_size <= 2000
    assert (small.absent_count, bool(small.noise)) == (full.absent_count, bool(full.noise))


def test_data_option_sets_the_folder_of_the_files():
    plan = load_preset("vaal-cifar10-noise", data=Path("/data"))
    assert plan.pool == "/data/cifar10_jpeg.npz#train"
    assert plan.test == "/data/cifar10_jpeg.npz#test"
    assert plan.noise == "recorded:random_label1:/data/cifar10n_labels.npz"


def test_unknown_preset_error_suggests_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'gaal-mnist'"):
        load_preset("gaal-mnst")
