"""The score of the exported sampler when one of its two parts is almost constant."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dgaal_cli.artifacts.engines.load import load_engine_bytes
from dgaal_cli.methods.dgaal.deploy import MIN_SPREAD, AdversarialSampler
from exporters import seal
from exporters.embedded import embed
from exporters.manifest import Manifest, TensorInfo
from exporters.registry import load_exporter
from exporters.spec import DEFAULT_TOLERANCE, ExportSpec

SIZE, LATENT, CLASSES = 8, 5, 3


def with_formula_weights(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for number, value in enumerate(module.parameters()):
            steps = torch.arange(value.numel(), dtype=torch.float64).reshape(value.shape)
            value.copy_(torch.sin(1.3 * steps + number) / value.numel() ** 0.5)
    return module


class TinyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 4, 4)
        self.head = nn.Linear(16, LATENT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        feature_map = torch.tanh(self.body(x))
        return feature_map, self.head(feature_map.flatten(1))


class SaturatedDiscriminator(nn.Module):
    """Logits far from zero that hardly vary, as those of a D1 that has won its game."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LATENT, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, z: Tensor) -> Tensor:
        return 37.0 + 1e-4 * self.body(z).squeeze(1)


class TinyClassifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(SIZE * SIZE * 3, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        return 9 * self.body(flat), flat


def sampler(spread: float) -> AdversarialSampler:
    parts = [
        with_formula_weights(TinyEncoder()),
        with_formula_weights(SaturatedDiscriminator()),
        with_formula_weights(TinyClassifier()),
    ]
    encoder, discriminator, classifier = parts
    return AdversarialSampler(
        encoder,  # type: ignore[arg-type]
        [discriminator],  # type: ignore[list-item]
        classifier,  # type: ignore[arg-type]
        share=0.5,
        statistics=(-37.0, spread, 0.4, 0.2),
    ).eval()


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-5])
def test_tiny_spread_does_not_amplify_rounding_errors(spread: float) -> None:
    module = sampler(spread)
    batch = torch.from_numpy(images(50))
    with torch.no_grad():
        score = module(batch)[0]
        exact = _in_double(module, batch)
    assert float((score.double() - exact).abs().max()) < DEFAULT_TOLERANCE


def _in_double(module: AdversarialSampler, batch: Tensor) -> Tensor:
    """Compute the same formula in float64; ``normalize`` returns float32, exact for pixels."""
    x = batch.permute(0, 3, 1, 2).double() / 127.5 - 1.0
    parts = module.double()
    _, z = parts.encoder(x)
    unlabeled = -parts.discriminators[0](z)
    probabilities = torch.softmax(parts.classifier(x)[0], dim=1).sort(dim=1, descending=True).values
    closeness = probabilities[:, 1] + probabilities[:, 1:].sum(1)
    mean_u, scale_u, mean_m, scale_m = parts.statistics
    return 0.5 * (unlabeled - mean_u) / scale_u + 0.5 * (closeness - mean_m) / scale_m


def test_spread_floor_scales_with_the_mean_and_keeps_larger_spreads() -> None:
    statistics = sampler(0.0).statistics
    assert float(statistics[1]) == pytest.approx(37 * MIN_SPREAD)
    assert float(statistics[3]) == pytest.approx(0.2)
    assert float(sampler(2.5).statistics[1]) == pytest.approx(2.5)


def test_exported_saturated_sampler_equals_the_eager_model() -> None:
    def info(name: str, *lengths: int, dtype: str = "float32") -> TensorInfo:
        return TensorInfo(name=name, shape=("N", *lengths), dtype=dtype, meaning=name)

    manifest = Manifest(
        role="sampler",
        method="dgaal",
        input_size=SIZE,
        channels=3,
        inputs=(info("images", SIZE, SIZE, 3, dtype="uint8"),),
        outputs=(
            info("score"),
            info("p_unlabeled"),
            info("probabilities", CLASSES),
            info("features", LATENT),
        ),
        classes=("a", "b", "c"),
        class_uids=("1", "2", "3"),
    )
    module = sampler(1e-9)
    body = load_exporter("onnx")(module, ExportSpec(manifest=manifest))
    data = seal.seal(embed(body, manifest, "onnx"), "onnx")
    engine = load_engine_bytes(data, format="onnx", device="cpu")
    with torch.no_grad():
        expected = module(torch.from_numpy(images(20)))
    for name, value in zip(("score", "p_unlabeled", "probabilities"), expected, strict=False):
        got = engine.run({"images": images(20)})[name]
        np.testing.assert_allclose(got, value.numpy(), atol=DEFAULT_TOLERANCE)
