"""A sampler of 4 MB with weights from a formula: four strided convolutions and a small head."""

import sys
from pathlib import Path

import torch
from making import SIDE
from torch import nn

from exporters import seal
from exporters.manifest import Manifest, TensorInfo
from exporters.registry import load_exporter
from exporters.spec import ExportSpec

WIDTHS = (32, 64, 160, 256)


class Sampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(WIDTHS[-1] * 4, 32))
        self.head = nn.Sequential(nn.Linear(32, 512), nn.ReLU(), nn.Linear(512, 1))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        score = self.head(self.encoder(x)).squeeze(1)
        return score, torch.sigmoid(score)


def sampler() -> Sampler:
    module = Sampler().eval()
    with torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            steps = torch.arange(weight.numel(), dtype=torch.float64).reshape(weight.shape)
            fan_in = max(1, weight.numel() // len(weight))
            weight.copy_(torch.sin(steps * 1.7 + number) * (2 / fan_in) ** 0.5)
    return module


def make_sampler(path: Path) -> None:
    if path.exists():
        return
    outputs = tuple(
        TensorInfo(name=name, shape=("N",), dtype="float32", meaning=name)
        for name in ("score", "p_unlabeled")
    )
    write_sealed(path, sampler(), outputs, side=SIDE)


def write_sealed(
    path: Path,
    module: nn.Module,
    outputs: tuple[TensorInfo, ...],
    *,
    side: int,
    precision: str = "float32",
) -> tuple[bytes, Manifest]:
    """Export a module for uint8 images of one size as a sealed sampler.

    Returns:
        The file before sealing, and its manifest.
    """
    images = TensorInfo(name="images", shape=("N", side, side, 3), dtype="uint8", meaning="pixels")
    manifest = Manifest(
        role="sampler",
        method="vaal",
        input_size=side,
        channels=3,
        inputs=(images,),
        outputs=outputs,
        precision=precision,
    )
    body = load_exporter("onnx")(module, ExportSpec(manifest=manifest))
    path.write_bytes(seal.seal(body, "onnx"))
    return body, manifest


if __name__ == "__main__":
    make_sampler(Path(sys.argv[1]))
