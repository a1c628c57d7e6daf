"""Goals that a person sets: in ``[goal]`` and with ``dgaal status --until``."""

import re
from collections.abc import Sequence

from dgaal_cli.audit.goal import Goal, GoalKind
from dgaal_cli.config.schema import GoalConfig
from dgaal_cli.errors import UsageError
from dgaal_cli.store.protocol import ClassList
from dgaal_cli.store.records import ClassRecord

_FORM = re.compile(r"(?:(?:(recall|precision):(.+)|accuracy)=)?([^=]+)", re.DOTALL)


def parse_goal(text: str, classes: ClassList) -> Goal:
    """Parse ``0.95``, ``accuracy=0.95``, ``recall:CLASS=0.9`` or ``precision:CLASS=0.9``.

    Raises:
        UsageError: The text has another form, the value is not above 0 and at most 1, or no class
            has the name.
    """
    match = _FORM.fullmatch(text)
    try:
        target = float(match[3]) if match else 0.0
    except ValueError:
        target = 0.0
    if match is None or not 0 < target <= 1:
        raise UsageError(
            f"--until is {text}; give an accuracy above 0 and up to 1, as 0.95, or that of a "
            "class, as recall:CLASS=0.9 or precision:CLASS=0.9"
        )
    if match[1] is None:
        return Goal(kind="accuracy", target=target)
    kind: GoalKind = "recall" if match[1] == "recall" else "precision"
    found = classes.class_by_name(match[2])
    return Goal(kind=kind, target=target, class_name=found.name, uid=found.uid)


def goals_of(config: GoalConfig, classes: Sequence[ClassRecord]) -> list[Goal]:
    """Return the goals of a configuration; a class that does not exist has no uid."""
    uids = {record.name: record.uid for record in classes}
    found = [Goal(kind="accuracy", target=config.accuracy)] if config.accuracy else []
    by_kind: tuple[tuple[GoalKind, dict[str, float]], ...] = (
        ("recall", config.recall),
        ("precision", config.precision),
    )
    for kind, targets in by_kind:
        for name, target in targets.items():
            found.append(Goal(kind=kind, target=target, class_name=name, uid=uids.get(name)))
    return found
