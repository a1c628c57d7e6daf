"""Plans of simulations: arms, settings, and refused values."""

import msgspec
import pytest

from dgaal_cli.errors import ConfigError, UsageError
from dgaal_cli.simulation.plan import (
    Arm,
    Plan,
    check,
    config_of,
    merge_assignment,
    parse_methods,
    protocol_of,
    with_reference,
)


def test_parse_methods_reads_settings_of_each_arm():
    random, plain, changed = parse_methods(
        "random, dgaal,dgaal[generation.share=0; coevolve.folds=2]"
    )
    assert (random.label, plain.label) == ("random", "dgaal")
    assert changed.settings == ("generation.share=0", "coevolve.folds=2")
    assert changed.label == "dgaal[generation.share=0;coevolve.folds=2]"
    config = config_of(Plan(pool="p"), changed, seed=3, image_size=8, channels=1)
    assert (config.method, config.seed, config.coevolve.folds) == ("dgaal", 3, 2)
    assert config.generation.share == 0


@pytest.mark.parametrize("text", ["", "random,", "dgaal[generation.share=0", "[a=1]"])
def test_invalid_list_of_methods_is_refused(text):
    with pytest.raises(UsageError, match="methods"):
        parse_methods(text)


def test_unknown_method_error_suggests_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'margin'"):
        parse_methods("random,margn")


def test_random_is_always_the_first_arm():
    plan = with_reference(Plan(arms=parse_methods("margin,dgaal")))
    assert [arm.label for arm in plan.arms] == ["random", "margin", "dgaal"]
    plan = with_reference(Plan(arms=parse_methods("margin,random")))
    assert [arm.label for arm in plan.arms] == ["random", "margin"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "--seeds"),
        ({"seeds": (1, 1)}, "--seeds"),
        ({"rounds": -1}, "--rounds is -1"),
        ({"query_size": 0}, "--query-size is 0"),
        ({"initial": -5}, "--initial is -5"),
        ({"test_share": 1.0}, "share"),
        ({"oracle_confidence": 1.5}, "confidence"),
        ({"arms": parse_methods("margin,margin")}, "take part once"),
        ({"arms": (Arm(method="random", name="all-labels"),)}, "take part once"),
    ],
)
def test_invalid_plan_values_are_refused(changes, message):
    plan = msgspec.structs.replace(Plan(pool="p", arms=parse_methods("random")), **changes)
    with pytest.raises(UsageError, match=message):
        check(plan)


def test_unknown_setting_of_an_arm_error_suggests_the_nearest_key():
    plan = Plan(pool="p", arms=parse_methods("dgaal[generation.shre=0]"))
    with pytest.raises(ConfigError, match=r"generation\.share"):
        check(plan)


@pytest.mark.parametrize(
    "setting", ["seed=3", "method=margin", "query.size=9", "pool.image_size=8"]
)
def test_settings_controlled_by_the_simulation_are_refused(setting):
    with pytest.raises(ConfigError, match="options of its own"):
        merge_assignment({}, setting)


def test_settings_of_an_arm_override_the_simulation_config():
    plan = Plan(pool="p", config={"classifier": {"steps": 9, "batch": 4}})
    config = config_of(
        plan,
        Arm(method="random", settings=("classifier.steps=7",)),
        seed=0,
        image_size=8,
        channels=3,
    )
    assert (config.classifier.steps, config.classifier.batch) == (7, 4)
    assert (config.query.budget, config.threads) == (plan.budget, 1)


def test_protocol_does_not_depend_on_arms_and_seeds():
    plan = Plan(pool="p", arms=parse_methods("random"))
    more = msgspec.structs.replace(plan, arms=parse_methods("random,margin"), seeds=(9,))
    assert protocol_of(plan) == protocol_of(more)
    assert protocol_of(plan) != protocol_of(msgspec.structs.replace(plan, query_size=51))


def test_shared_task_model_must_be_initialized_from_scratch():
    arms = parse_methods("random,margin[classifier.init=warm]")
    check(Plan(pool="p", arms=arms))
    with pytest.raises(UsageError, match="must stay 'scratch'"):
        check(Plan(pool="p", arms=arms, config={"classifier": {"init": "warm"}}))
