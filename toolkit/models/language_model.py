"""What a causal language model is to whoever runs it: its context, vocabulary, end tokens and key/value cache.

`language_model.json` travels with the model file, through the artifact into the repository entry, where the backend
reads it. This module does not know how the model was exported or is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.records import read_json

LANGUAGE_MODEL_FILE = "language_model.json"
#: What travels with a language model beside its description, where the customer's folder has it.
LANGUAGE_MODEL_COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
)
ITEM_BYTES = {"float32": 4, "float16": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """`cache` says how the graph takes its keys and values, [batch, kv_heads, tokens, head_size] for every layer.

    in_place: past and present may be one buffer, longer than what is in it, and the attention mask's row sums say how
    much of each row counts. appended: present is past with the new tokens behind it.
    """

    architecture: str
    parameters: int
    context_length: int
    vocabulary_size: int
    layers: int
    kv_heads: int
    head_size: int
    cache: Literal["in_place", "appended"]
    cache_dtype: Literal["float32", "float16"]
    end_token_ids: tuple[int, ...]

    @property
    def cache_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers: 2 x layers x kv_heads x head_size x item size."""
        return 2 * self.layers * self.kv_heads * self.head_size * ITEM_BYTES[self.cache_dtype]


def read_language_model(folder: Path) -> LanguageModel:
    """The description in a folder. Raises ConfigurationError when it is absent or not understood."""
    return read_json(folder / LANGUAGE_MODEL_FILE, LanguageModel)
