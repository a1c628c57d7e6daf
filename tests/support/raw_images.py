"""PNG and TIFF files made sample by sample, of depths that Pillow does not write."""

import io
import struct
import zlib

import numpy as np


def png(samples: np.ndarray, *, depth: int, color: int, key: bytes = b"") -> bytes:
    """Return a PNG of packed samples (H, W) or (H, W, C)."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = [np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -depth:] for row in rows]
        lines = [np.packbits(row.reshape(-1)).tobytes() for row in bits]

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    height, width = samples.shape[:2]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
            chunk(b"tRNS", key) if key else b"",
            chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))),
            chunk(b"IEND", b""),
        ]
    )


def tiff(
    samples: np.ndarray,
    *,
    bits: int = 0,
    white_is_zero: bool = False,
    nodata: str = "",
    alpha: int | None = None,
    order: str = "<",
    orientation: int = 1,
) -> bytes:
    """Return an uncompressed TIFF of samples (H, W) or (H, W, C); 12 bits are packed."""
    height, width = samples.shape[:2]
    bands = 1 if samples.ndim == 2 else samples.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    bits = bits or samples.dtype.itemsize * 8
    body = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    if bits == 12:
        wide = np.unpackbits(samples.astype(">u2").view(np.uint8).reshape(height, width, 2), axis=2)
        body = np.packbits(wide[:, :, 4:].reshape(height, -1), axis=1).tobytes()
    photometric = 2 if bands >= 3 else 0 if white_is_zero else 1
    tags: list[tuple[int, str, tuple[int, ...] | bytes]] = [
        (256, "I", (width,)),
        (257, "I", (height,)),
        (258, "H", (bits,) * bands),
        (259, "H", (1,)),
        (262, "H", (photometric,)),
        (273, "I", (0,)),
        (274, "H", (orientation,)),
        (277, "H", (bands,)),
        (278, "I", (height,)),
        (279, "I", (len(body),)),
    ]
    if alpha is not None:
        tags.append((338, "H", (alpha,)))
    tags.append((339, "H", (kind,) * bands))
    if nodata:
        tags.append((42113, "s", nodata.encode() + b"\0"))
    start = 8 + 2 + 12 * len(tags) + 4
    extra, entries = b"", b""
    for tag, code, values in tags:
        if isinstance(values, bytes):
            packed = values
        else:
            numbers = (start + 1000,) if tag == 273 else values
            packed = struct.pack(f"{order}{len(values)}{code}", *numbers)
        number = {"H": 3, "I": 4, "s": 2}[code]
        if len(packed) > 4:
            field = struct.pack(f"{order}I", start + len(extra))
            extra += packed + b"\0" * (len(packed) % 2)
        else:
            field = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, number, len(values)) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + entries + b"\0\0\0\0" + extra.ljust(1000, b"\0") + body


def dicom(samples: np.ndarray, **elements: object) -> bytes:
    """Return an uncompressed DICOM file of samples (H, W), (H, W, 3) or (frames, H, W).

    ``elements`` are set after those that the samples determine.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    is_color = samples.ndim == 3 and samples.shape[2] == 3
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["sample"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("sample", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = samples.shape[:2] if is_color else samples.shape[-2:]
    if samples.ndim == 3 and not is_color:
        dataset.NumberOfFrames = len(samples)
    dataset.SamplesPerPixel = 3 if is_color else 1
    dataset.PhotometricInterpretation = "RGB" if is_color else "MONOCHROME2"
    if is_color:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = samples.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(samples.dtype.kind == "i")
    dataset.PixelData = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
