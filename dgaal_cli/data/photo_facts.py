"""What the file of a photograph says beside its pixels: size, time and camera."""

from dataclasses import dataclass
from pathlib import Path

_MAX_TEXT = 80
"""Characters kept of a text in a file."""
_FORMATS = ("JPEG", "MPO", "TIFF", "WEBP")
"""Formats whose EXIF Pillow reads without decoding pixels, for which the screen must not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFacts:
    """Facts about a file; each is empty if the file does not state it."""

    size_bytes: int | None = None
    taken_at: str = ""
    """Local time of the camera: ``2024-05-31 14:05:59``."""
    camera: str = ""
    """Make and model."""


NO_FACTS = PhotoFacts()


def photo_facts(path: Path) -> PhotoFacts:
    """Read size, and time and camera from EXIF; never raises, because files may be damaged."""
    try:
        size = path.stat().st_size
    except OSError:
        return NO_FACTS
    try:
        taken_at, camera = _read_exif(path)
    except Exception:  # noqa: BLE001 - damaged EXIF raises errors of any type in Pillow
        return PhotoFacts(size_bytes=size)
    return PhotoFacts(size_bytes=size, taken_at=taken_at, camera=camera)


def _read_exif(path: Path) -> tuple[str, str]:
    from PIL import ExifTags, Image

    with Image.open(path, formats=_FORMATS) as image:
        exif = image.getexif()
        taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        taken = _text(taken or exif.get(ExifTags.Base.DateTime))
        make, model = (_text(exif.get(t)) for t in (ExifTags.Base.Make, ExifTags.Base.Model))
    date, _, clock = taken.partition(" ")
    known_make = "" if model.casefold().startswith(make.casefold()) else make
    return f"{date.replace(':', '-')} {clock}".strip(), f"{known_make} {model}".strip()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value.strip("\0 ")[:_MAX_TEXT] if isinstance(value, str) else ""
