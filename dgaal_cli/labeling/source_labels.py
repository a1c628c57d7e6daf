"""Labels that the images of a pool bring along, by class names as the store keeps them."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dgaal_cli.data.pool import Surveyed
from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.escaping import show
from dgaal_cli.ids import SampleId
from dgaal_cli.store.classes import clean_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLabels:
    """The usable labels of a source."""

    by_sample: dict[SampleId, str]
    """Class name of each labeled image."""
    conflicting: tuple[tuple[tuple[SampleId, str], ...], ...]
    """Images with equal bytes and different labels, which are not used: name and label of each."""


def source_labels(items: Iterable[Surveyed], classes: Collection[str] = ()) -> SourceLabels:
    """Return the labels of some images, without those that contradict each other.

    Args:
        items: Images of the pool.
        classes: Names that the user gave: a folder of such a name is a class, also if it is named
            like a split.

    Raises:
        InputDataError: A label cannot be the name of a class.
    """
    found: defaultdict[bytes, list[tuple[SampleId, str]]] = defaultdict(list)
    for item in items:
        label = item.split if item.split in classes else item.label
        if label is not None and label.strip():
            found[item.sha256].append((item.id, _clean(label, item.id)))
    conflicting = [
        tuple(copies) for copies in found.values() if len({label for _, label in copies}) > 1
    ]
    left_out = {name for copies in conflicting for name, _ in copies}
    return SourceLabels(
        by_sample={
            name: label
            for copies in found.values()
            for name, label in copies
            if name not in left_out
        },
        conflicting=tuple(conflicting),
    )


def _clean(label: str, sample_id: SampleId) -> str:
    try:
        return clean_name(label)
    except UsageError as error:
        raise InputDataError(f"the label of {show(sample_id)} cannot be used: {error}") from None
