"""Task model T: the classifier that the labels are for."""

from torch import Tensor, nn


class Classifier(nn.Module):
    """VGG-style network: pairs of 3 x 3 convolutions with BatchNorm, halved until 4 x 4.

    Args:
        channels: Channels C of the images.
        image_size: Side in pixels, a power of two of at least 8.
        classes: Number of classes K.
        width: Channels of the first pair; later pairs have up to four times as many.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, side, depth = channels, image_size, 0
        while side >= 4:
            after = width * min(2**depth, 4)
            for _ in range(2):
                layers += [
                    nn.Conv2d(before, after, 3, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                ]
                before = after
            layers.append(nn.MaxPool2d(2))
            side, depth = side // 2, depth + 1
        self.feature_width = 4 * width
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(before * side**2, self.feature_width), nn.ReLU()
        )
        self.head = nn.Linear(self.feature_width, classes)
        self.initialize()

    def initialize(self) -> None:
        """Draw the weights anew: Xavier (Glorot & Bengio 2010), as VAAL and DGAAL state for T."""
        self.apply(_initialize)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify images ``(B, C, H, W)`` in [-1, 1].

        Returns:
            Logits ``(B, K)`` and penultimate features h ``(B, 4 width)``.
        """
        features = self.body(images)
        return self.head(features), features


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
