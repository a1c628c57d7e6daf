"""Whether a file has pages or frames after the first, which no decoder reads.

Smaller copies of the first page in a TIFF file, such as a preview, are no further pages.
"""

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from mmap import mmap

_NEW_SUBFILE_TYPE = 254
_IS_REDUCED = 1
_MAX_LISTS = 10_000
"""Lists of tags that are looked at, since damaged files can have endless chains."""
_ANIMATED_WEBP = 2


def has_further_pages(data: bytes, kind: str) -> bool:
    """Look for further pages without decoding pixels.

    Args:
        data: A file that the decoder of its format can decode.
        kind: Name of the format in ``registry.FORMATS``.
    """
    if kind == "TIFF":
        return len(tiff_pages(data)) > 1
    if kind == "GIF":
        return _of_gif(data)
    if kind == "WEBP":
        return data[12:16] == b"VP8X" and bool(data[20] & _ANIMATED_WEBP)
    return kind == "DICOM" and dicom_frames(io.BytesIO(data)) > 1


def tiff_pages(data: "bytes | mmap") -> list[int]:
    """Return the numbers of the pages of a TIFF file, from 0, without smaller copies.

    Follows the chain of tag lists (TIFF 6.0, section 2; BigTIFF has wider fields).
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    count_form, offset_form, tag_size = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    count_size = struct.calcsize(count_form)
    pages = [0]
    try:
        (at,) = struct.unpack_from(order + offset_form, data, 8 if is_big else 4)
        for number in range(_MAX_LISTS):
            if not at:
                break
            (count,) = struct.unpack_from(order + count_form, data, at)
            tags = at + count_size
            if number and not _is_reduced(data, order, tags, count, tag_size):
                pages.append(number)
            (at,) = struct.unpack_from(order + offset_form, data, tags + count * tag_size)
    except struct.error:  # cut short behind the first page
        pass
    return pages


def _is_reduced(data: "bytes | mmap", order: str, tags: int, count: int, tag_size: int) -> bool:
    for number in range(min(count, _MAX_LISTS)):
        tag, kind = struct.unpack_from(order + "HH", data, tags + number * tag_size)
        if tag == _NEW_SUBFILE_TYPE:
            value = tags + number * tag_size + tag_size - (8 if tag_size == 20 else 4)
            (found,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, value)
            return bool(found & _IS_REDUCED)
    return False


def _of_gif(data: bytes) -> bool:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("GIF",)) as image:
        try:
            image.seek(1)
        except (EOFError, OSError, ValueError):
            return False
    return True


def dicom_frames(stream: BinaryIO) -> int:
    """Return the number of frames of a DICOM file."""
    import pydicom

    found = pydicom.dcmread(stream, specific_tags=["NumberOfFrames"], stop_before_pixels=True)
    return int(found.get("NumberOfFrames") or 1)
