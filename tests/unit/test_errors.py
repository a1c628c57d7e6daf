"""Errors are one safe sentence: names from outside cannot steer a terminal through them."""

import copy
import os

import pytest
from hostile_names import NAMES, raw_controls

from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.escaping import show


@pytest.mark.parametrize("name", [os.fsdecode(name) for name in NAMES.values()], ids=NAMES)
def test_every_message_is_escaped_once(name):
    error = UsageError(f"cannot read {name}")
    assert str(error) == show(f"cannot read {name}")
    assert not raw_controls(str(error).encode())
    assert str(UsageError(str(error))) == str(error)


def test_a_copy_of_an_error_says_the_same():
    error = copy.copy(DgaalError("bad \x1b[2J name"))
    assert str(error) == "bad \\u{1b}[2J name"
