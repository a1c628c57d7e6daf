"""Co-evolution of D1 in DGAAL: D1 is trained in each round, or only on the first labels."""

from dataclasses import replace

import pytest
from small_rounds import build, small_config, small_data

from dgaal_cli.errors import ConfigError
from dgaal_cli.methods.registry import check_method


@pytest.mark.parametrize("is_on", [True, False])
def test_d1_is_trained_only_on_first_labels_without_coevolution(is_on):
    method = build(small_config("dgaal-paper", coevolve={"is_on": is_on}))
    first = replace(small_data(), is_first_labeled=True)
    later = small_data(number=3)

    def trains_d1(data):
        return any(
            module is method.discriminator
            for phase in method.adapt(data)
            for module in phase.networks.values()
        )

    assert trains_d1(first)
    assert trains_d1(later) == is_on
    assert len(method.adapt(first)) - len(method.adapt(later)) == (not is_on)


def test_method_with_restarted_discriminators_refuses_the_switch():
    with pytest.raises(ConfigError, match=r"'coevolve\.is_on' is false, but dgaal has no"):
        check_method(small_config("dgaal", coevolve={"is_on": False}))


def test_other_methods_accept_the_switch():
    """In a simulation the settings apply to all methods."""
    config = small_config("random", coevolve={"is_on": False})
    check_method(config)
    assert not config.coevolve.is_on
