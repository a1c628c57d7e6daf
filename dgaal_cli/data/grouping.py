"""Groups of images by their names, such as the patient in ``007_left.png``."""

import re
from collections.abc import Callable

from dgaal_cli.config.schema import BY_FOLDER, GROUP_RULES, is_group_rule
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import SampleId

GroupOf = Callable[[SampleId], str]
"""Returns the group of a name; empty: the image is a group of its own."""


def no_rule(_: SampleId) -> str:
    """Return that an image is a group of its own."""
    return ""


def group_rule(text: str) -> GroupOf:
    """Return how names give groups.

    Args:
        text: As ``pool.group_by`` of the configuration.

    Raises:
        UsageError: The text is no such rule.
    """
    if not is_group_rule(text):
        raise UsageError(f"the rule for groups is {text!r}; it must {GROUP_RULES}")
    if not text:
        return no_rule
    if text == BY_FOLDER:
        return lambda name: name.rpartition("/")[0]
    pattern = re.compile(text)

    def group_of(name: SampleId) -> str:
        found = pattern.search(name)
        return "" if found is None else found[1] or ""

    return group_of
