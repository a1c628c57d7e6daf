"""FiftyOne's FiftyOneImageClassificationDataset: a folder ``data`` and ``labels.json``."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dgaal_cli.atomic import write_text
from dgaal_cli.errors import InputDataError
from dgaal_cli.escaping import show
from dgaal_cli.store.exchange.base import Document, ExportJob, Parsed, convert
from dgaal_cli.store.exchange.folders import ImagePlacer
from dgaal_cli.store.exchange.image_folder import files_below
from dgaal_cli.store.exchange.json_array import indented


class _Labels(msgspec.Struct, kw_only=True):
    labels: dict[str, int | str | None]
    classes: list[str] | None = None
    exported: dict[str, str] = {}


class FiftyOne:
    """Images are identified by their path without its suffix; targets index ``classes``.

    If images were audited, ``audited`` lists them.
    """

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write the effective labels by name.

        Raises:
            InputDataError: Two names differ only in their suffix.
        """
        index = {record.uid: number for number, record in enumerate(job.classes)}
        images, targets, exported = ImagePlacer(job), dict[str, int](), dict[str, str]()
        suffixes, audited = dict[str, str](), list[str]()
        data = folder / "data"
        data.mkdir()
        for label, uid in job.class_labels("fiftyone"):
            name = images.place(label, data)
            stem = _stem(name)
            if stem in suffixes:
                raise InputDataError(
                    f"FiftyOne's layout cannot distinguish {stem}{suffixes[stem]} from {name}; "
                    "export to coco instead"
                )
            suffixes[stem] = sys.intern(name.removeprefix(stem))  # few differ
            targets[stem] = index[uid]
            exported[stem] = job.mark_of(label)
            if label.item_id in job.audited:
                audited.append(stem)
        document: dict[str, object] = {
            "classes": [record.name for record in job.classes],
            "labels": targets,
            "exported": exported,
        }
        if job.audited:
            document["audited"] = audited
        write_text(folder / "labels.json", indented(document) + "\n")
        return len(targets)

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels; images that never had a target are skipped."""
        table = path / "labels.json" if path.is_dir() else path
        found = Document(table)
        document = convert(found.value, _Labels, where=found.name)
        places = dict(found.places("labels"))
        data = table.parent / "data"
        files = {
            _stem(file): file
            for file in (file.relative_to(data).as_posix() for file in files_below(data))
        }
        for stem, target in document.labels.items():
            where = f"{places[stem]}, labels[{show(stem)[:200]}]"
            mark = document.exported.get(stem)
            names = tuple(dict.fromkeys((files.get(stem, stem), stem)))
            if target is None:
                if mark is not None:
                    yield Parsed(where=where, names=names, is_cleared=True)
                continue
            if isinstance(target, int):
                classes = document.classes or []
                if not 0 <= target < len(classes):
                    raise InputDataError(f"{where}: target {target} is not an index into classes")
                target = classes[target]  # noqa: PLW2901 - the name of the same class
            yield Parsed(
                where=where,
                part="field",
                names=names,
                labels=(target,),
                exported=mark,
            )
        for stem in document.exported.keys() - document.labels.keys():
            yield Parsed(where=found.name, names=(stem,), is_cleared=True)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122 - the function that FiftyOne itself uses
