"""Small networks whose weights come from a formula, with their export specs.

The values do not depend on torch's random generator. Every kind of layer that an artifact may have
occurs: BatchNorm, GroupNorm, residual sums, transposed convolutions, tanh, softmax, sorting.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exporters.manifest import Manifest, Role, TensorInfo
from exporters.spec import ExportSpec

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE, CLASSES, LATENT, NOISE = 8, 4, 6, 5


class Trunk(nn.Module):
    """Images to a feature map, with both kinds of normalization."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 4, stride=2, padding=1, bias=False)
        self.batch_norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, NOISE, 3, padding=1)
        self.group_norm = nn.GroupNorm(1, NOISE)
        self.residual = nn.Conv2d(NOISE, NOISE, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        x = torch.relu(self.batch_norm(self.first(x)))
        x = nn.functional.leaky_relu(self.group_norm(self.second(x)), 0.2)
        return x + self.residual(x)


class Sampler(nn.Module):
    """Score, P(unlabeled), probabilities and latent."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.dropout = nn.Dropout(0.5)
        self.latent = nn.Linear(NOISE * 16, LATENT)
        self.head = nn.Linear(LATENT, 1)
        self.classes = nn.Linear(LATENT, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = self.dropout(self.latent(self.trunk(images).flatten(1)))
        logit = self.head(z).squeeze(1)
        probabilities = torch.softmax(self.classes(z), dim=1)
        ranked = torch.sort(probabilities, dim=1, descending=True).values
        return logit + ranked[:, 1] - ranked[:, 0], torch.sigmoid(logit), probabilities, z


class Fragile(Sampler):
    """One channel is ten thousand times larger than the channel of the score."""

    def __init__(self) -> None:
        super().__init__()
        # More channels than pixels have: quantized to int8.
        self.wide = nn.Conv2d(6, 2, 1, bias=False)
        with torch.no_grad():
            rows = torch.tensor([[1e4] * 6, [1.0, -1.0, 0.0, 0.0, 0.0, 0.0]])
            self.wide.weight.copy_(rows[:, :, None, None])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        _, *others = super().forward(images)
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        x = self.wide(torch.cat([pixels, 1.0 - pixels], 1))
        return x[:, 1].mean((1, 2)), *others


class Generator(nn.Module):
    """Synthesizes copies of its parents, with a factor for each channel of the feature map."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.up = nn.ConvTranspose2d(NOISE, channels, 4, stride=2, padding=1)

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        x = torch.tanh(self.up(self.trunk(images) * noise[:, :, None, None]))
        x = ((x + 1.0) * 127.5).round().clamp(0.0, 255.0)
        return x.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Classifier(nn.Module):
    """Logits and probabilities."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.head = nn.Linear(NOISE, CLASSES)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.head(self.trunk(images).mean((2, 3)))
        return logits, torch.softmax(logits, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A module and its export spec."""

    name: str
    module: nn.Module
    spec: ExportSpec


def info(name: str, *lengths: int, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name=name, shape=("N", *lengths), dtype=dtype, meaning=f"the {name}")


def manifest(
    role: Role, outputs: tuple[TensorInfo, ...], *, channels: int = 3, **changes: object
) -> Manifest:
    images = info("images", SIZE, SIZE, channels, dtype="uint8")
    inputs = (images, info("noise", NOISE)) if role == "generator" else (images,)
    names = () if role == "generator" else ("cat", "dog", "owl", "[/b]")
    fields: dict[str, object] = {
        "method": "dgaal",
        "classes": names,
        "class_uids": tuple(f"uid-{position}" for position in range(len(names))),
        "created": "2026-11-21T09:00:00Z",
        "versions": {"dgaal": "0.1.0"},
        "labels": 40,
        "round": 2,
        "dataset_digest": "ab" * 32,
        **changes,
    }
    return Manifest(
        role=role,
        input_size=SIZE,
        channels=channels,
        inputs=inputs,
        outputs=outputs,
        **fields,
    )


def sampler_case(channels: int = 3, **changes: object) -> Case:
    outputs = (
        info("score"),
        info("p_unlabeled"),
        info("probabilities", CLASSES),
        info("features", LATENT),
    )
    text = manifest("sampler", outputs, channels=channels, **changes)
    module = with_formula_weights(Sampler(channels))
    return Case(name=f"sampler-{channels}", module=module, spec=ExportSpec(manifest=text))


def generator_case(channels: int = 3, **changes: object) -> Case:
    outputs = (info("generated", SIZE, SIZE, channels, dtype="uint8"),)
    text = manifest("generator", outputs, channels=channels, **changes)
    module = with_formula_weights(Generator(channels))
    return Case(name=f"generator-{channels}", module=module, spec=ExportSpec(manifest=text))


def classifier_case(channels: int = 3, **changes: object) -> Case:
    outputs = (info("logits", CLASSES), info("probabilities", CLASSES))
    text = manifest("classifier", outputs, channels=channels, **changes)
    module = with_formula_weights(Classifier(channels))
    return Case(name=f"classifier-{channels}", module=module, spec=ExportSpec(manifest=text))


def all_cases() -> list[Case]:
    makers: list[Callable[[int], Case]] = [sampler_case, generator_case, classifier_case]
    return [make(channels) for make in makers for channels in (1, 3)]


def with_formula_weights(module: nn.Module) -> nn.Module:
    """Fill parameters and running statistics with values as large as after training."""
    with torch.no_grad():
        for position, (name, value) in enumerate(module.state_dict().items()):
            if not value.is_floating_point():
                continue
            steps = torch.arange(value.numel(), dtype=torch.float64).reshape(value.shape)
            wave = torch.sin(1.3 * steps + position)
            if "running_var" in name or ("norm" in name and name.endswith("weight")):
                value.copy_(1.0 + 0.5 * wave)
            else:
                fan_in = value[0].numel() if value.ndim > 1 else 4
                value.copy_(wave * math.sqrt(2.0 / max(1, fan_in)))
    return module


CASES_BY_ROLE = {
    "sampler": sampler_case,
    "generator": generator_case,
    "classifier": classifier_case,
}
