"""A digest at the end of every artifact, checked before the file is parsed.

No model format detects damage: after one flipped bit, most files still load and give wrong
results without an error. The trailer contains the SHA-256 of all bytes before it, in a place that
the format ignores, so a sealed file is still a valid ONNX or TorchScript file. The seal proves
that the bytes are unchanged, not who wrote them.
"""

import hashlib

_KEY = b"dgaal.seal.sha256"
_HEX_LENGTH = 64

# ModelProto.metadata_props (field 14) holding StringStringEntryProto {1: key, 2: value}.
_ENTRY = bytes((0x0A, len(_KEY))) + _KEY + bytes((0x12, _HEX_LENGTH))
_ONNX_MARK = bytes((0x72, len(_ENTRY) + _HEX_LENGTH)) + _ENTRY

# The comment of a zip archive: its length is in the last two bytes of the end record.
_ZIP_END = b"PK\x05\x06"
_ZIP_END_LENGTH = 22
_ZIP_MARK = _KEY + b"="
_ZIP_COMMENT_LENGTH = len(_ZIP_MARK) + _HEX_LENGTH

_MARKS = {"onnx": _ONNX_MARK, "torchscript": _ZIP_MARK}


class SealError(ValueError):
    """The bytes are not the complete and unchanged content of a sealed file."""


def seal(data: bytes, format: str) -> bytes:  # noqa: A002 - the word users know
    """Append the trailer.

    Args:
        data: An unsealed ONNX or TorchScript file.
        format: ``"onnx"`` or ``"torchscript"``.

    Raises:
        SealError: The end of the file has no place for the trailer.
    """
    if format == "torchscript":
        data = _with_comment_length(data)
    body = data + _MARKS[format]
    return body + hashlib.sha256(body).hexdigest().encode()


def check(data: bytes, format: str) -> None:  # noqa: A002
    """Check that no byte has changed since the file was sealed.

    Raises:
        SealError: A byte was changed, removed or added, or the file was never sealed.
    """
    mark = _MARKS[format]
    body, digest = data[:-_HEX_LENGTH], data[-_HEX_LENGTH:]
    if not body.endswith(mark):
        raise SealError("it is truncated, or was not written by 'dgaal export'")
    if format == "torchscript" and not _has_comment_length(body):
        raise SealError("it is truncated, or was not written by 'dgaal export'")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise SealError("its content has changed since the export")


def _with_comment_length(data: bytes) -> bytes:
    end = data[-_ZIP_END_LENGTH:]
    if not end.startswith(_ZIP_END) or end[-2:] != b"\0\0":
        raise SealError("it does not end like a zip archive without a comment")
    return data[:-2] + _ZIP_COMMENT_LENGTH.to_bytes(2, "little")


def _has_comment_length(body: bytes) -> bool:
    end = body[: -len(_ZIP_MARK)][-_ZIP_END_LENGTH:]
    return end.startswith(_ZIP_END) and end[-2:] == _ZIP_COMMENT_LENGTH.to_bytes(2, "little")
