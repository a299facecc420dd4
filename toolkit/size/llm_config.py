"""The shape of a language model from its config.json, in Hugging Face's field names. A file in, an LlmShape out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.size.llm_shape import LlmShape


def shape_from_path(path: Path) -> LlmShape:
    """The shape of a Hugging Face folder, or of a config.json. Raises ConfigurationError and UsageError."""
    file = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigurationError(
            f"{file} cannot be read as a config: {err}", mend="name a folder with a config.json"
        ) from err
    return shape_from_config(config, str(file))


def shape_from_config(config: Mapping[str, Any], where: str) -> LlmShape:
    """The shape in Hugging Face's field names. Raises ConfigurationError for what is no decoder-only transformer."""
    config = config.get("text_config", config)
    if config.get("is_encoder_decoder"):
        raise ConfigurationError(f"{where}: an encoder with a decoder is not bounded here; decoder-only models are")

    def number(*names: str, default: int | None = None) -> int:
        found = next((config[name] for name in names if config.get(name) is not None), default)
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise ConfigurationError(f"{where}: {names[0]} is {found!r}; expected a whole number of 1 or more")
        return found

    hidden, heads = number("hidden_size", "n_embd"), number("num_attention_heads", "n_head")
    experts = number("num_local_experts", "num_experts", "n_routed_experts", default=1)
    dense = number("intermediate_size", "n_inner", default=4 * hidden)
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    return LlmShape(
        layers=number("num_hidden_layers", "n_layer"),
        hidden=hidden,
        heads=heads,
        kv_heads=number("num_key_value_heads", default=heads),
        head_dim=number("head_dim", default=hidden // heads),
        intermediate=number("moe_intermediate_size", default=dense) if experts > 1 else dense,
        vocabulary=number("vocab_size"),
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        gated=config.get("model_type") not in ("gpt2", "opt", "gpt_neox", "phi", "bloom"),
        experts=experts,
        active_experts=number("num_experts_per_tok", default=1) if experts > 1 else 1,
        sliding_window=window if isinstance(window, int) else None,
    )
