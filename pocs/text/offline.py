"""The same classes without a server, by code of its own: the tokenizer and PyTorch, one text after another."""

from __future__ import annotations

import pydoc_data.topics
from pathlib import Path

import numpy as np
import torch
from model import LENGTH, load_model
from tokenizers import Tokenizer

TOKENIZER = Path(__file__).parent / "tokenizer" / "tokenizer.json"


def offline(hidden: int, layers: int, texts: int) -> dict[str, np.ndarray]:
    """What is asked, sentences of Python's own help, an empty and a far too long text; and the answers."""
    help_pages = " ".join(pydoc_data.topics.topics.values())
    asked = ["", "größer als ÜBERALL", help_pages[:2000]] + [s.strip() for s in help_pages.split(". ")]
    asked = asked[:texts]
    model, tokenizer = load_model(hidden, layers), Tokenizer.from_file(str(TOKENIZER))
    tokenizer.enable_truncation(LENGTH)
    with torch.no_grad():
        answers = [model(*_one_row(tokenizer.encode(text).ids)).numpy() for text in asked]
    texts_as_bytes = np.array([[text.encode()] for text in asked], dtype=object)
    return {"input.TEXT": texts_as_bytes, "answer.logits": np.concatenate(answers)}


def _one_row(ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    row = torch.tensor([ids])
    return row, torch.ones_like(row)
