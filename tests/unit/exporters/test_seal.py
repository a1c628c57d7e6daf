import hashlib
import io
import zipfile

import pytest
from unsealing import unsealed

from exporters import onnx_wire, seal

FORMATS = ("onnx", "torchscript")


def body(format_: str) -> bytes:
    if format_ == "onnx":
        return onnx_wire.with_metadata(b"\x08\x0a", "some", b"thing" * 20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"weights" * 20)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", FORMATS)
def test_sealed_file_passes_check_and_unseals_to_the_original(format_: str) -> None:
    sealed = seal.seal(body(format_), format_)
    seal.check(sealed, format_)
    assert unsealed(sealed, format_) == body(format_)
    assert sealed[-64:].decode() == hashlib.sha256(sealed[:-64]).hexdigest()


def test_sealed_file_is_a_valid_file_of_its_format() -> None:
    entries = dict(onnx_wire.metadata(seal.seal(body("onnx"), "onnx")))
    assert entries["some"] == b"thing" * 20
    assert len(entries["dgaal.seal.sha256"]) == 64
    sealed = seal.seal(body("torchscript"), "torchscript")
    with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
        assert archive.testzip() is None
        assert archive.read("archive/data.pkl") == b"weights" * 20
        assert archive.comment.startswith(b"dgaal.seal.sha256=")


@pytest.mark.parametrize("format_", FORMATS)
def test_check_refuses_every_flipped_bit(format_: str) -> None:
    sealed = seal.seal(body(format_), format_)
    for position in range(len(sealed)):
        for bit in range(8):
            damaged = bytearray(sealed)
            damaged[position] ^= 1 << bit
            with pytest.raises(seal.SealError):
                seal.check(bytes(damaged), format_)


@pytest.mark.parametrize("format_", FORMATS)
def test_check_refuses_every_truncation_and_extra_byte(format_: str) -> None:
    sealed = seal.seal(body(format_), format_)
    variants = [sealed[:length] for length in range(len(sealed))]
    variants += [sealed[1:], b"\0" + sealed, sealed + b"\0", sealed + b"\n", sealed + sealed]
    variants += [sealed[:9] + b"x" + sealed[9:], sealed[:9] + sealed[10:]]
    for variant in variants:
        with pytest.raises(seal.SealError):
            seal.check(variant, format_)


def test_check_refuses_the_seal_of_another_format() -> None:
    with pytest.raises(seal.SealError):
        seal.check(seal.seal(body("onnx"), "onnx"), "torchscript")
    with pytest.raises(seal.SealError):
        seal.check(seal.seal(body("torchscript"), "torchscript"), "onnx")


def test_check_refuses_digest_in_upper_case() -> None:
    sealed = seal.seal(body("onnx"), "onnx")
    with pytest.raises(seal.SealError, match="has changed"):
        seal.check(sealed[:-64] + sealed[-64:].upper(), "onnx")


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 9])
def test_seal_refuses_torchscript_that_is_not_a_zip_archive(data: bytes) -> None:
    with pytest.raises(seal.SealError, match="zip archive"):
        seal.seal(data, "torchscript")


def test_seal_refuses_sealed_archive() -> None:
    with pytest.raises(seal.SealError, match="comment"):
        seal.seal(seal.seal(body("torchscript"), "torchscript"), "torchscript")


def test_check_refuses_wrong_comment_length() -> None:
    sealed = seal.seal(body("torchscript"), "torchscript")
    mark = sealed.rindex(b"dgaal.seal.sha256=")
    forged = sealed[: mark - 2] + b"\x01\x00" + sealed[mark:-64]
    with pytest.raises(seal.SealError, match="truncated"):
        seal.check(forged + hashlib.sha256(forged).hexdigest().encode(), "torchscript")
