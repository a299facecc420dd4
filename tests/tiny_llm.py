"""A tiny language model as a customer's Hugging Face folder: random weights, and a tokenizer trained on a few pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.models.language_model import LanguageModel

#: Whole bytes are in the vocabulary, so that every text can be read and half a character can be written.
VOCABULARY = 384
CONTEXT = 192
#: Weights this large make the model say something new at every step.
SPREAD = 0.4


#: What the exporter says of a small model that nobody opens.
DESCRIBED = LanguageModel(
    architecture="LlamaForCausalLM",
    parameters=1000,
    context_length=512,
    vocabulary_size=8,
    layers=2,
    kv_heads=2,
    head_size=16,
    cache="in_place",
    cache_dtype="float32",
    end_token_ids=(1,),
)


def make_folder(folder: Path, architecture: str = "llama", **fields: Any) -> Path:
    """Write the folder; `architecture` is transformers' model type, `fields` go into its config."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder.mkdir(parents=True)
    make_tokenizer(folder, fields.get("vocab_size", VOCABULARY))
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    heads = {"num_key_value_heads": 2} if architecture == "llama" else {}
    common = {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 1}
    config = AutoConfig.for_model(architecture, **shape | heads | common | {"initializer_range": SPREAD} | fields)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def make_tokenizer(folder: Path, vocabulary: int) -> None:
    """Write a byte-level tokenizer, as most language models have one."""
    from pydoc_data.topics import topics

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    few = [topics["if"], topics["while"], topics["for"]]
    tokenizer.train_from_iterator(few if vocabulary == VOCABULARY else list(topics.values()), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
