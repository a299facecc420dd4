"""The customer's PyTorch model: a small convolutional network that reads handwritten digits."""

from __future__ import annotations

import numpy as np
import torch
from data import splits
from train import trained

OUTPUT_NAMES = ("probabilities",)


class DigitsNet(torch.nn.Module):
    """Images [n, 1, 8, 8] in 0..1 to class probabilities [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(64, 128, 3, padding=1),
            torch.nn.ReLU(),
        )
        self.classifier = torch.nn.Linear(128 * 4 * 4, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(image).flatten(1)).softmax(-1)


def load_model() -> torch.nn.Module:
    """The trained network (trained on first use, in seconds)."""
    torch.manual_seed(0)
    return trained(DigitsNet())


def sample_inputs(seed: int, n: int) -> dict[str, np.ndarray]:
    """`n` training images drawn by `seed`."""
    images, _, _, _ = splits()
    return {"image": images[np.random.default_rng(seed).integers(0, len(images), n)]}


def held_out() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The images that training never saw, with their labels."""
    _, images, _, labels = splits()
    return {"image": images}, labels
