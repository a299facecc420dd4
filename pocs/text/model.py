"""A text classifier as transformers builds BERT from its configuration, with seeded random weights.

It costs what a BERT of this size costs; no accuracy is claimed for it.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

OUTPUT_NAMES = ("logits",)
VOCABULARY, LENGTH = 1000, 64


class Classifier(torch.nn.Module):
    """Token ids and their mask [n, length] to class scores [n, 3]."""

    def __init__(self, hidden: int, layers: int) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=hidden // 32,
            intermediate_size=4 * hidden,
            max_position_embeddings=LENGTH,
            num_labels=3,
        )
        self.network = BertForSequenceClassification(config)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids=input_ids, attention_mask=attention_mask).logits


def load_model(hidden: int, layers: int) -> torch.nn.Module:
    """The network with the weights that seed 0 gives."""
    torch.manual_seed(0)
    return Classifier(hidden, layers).eval()


def sample_inputs(seed: int, n: int) -> dict[str, np.ndarray]:
    """`n` rows of token ids, the ends of some of them padding."""
    random = np.random.default_rng(seed)
    ids = random.integers(4, VOCABULARY, (n, LENGTH // 2))
    used = np.arange(ids.shape[1]) < random.integers(3, ids.shape[1] + 1, (n, 1))
    return {"input_ids": np.where(used, ids, 0), "attention_mask": used.astype(np.int64)}
