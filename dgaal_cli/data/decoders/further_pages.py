"""Whether a file has pages or frames after the first, which no decoder reads.

Smaller copies of the first page in a TIFF file, such as a preview, are no further pages.
"""

import io
import struct

_NEW_SUBFILE_TYPE = 254
_IS_REDUCED = 1
_MAX_LISTS = 1000
"""Lists of tags that are looked at, since damaged files can have endless chains."""
_ANIMATED_WEBP = 2


def has_further_pages(data: bytes, kind: str) -> bool:
    """Look for further pages without decoding pixels.

    Args:
        data: A file that the decoder of its format can decode.
        kind: Name of the format in ``registry.FORMATS``.
    """
    if kind == "TIFF":
        return _of_tiff(data)
    if kind == "GIF":
        return _of_gif(data)
    if kind == "WEBP":
        return data[12:16] == b"VP8X" and bool(data[20] & _ANIMATED_WEBP)
    return kind == "DICOM" and _of_dicom(data)


def _of_tiff(data: bytes) -> bool:
    """Follow the chain of tag lists (TIFF 6.0, section 2; BigTIFF has wider fields)."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    count_form, offset_form, tag_size = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    count_size = struct.calcsize(count_form)
    try:
        (at,) = struct.unpack_from(order + offset_form, data, 8 if is_big else 4)
        for number in range(_MAX_LISTS):
            if not at:
                return False
            (count,) = struct.unpack_from(order + count_form, data, at)
            tags = at + count_size
            if number and not _is_reduced(data, order, tags, count, tag_size):
                return True
            (at,) = struct.unpack_from(order + offset_form, data, tags + count * tag_size)
    except struct.error:  # cut short behind the first page
        pass
    return False


def _is_reduced(data: bytes, order: str, tags: int, count: int, tag_size: int) -> bool:
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


def _of_dicom(data: bytes) -> bool:
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=["NumberOfFrames"])
    return int(dataset.get("NumberOfFrames") or 1) > 1
