"""Choose the encoder of a new workspace, and describe the choice."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.encoders.registry import download_weights, load_encoder, located
from dgaal_cli.errors import DgaalError

PACKAGE = "package:efficientnet-lite0"
MAX_THUMBNAIL = 64
"""Side in pixels up to which networks are trained on the pixels."""

Table = dict[str, str | int | tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEncoder:
    """An encoder that works here."""

    settings: EncoderConfig
    note: str
    """Why it was chosen, or what was guessed; may be empty."""

    def as_table(self) -> Table:
        """Return the table ``[encoder]`` of a configuration."""
        return encoder_table(self.settings)


def encoder_table(settings: EncoderConfig) -> Table:
    """Return the settings that differ from the defaults, and the source."""
    unset = EncoderConfig()
    values = {each.name: getattr(settings, each.name) for each in dataclasses.fields(settings)}
    return {
        name: value
        for name, value in values.items()
        if name == "source" or value != getattr(unset, name)
    }


def open_encoder(source: str, *, base: Path, downloads: bool = False) -> ChosenEncoder:
    """Load an encoder once and fill its settings, so that a later change of a file is noticed.

    Args:
        source: As ``encoder.source``; a relative path is relative to ``base``.
        base: Folder.
        downloads: Whether weights may be downloaded.

    Raises:
        DgaalError: The encoder is unknown or does not work here.
    """
    settings = located(EncoderConfig(source=source), base)
    if source == "pixels":
        return ChosenEncoder(settings=settings, note="")
    if downloads:
        download_weights(settings)
    encoder = load_encoder(settings, image_size=MAX_THUMBNAIL, channels=3)
    filled = getattr(encoder, "settings", settings)
    guesses: tuple[str, ...] = getattr(encoder, "guesses", ())
    note = (
        f"encoder {encoder.name}: {encoder.dimension} features of images of "
        f"{encoder.input_size} x {encoder.input_size} pixels"
    )
    if guesses:
        note += (
            f"; the file does not state {', '.join(guesses)}: check these values in [encoder] of "
            "dgaal.toml"
        )
    return ChosenEncoder(settings=filled, note=note)


def choose_encoder(median_side: int) -> ChosenEncoder:
    """Choose for images whose shorter side has a median of this many pixels."""
    pixels = EncoderConfig()
    if median_side <= MAX_THUMBNAIL:
        return ChosenEncoder(
            settings=pixels,
            note=f"encoder pixels: for images of at most {MAX_THUMBNAIL} pixels a side, networks "
            "are trained from scratch",
        )
    try:
        return open_encoder(PACKAGE, base=Path())
    except DgaalError as error:
        return ChosenEncoder(
            settings=pixels,
            note=f"encoder pixels: networks are trained from scratch, because {error}",
        )
