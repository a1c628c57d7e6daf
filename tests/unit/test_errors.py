"""Error messages are one sentence without terminal control characters."""

import copy
import os

import pytest
from hostile_names import NAMES, raw_controls

from dgaal_cli.errors import DgaalError, UsageError
from dgaal_cli.escaping import show


@pytest.mark.parametrize("name", [os.fsdecode(name) for name in NAMES.values()], ids=NAMES)
def test_error_message_is_escaped_exactly_once(name):
    error = UsageError(f"cannot read {name}")
    assert str(error) == show(f"cannot read {name}")
    assert not raw_controls(str(error).encode())
    assert str(UsageError(str(error))) == str(error)


def test_copied_error_keeps_its_message():
    error = copy.copy(DgaalError("bad \x1b[2J name"))
    assert str(error) == "bad \\u{1b}[2J name"
