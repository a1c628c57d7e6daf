"""Names of images give their groups."""

import pytest

from dgaal_cli.data.grouping import group_rule
from dgaal_cli.errors import UsageError
from dgaal_cli.ids import SampleId


@pytest.mark.parametrize(
    ("rule", "name", "group"),
    [
        ("", "p1/a.png", ""),
        ("folder", "p1/left/a.png", "p1/left"),
        ("folder", "a.png", ""),
        (r"^(\d+)_", "007_left.png", "007"),
        (r"^(\d+)_", "left.png", ""),
        (r"slide(\d*)", "slide.png", ""),
        (r"^(?:x|(y))", "x.png", ""),
    ],
)
def test_rules_give_groups_and_names_that_do_not_match_have_none(rule, name, group):
    assert group_rule(rule)(SampleId(name)) == group


@pytest.mark.parametrize("rule", ["(", "none", "(a)(b)", "(?:a)"])
def test_rule_without_exactly_one_group_is_refused_by_name(rule):
    with pytest.raises(UsageError, match="regular expression with one group"):
        group_rule(rule)
