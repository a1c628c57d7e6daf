"""Hugging Face ``imagefolder``: images and ``metadata.jsonl`` with one line per image."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from dgaal_cli.store.exchange.base import ExportJob, Parsed, with_and_without_suffix
from dgaal_cli.store.exchange.folders import ImagePlacer
from dgaal_cli.store.exchange.json_lines import parse_lines

METADATA = "metadata.jsonl"


class HuggingFace:
    """``file_name`` is the path relative to the metadata, ``label`` the class name."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write the effective labels by name."""
        count, images = 0, ImagePlacer(job)
        with (folder / METADATA).open("wb") as stream:
            for label, uid in job.class_labels("hf"):
                line = {
                    "file_name": images.place(label, folder),
                    "label": job.names[uid],
                    **job.origin_of(label),
                }
                stream.write(json.dumps(line).encode() + b"\n")
                count += 1
        return count

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a folder or of its metadata file."""
        for parsed in parse_lines(path / METADATA if path.is_dir() else path):
            yield msgspec.structs.replace(
                parsed, names=with_and_without_suffix(parsed.names[0]), is_image_label=True
            )
