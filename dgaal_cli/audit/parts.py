"""The strata of all audits, each with the answers that it has."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from dgaal_cli.audit.answers import AuditAnswer


@dataclass(slots=True, kw_only=True)
class Part:
    """A stratum, or several that are joined."""

    size: float = 0.0
    """Its images, as a share of all."""
    left: float = 1.0
    """Share of its images that is not answered."""
    positions: list[int] = field(default_factory=list[int])
    """Of its answers."""
    right: int = 0

    @property
    def answered(self) -> int:
        """Number of its answers."""
        return len(self.positions)


def parts_of(answers: Sequence[AuditAnswer]) -> list[Part]:
    """Gather strata; images of a stratum without answers count with a neighboring one.

    Several audits are averaged, each by its number of answers.
    """
    audits: dict[int, dict[int, Part]] = defaultdict(dict)
    for position, answer in enumerate(answers):
        part = audits[answer.audit].setdefault(answer.stratum.number, Part())
        part.positions.append(position)
        part.right += answer.is_right
    found: list[Part] = []
    for own in audits.values():
        share = sum(part.answered for part in own.values()) / len(answers)
        numbers = sorted(own)
        rest = total = answers[own[numbers[0]].positions[0]].total
        for number in numbers:
            part = own[number]
            size = answers[part.positions[0]].stratum.size
            rest -= size
            size += rest if number == numbers[-1] else 0
            part.size = size / total * share
            part.left = 1 - part.answered / size
            found.append(part)
    return found
