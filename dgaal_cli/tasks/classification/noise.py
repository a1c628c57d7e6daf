"""Label noise of an oracle: uniform, within super-classes, or recorded answers of people.

A spec is one of ``uniform:RATE``, ``within:RATE:FILE`` (FILE is JSON: super-class -> its classes)
and ``recorded:KEY:FILE`` (FILE is an ``.npz`` with one label per row of the pool's source).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from dgaal_cli.errors import InputDataError, UsageError
from dgaal_cli.ids import SampleId

Labels = npt.NDArray[np.int64]

_TRUTH_KEY = "clean_label"
"""Array with the true labels in a file of recorded labels; it maps numbers to classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassNoise:
    """A parsed noise spec; a ``tasks.base.OracleNoise``."""

    spec: str

    kind: Literal["none", "uniform", "within", "recorded"]
    rate: float = 0.0
    key: str = ""
    path: str = ""

    @property
    def applies_to_synthetic(self) -> bool:
        """False for recorded labels, which name images of the pool only."""
        return self.kind in ("uniform", "within")

    def with_absolute_path(self, base: Path) -> str:
        """Return the spec with an absolute path of its file, if it has one."""
        return self._with_path(base.absolute() / self.path)

    def without_folder(self) -> str:
        """Return the spec with only the name of its file, if it has one, for pages."""
        return self._with_path(Path(self.path).name)

    def _with_path(self, path: Path | str) -> str:
        return f"{self.spec.removesuffix(self.path)}{path}" if self.path else self.spec

    def answers(
        self,
        truth: Labels,
        *,
        ids: Sequence[SampleId],
        class_names: Sequence[str],
        generator: np.random.Generator,
    ) -> Labels:
        """Return the oracle's answers ``(N,)`` for targets ``(N,)``; see ``OracleNoise``."""
        match self.kind:
            case "none":
                return truth.copy()
            case "uniform":
                groups = [list(range(len(class_names)))]
            case "within":
                groups = _groups(Path(self.path), class_names)
            case "recorded":
                return _recorded(Path(self.path), self.key, truth, ids, class_names)
        others = {k: [o for o in group if o != k] for group in groups for k in group}
        answers = truth.copy()
        for row in np.flatnonzero(generator.random(len(truth)) < self.rate):
            choices = others.get(int(truth[row]), [])
            place = int(generator.integers(max(1, len(choices))))
            if choices:
                answers[row] = choices[place]
        return answers


def parse_noise(spec: str) -> ClassNoise:
    """Parse a noise spec; an empty spec means no noise.

    Raises:
        UsageError: The spec has none of the known forms.
    """
    kind, _, rest = spec.partition(":")
    if not spec:
        return ClassNoise(spec=spec, kind="none")
    if kind == "uniform":
        return ClassNoise(spec=spec, kind="uniform", rate=_rate(rest, spec))
    head, colon, path = rest.partition(":")
    if kind == "within" and colon and path:
        return ClassNoise(spec=spec, kind="within", rate=_rate(head, spec), path=path)
    if kind == "recorded" and colon and head and path:
        return ClassNoise(spec=spec, kind="recorded", key=head, path=path)
    raise _not_understood(spec)


def _rate(text: str, spec: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise _not_understood(spec) from None
    if not 0 <= rate <= 1:
        raise UsageError(f"--noise {spec!r}: the rate must be between 0 and 1")
    return rate


def _not_understood(spec: str) -> UsageError:
    return UsageError(
        f"--noise {spec!r} is not understood; write uniform:0.2, "
        "within:0.2:super-classes.json or recorded:KEY:labels.npz"
    )


def _groups(path: Path, class_names: Sequence[str]) -> list[list[int]]:
    try:
        tree = json.loads(path.read_text("utf-8"))
        groups = [[str(name) for name in members] for members in tree.values()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputDataError(
            f"{path} is not a map of super-classes "
            f'({str(error)[:120]}); write {{"animals": ["cat", "dog"], ...}}'
        ) from error
    named = [name for group in groups for name in group]
    index = {name: k for k, name in enumerate(class_names)}
    unknown = sorted(set(named) - set(index))
    if unknown or len(set(named)) < len(named):
        raise InputDataError(
            f"{path} names {'unknown classes: ' if unknown else 'a class twice'}"
            f"{', '.join(unknown[:5])}; classes are {', '.join(class_names)}"
        )
    return [[index[name] for name in group] for group in groups]


def _recorded(
    path: Path, key: str, truth: Labels, ids: Sequence[SampleId], class_names: Sequence[str]
) -> Labels:
    arrays = _read_arrays(path)
    if key not in arrays:
        raise InputDataError(f"{path} contains no array {key}; it contains {', '.join(arrays)}")
    rows = _rows(ids, len(arrays[key]), path)
    answers = arrays[key][rows]
    named = {name: k for k, name in enumerate(class_names)}
    if _TRUTH_KEY in arrays:
        class_of = _classes_of_numbers(arrays[_TRUTH_KEY][rows], truth, path)
    else:
        class_of = {int(v): named[str(v)] for v in np.unique(answers).tolist() if str(v) in named}
    unknown = sorted({int(v) for v in np.unique(answers)} - set(class_of))
    if unknown:
        raise InputDataError(f"{path}: the label {unknown[0]} of {key} is not a class of this pool")
    return np.array([class_of[int(value)] for value in answers], dtype=np.int64)


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {key: cast("npt.NDArray[Any]", archive[key]) for key in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError) as error:
        raise InputDataError(
            f"cannot read recorded labels from {path}: {str(error)[:160]}"
        ) from error
    return {k: v for k, v in found.items() if v.ndim == 1 and v.dtype.kind in "iu"}


def _rows(ids: Sequence[SampleId], count: int, path: Path) -> Labels:
    """Return the row numbers in ids such as ``train/000012``, which index the recorded labels."""
    digits = [name.rpartition("/")[2] for name in ids]
    if not all(text.isdecimal() for text in digits):
        raise InputDataError(
            f"recorded labels need a pool whose images are rows of an array; {ids[0]} is not a row"
        )
    rows = np.array([int(text) for text in digits], dtype=np.int64)
    if rows.max(initial=0) >= count:
        raise InputDataError(
            f"{path} contains {count} labels, the pool has a row {int(rows.max())}; "
            "they do not belong together"
        )
    return rows


def _classes_of_numbers(numbers: npt.NDArray[Any], truth: Labels, path: Path) -> dict[int, int]:
    """Return the class of each number; raise an error if a number has two classes."""
    class_of: dict[int, int] = {}
    for number, own in zip(numbers.tolist(), truth.tolist(), strict=True):
        if class_of.setdefault(int(number), own) != own:
            raise InputDataError(
                f"the true labels in {path} contradict the pool's; they do not belong together"
            )
    return class_of
