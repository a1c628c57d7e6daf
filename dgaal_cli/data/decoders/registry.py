"""The image formats that dgaal reads. Decoders are imported when they are first used."""

from importlib import import_module
from typing import NamedTuple

from dgaal_cli.data.decoders.base import Decoder
from dgaal_cli.data.unreadable import UnreadableImageError


class Format(NamedTuple):
    """One format of image files."""

    name: str
    suffixes: tuple[str, ...]
    """Usual suffixes of file names, most common first; only content determines the format."""
    magic: tuple[tuple[int, bytes], ...]
    """Offset in the file, in bytes, and the bytes there; one matching pair is enough."""
    decoder: str
    """``module:function``, a ``base.Decoder``; imported when the first such file is decoded."""
    package: str = ""
    """Package that the decoder needs in addition to the core install."""
    extra: str = ""
    """The extra of dgaal that installs ``package``."""

    def matches(self, head: bytes) -> bool:
        """Return whether a file that starts with these bytes has this format."""
        for offset, magic in self.magic:  # noqa: SIM110 - a generator takes four times as long
            if head.startswith(magic, offset):
                return True
        return False

    @property
    def missing_package(self) -> str:
        """Reason of an image that needs a package that is not installed."""
        return missing_package(self.name, self.package, self.extra)


_NOT_INSTALLED = "which is not installed; run: python -m pip install 'dgaal["


def missing_package(name: str, package: str, extra: str) -> str:
    """Return the reason of an image that needs a package that is not installed."""
    return f"{name} needs {package}, {_NOT_INSTALLED}{extra}]'"


_PILLOW = "dgaal_cli.data.decoders.pillow:decode"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")

_PNM = tuple(
    (0, b"P" + kind + space)
    for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F")
    for space in (b"\n", b" ", b"\r", b"\t")
)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TGA = ((0, 2), (0, 3), (0, 10), (0, 11), (1, 1), (1, 9))
"""Whether there is a palette, and the type of colors."""

FORMATS = (
    Format("JPEG", (".jpg", ".jpeg", ".jfif"), ((0, b"\xff\xd8\xff"),), _PILLOW),
    Format(
        "PNG", (".png",), ((0, b"\x89PNG\r\n\x1a\n"),), "dgaal_cli.data.decoders.plain_png:decode"
    ),
    Format("WEBP", (".webp",), ((0, b"RIFF"),), _PILLOW),
    Format("BMP", (".bmp",), ((0, b"BM"),), _PILLOW),
    # Before TIFF: a DICOM file may start like one.
    Format(
        "DICOM",
        (".dcm",),
        ((128, b"DICM"),),
        "dgaal_cli.data.decoders.dicom:decode",
        package="pydicom",
        extra="scientific",
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        tuple((0, magic) for magic in _TIFF),
        "dgaal_cli.data.decoders.tiff:decode",
    ),
    Format("GIF", (".gif",), ((0, b"GIF87a"), (0, b"GIF89a")), _PILLOW),
    Format("AVIF", (".avif",), ((4, b"ftypavif"), (4, b"ftypavis")), _PILLOW),
    Format(
        "JPEG2000",
        (".jp2", ".j2k", ".jpx"),
        ((0, b"\0\0\0\x0cjP  \r\n\x87\n"), (0, b"\xff\x4f\xff\x51")),
        _PILLOW,
    ),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), _PNM, _PILLOW),
    Format(
        "HEIC",
        (".heic", ".heif"),
        tuple((4, b"ftyp" + brand) for brand in _HEIC_BRANDS),
        "dgaal_cli.data.decoders.heif:decode",
        package="pillow_heif",
        extra="heic",
    ),
    Format(
        "JPEG XL",
        (".jxl",),
        ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL \r\n\x87\n")),
        "dgaal_cli.data.decoders.jpeg_xl:decode",
        package="imagecodecs",
        extra="jxl",
    ),
    # Last: a file of it is only known by its type of colors, in two bytes.
    Format("TGA", (".tga",), tuple((1, bytes(pair)) for pair in _TGA), _PILLOW),
)
"""The first format that matches a file decodes it."""

_loaded: dict[str, Decoder] = {}

SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes)


def format_names() -> str:
    """Return the names of all formats for use in a sentence."""
    *names, last = (one.name for one in FORMATS)
    return f"{', '.join(names)} or {last}"


def not_an_image() -> UnreadableImageError:
    """Return the error for a file of unknown format."""
    return UnreadableImageError(f"not a {format_names()} image")


def find_format(data: bytes) -> Format | None:
    """Return the format of a file by its first bytes; None if it is unknown."""
    for one in FORMATS:
        if one.matches(data):
            return one
    return None


def is_missing_package(reason: str) -> bool:
    """Return whether an image is unreadable because a package is not installed."""
    return _NOT_INSTALLED in reason


def load_decoder(kind: Format) -> Decoder:
    """Return a format's decoder; import it on first use.

    Raises:
        UnreadableImageError: The package that the decoder needs is not installed.
    """
    known = _loaded.get(kind.decoder)
    if known is not None:
        return known
    module, _, function = kind.decoder.partition(":")
    try:
        return _loaded.setdefault(kind.decoder, getattr(import_module(module), function))
    except ModuleNotFoundError as error:
        if kind.package and (error.name or "").partition(".")[0] == kind.package:
            raise UnreadableImageError(kind.missing_package) from None
        raise
