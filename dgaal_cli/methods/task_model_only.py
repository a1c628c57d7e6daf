"""Base for methods that need only the task model and differ in how they rank."""

import torch
from torch import Tensor

from dgaal_cli.config.schema import Config
from dgaal_cli.methods.base import Method, TaskShape
from dgaal_cli.networks.classifier import Classifier
from dgaal_cli.networks.deploy import Deployed, DeployedClassifier, Sampler, Scored
from dgaal_cli.networks.pixels import normalize
from dgaal_cli.training.classifier import classifier_phase
from dgaal_cli.training.data import RoundData
from dgaal_cli.training.phase import Phase


class ClassifierSampler(Sampler):
    """Scores an image from T's outputs for it; subclasses define ``score``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def score(self, images: Tensor, logits: Tensor, features: Tensor) -> Tensor:
        """Return scores ``(N,)`` for normalized images, logits ``(N, K)``, features ``(N, F)``."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Scored:
        """Score uint8 images ``(N, H, W, C)``."""
        x = normalize(images)
        logits, features = self.classifier(x)
        return self.score(x, logits, features), torch.softmax(logits, dim=1), features


class TaskModelOnly(Method):
    """Trains T each round; subclasses add ``name`` and ``rank``, and a sampler if they have one."""

    sampler_type: type[ClassifierSampler] | None = None
    """Sampler that needs nothing but T."""

    def __init__(self, config: Config, shape: TaskShape) -> None:
        self.config = config
        self.classifier = shape.task_model(config)
        self.modules = {"classifier": self.classifier}

    def learn(self, data: RoundData) -> list[Phase]:
        """T on the current labels."""
        if not data.can_learn:
            return []
        return [classifier_phase(self.classifier, self.config.classifier, data)]

    def deploy(self, data: RoundData) -> list[Deployed]:
        """The classifier, and a sampler if T is all that it needs."""
        samplers = [] if self.sampler_type is None else [self.sampler_type(self.classifier)]
        return [DeployedClassifier(self.classifier), *samplers]
