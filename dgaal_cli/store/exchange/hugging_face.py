"""Hugging Face ``imagefolder``: images and ``metadata.jsonl`` with one line per image."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dgaal_cli.atomic import write_bytes
from dgaal_cli.store.exchange.base import ExportJob, Parsed, origin_of, with_and_without_suffix
from dgaal_cli.store.exchange.folders import place
from dgaal_cli.store.exchange.json_lines import parse_lines

METADATA = "metadata.jsonl"


class HuggingFace:
    """``file_name`` is the path relative to the metadata, ``label`` the class name."""

    def fill(self, folder: Path, job: ExportJob) -> int:
        """Write the effective labels by name."""
        labels = job.class_labels("hf")
        lines = [
            json.dumps(
                {
                    "file_name": place(label, folder, job),
                    "label": job.names[uid],
                    **origin_of(label),
                }
            )
            for label, uid in labels
        ]
        write_bytes(folder / METADATA, "".join(f"{line}\n" for line in lines).encode())
        return len(labels)

    def read(self, path: Path) -> Iterator[Parsed]:
        """Yield the labels of a folder or of its metadata file."""
        for parsed in parse_lines(path / METADATA if path.is_dir() else path):
            yield replace(parsed, names=with_and_without_suffix(parsed.names[0]))
