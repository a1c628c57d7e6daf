"""COCO JSON with image-level annotations: one category per image, without boxes."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import msgspec

from dgaal_cli.errors import InputDataError
from dgaal_cli.store.exchange.base import Document, ExportJob, Origin, Parsed, convert
from dgaal_cli.store.exchange.json_array import json_array


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    exported: str | None = None


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _Annotation(msgspec.Struct, kw_only=True):
    image_id: int | str
    category_id: int | str
    attributes: Origin = msgspec.field(default_factory=Origin)


class _File(msgspec.Struct):
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]


class Coco:
    """Ids start at 1; annotator, provenance, time and round are in ``attributes``."""

    suffix = ".json"
    head = b'{\n "info"'

    def write(self, stream: BinaryIO, job: ExportJob) -> int:
        """Write the effective labels by name."""
        labels = job.class_labels("coco")  # raises before anything is written
        category = {record.uid: number for number, record in enumerate(job.classes, start=1)}
        head = {
            "info": {"description": "labels exported by dgaal", "version": "1"},
            "licenses": [],
            "categories": [
                {"id": category[record.uid], "name": record.name, "supercategory": ""}
                for record in job.classes
            ],
        }
        number = 0
        with TemporaryFile() as lines:  # labels can be read once, and annotations follow all images

            def images() -> Iterator[dict[str, Any]]:
                nonlocal number
                for number, (label, uid) in enumerate(labels, start=1):
                    origin = job.origin_of(label)
                    exported = origin.pop("exported")  # of the image: annotations may be deleted
                    lines.write(json.dumps([category[uid], origin]).encode() + b"\n")
                    yield {
                        "id": number,
                        "file_name": label.sample_id,
                        "width": label.width,
                        "height": label.height,
                        "exported": exported,
                    }

            def annotations() -> Iterator[dict[str, Any]]:
                lines.seek(0)
                for n, line in enumerate(lines, start=1):
                    uid, origin = json.loads(line)
                    yield {"id": n, "image_id": n, "category_id": uid, "attributes": origin}

            stream.write(json.dumps(head, indent=1, allow_nan=False).removesuffix("\n}").encode())
            for key, values in (("images", images()), ("annotations", annotations())):
                stream.write(f',\n "{key}": '.encode())
                stream.writelines(json_array(values, depth=2))
        stream.write(b"\n}\n")
        return number

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the category of each annotation; boxes and masks are ignored."""
        document = Document(path)
        convert(document.value, _File, where=document.name)
        images = {image.id: image for image, _ in document.children(_Image, "images")}
        cleared = {number for number, image in images.items() if image.exported}
        categories = {
            category.id: category.name for category, _ in document.children(_Category, "categories")
        }
        for annotation, where in document.children(_Annotation, "annotations"):
            if annotation.image_id not in images:
                raise InputDataError(f"{where}: no image has the id {annotation.image_id}")
            if annotation.category_id not in categories:
                raise InputDataError(f"{where}: no category has the id {annotation.category_id}")
            image = images[annotation.image_id]
            cleared.discard(image.id)
            origin = msgspec.structs.asdict(annotation.attributes)
            origin["exported"] = image.exported
            yield Parsed(
                where=where,
                part="field",
                names=(image.file_name,),
                labels=(categories[annotation.category_id],),
                **origin,
            )
        for number in sorted(cleared, key=str):
            name = images[number].file_name
            yield Parsed(where=document.name, names=(name,), is_cleared=True)
