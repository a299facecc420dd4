"""The customer's model as a folder of Hugging Face; by default a small one of this PoC's own, made on first use."""

from __future__ import annotations

from pathlib import Path

from train import trained


def load_model(steps: int, seconds: float) -> Path:
    """The folder of the trained model: config.json, model.safetensors, tokenizer.json and its settings."""
    return trained(steps, seconds)
