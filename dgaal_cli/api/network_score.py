"""The score of a trained sampler on features: networks that follow the encoder in a file."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from dgaal_cli.artifacts.feature_head import Standardization
from dgaal_cli.features.kernel import Floats
from dgaal_cli.networks.deploy import SCORE, Sampler
from exporters import to_onnx
from exporters.compose import ComposedGraph


@dataclass(frozen=True, eq=False)
class NetworkScore:
    """What a sampler's networks compute of standardized features; see ``feature_head.Score``."""

    standardization: Standardization
    sampler: Sampler

    def of(self, features: Floats, probabilities: Floats) -> Floats:  # noqa: ARG002
        """See ``Score``."""
        rows = self.standardization.of(features).astype(np.float32)
        with torch.inference_mode():
            scores: torch.Tensor = self._module(torch.from_numpy(rows))[0]
        return scores.numpy().astype(np.float64)

    def add_to(self, graph: ComposedGraph, features: str, probabilities: str) -> str:  # noqa: ARG002
        """See ``Score``; raises ``ExportError`` if the networks cannot be exported."""
        rows = self.standardization.add_to(graph, features)
        return graph.graft(self._file, rows, SCORE.name)

    @cached_property
    def _module(self) -> Sampler:
        return self.sampler.cpu().eval()

    @cached_property
    def _file(self) -> bytes:
        rows = np.zeros((to_onnx.EXAMPLES, len(self.standardization.mean)), np.float32)
        outputs = [each.name for each in self.sampler.outputs]
        return to_onnx.convert(self.sampler, {"rows": rows}, outputs)
