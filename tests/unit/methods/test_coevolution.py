"""DGAAL's D1 beside the labels: it goes on with each round, or stays as the first ones made it."""

from dataclasses import replace

import pytest
from small_rounds import build, small_config, small_data

from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import check_method


@pytest.mark.parametrize("is_on", [True, False])
def test_without_coevolution_d1_learns_the_first_labels_and_none_after(is_on):
    method = build(small_config("dgaal-paper", coevolve={"is_on": is_on}))
    first = replace(small_data(), is_first_labeled=True)
    later = small_data(number=3)

    def learns(data):
        return any(
            module is method.discriminator
            for phase in method.adapt(data)
            for module in phase.networks.values()
        )

    assert learns(first)
    assert learns(later) == is_on
    assert len(method.adapt(first)) - len(method.adapt(later)) == (not is_on)


def test_a_method_whose_discriminators_begin_anew_has_no_such_switch():
    with pytest.raises(ConfigError, match=r"'coevolve\.is_on' is false, but dgaal has no"):
        check_method(small_config("dgaal", coevolve={"is_on": False}))


def test_another_methods_settings_may_hold_the_switch():
    """In a simulation the settings are for all methods."""
    config = small_config("random", coevolve={"is_on": False})
    check_method(config)
    assert not config.coevolve.is_on
