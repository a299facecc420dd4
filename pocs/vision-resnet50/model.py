"""ResNet-50 as transformers builds it from its configuration, with seeded random weights.

It costs what a real ResNet-50 costs; no accuracy is claimed for it.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import ResNetConfig, ResNetForImageClassification

OUTPUT_NAMES = ("logits",)
SIZE = 224


class Classifier(torch.nn.Module):
    """Images [n, 3, 224, 224] to class scores [n, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        self.network = ResNetForImageClassification(ResNetConfig(num_labels=1000))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=image).logits


def load_model() -> torch.nn.Module:
    """The network with the weights that seed 0 gives."""
    torch.manual_seed(0)
    return Classifier().eval()


def sample_inputs(seed: int, n: int) -> dict[str, np.ndarray]:
    """`n` standard-normal images, as normalised photographs would be."""
    return {"image": np.random.default_rng(seed).standard_normal((n, 3, SIZE, SIZE)).astype(np.float32)}
