"""A test task whose labels are 4 x 4 masks; each pixel has one class or none.

With it, tests check that store, fold and exchange do not depend on classification: a payload names
several classes or none.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from dgaal_cli.errors import WorkspaceError
from dgaal_cli.ids import ClassUid
from dgaal_cli.store.records import Label

PIXELS = 16
Mask = tuple[ClassUid | None, ...]
"""Class of each of the 16 pixels, row by row; None is background."""
Runs = list[tuple[str | None, int]]


def runs_of(mask: Sequence[str | None]) -> Runs:
    return [(value, len(list(run))) for value, run in groupby(mask)]


def pixels_of(runs: Runs) -> list[str | None]:
    return [value for value, count in runs for _ in range(count)]


class MaskLabels:
    """Run lengths as JSON; canonical, because each run has the maximum length."""

    version = 3

    def encode(self, value: Mask) -> Label:
        payload = json.dumps(runs_of(value), separators=(",", ":")).encode()
        classes = tuple(sorted({uid for uid in value if uid is not None}))
        return Label(payload=payload, version=self.version, classes=classes)

    def decode(self, label: Label) -> Mask:
        if label.version != self.version:
            raise WorkspaceError(f"a mask of version {label.version} cannot be read")
        return tuple(
            None if v is None else ClassUid(v) for v in pixels_of(json.loads(label.payload))
        )

    def target(self, label: Label, index_of: Mapping[ClassUid, int]) -> list[int] | None:
        if not set(label.classes) <= set(index_of):
            return None
        return [-1 if uid is None else index_of[uid] for uid in self.decode(label)]

    def of_target(self, target: Sequence[int], classes: Sequence[ClassUid]) -> Label:
        return self.encode(tuple(None if index < 0 else classes[index] for index in target))


class MaskText:
    """Run lengths as JSON with the names of the classes."""

    def to_text(self, label: Label, names: Mapping[ClassUid, str]) -> str:
        mask = MaskLabels().decode(label)
        return json.dumps(runs_of([None if uid is None else names[uid] for uid in mask]))

    def from_text(
        self, texts: Sequence[str], find_class: Callable[[Sequence[str]], ClassUid]
    ) -> Label:
        for text in texts:
            try:
                pixels = pixels_of([(name, int(count)) for name, count in json.loads(text)])
            except (ValueError, TypeError):
                continue
            if len(pixels) == PIXELS:
                found = {n: find_class([n]) for n in sorted({n for n in pixels if n is not None})}
                return MaskLabels().encode(tuple(None if n is None else found[n] for n in pixels))
        raise ValueError(f"{texts[0][:40]} is no mask of {PIXELS} pixels")

    def single_class(self, label: Label) -> None:
        return None


class MaskTask:
    name = "mask"
    labels = MaskLabels()
    text = MaskText()
