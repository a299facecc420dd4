"""Load a Hugging Face folder for the task that its config names. Imports transformers, so only the worker calls this.

In: a Source of framework `huggingface`. Out: a ModelFile with named inputs, their axes and ranges, and samples.
Code that travels with weights is never run, and weights that the folder lacks are an error, not random numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ModelRefused
from toolkit.extras import require
from toolkit.models.code import customer_code
from toolkit.models.huggingface import read_config
from toolkit.models.named_forward import named_forward
from toolkit.models.pytorch import ModelFile, checked_module
from toolkit.models.source import Source
from toolkit.tensor import BATCH, TensorSpec, random_tensor

#: What a server answers for each task, by the fields of transformers' outputs.
OUTPUTS_OF_TASK = {
    "image-classification": ("logits",),
    "object-detection": ("logits", "pred_boxes"),
    "text-classification": ("logits",),
    "token-classification": ("logits",),
    "question-answering": ("start_logits", "end_logits"),
    "speech-encoder": ("last_hidden_state",),
    "feature-extraction": ("last_hidden_state", "pooler_output"),
}
#: Of these tasks an encoder-decoder serves its encoder: the decoder needs a loop that is no single graph.
_ENCODER_TASKS = ("speech-encoder", "feature-extraction")
_TOKENS, _IMAGE, _CHANNELS, _AUDIO_SAMPLES = 64, 224, 3, 4000


def load_huggingface(source: Source) -> ModelFile:
    """The model of a folder, in float32. Raises ModelRefused when it cannot be built, or when weights are absent."""
    if source.task not in OUTPUTS_OF_TASK:
        raise ModelRefused(
            f"{source.path} is a language model ({source.task}), which is no single ONNX graph",
            mend="toolkit new NAME --family llm --model DIR",
        )
    model = _load(source.path)
    if source.task in _ENCODER_TASKS and model.config.is_encoder_decoder:
        model = model.get_encoder()
    inputs = inputs_of(model, model.config)
    return ModelFile(
        module=checked_module(
            named_forward(model, tuple(t.name for t in inputs), outputs=OUTPUTS_OF_TASK[source.task]), str(source.path)
        ),
        sample_inputs=_samples_of(inputs, model.config, image_size(source.path)),
        inputs=inputs,
    )


def inputs_of(model: Any, config: Any) -> tuple[TensorSpec, ...]:
    """The inputs of a transformers model by its main one: tokens, pixels, spectrogram or sound."""
    main = model.main_input_name
    if main == "input_ids":
        return _text_inputs(model, config)
    if main == "pixel_values":
        height, width = _image_axes(config)
        return (TensorSpec(name=main, dtype="FP32", shape=(BATCH, _channels(config), height, width)),)
    if main == "input_features":
        frames = 2 * int(config.max_source_positions)  # Whisper's encoder takes exactly this many, and halves them
        return (TensorSpec(name=main, dtype="FP32", shape=(BATCH, int(config.num_mel_bins), frames)),)
    return (TensorSpec(name=main, dtype="FP32", shape=(BATCH, "samples")),)


def _load(folder: Path) -> Any:
    transformers = require("transformers")
    transformers.logging.set_verbosity_error()
    architecture = read_config(folder)["architectures"][0]
    with customer_code(folder, "transformers", ModelRefused, mend="load it with transformers itself to see more"):
        model, info = getattr(transformers, architecture).from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    absent = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if absent:
        raise ModelRefused(
            f"{folder}: its weights do not fill a {architecture}: {absent[0]} is missing or has another shape"
            f" ({len(absent)} in all)",
            mend="copy the weights and the config.json that belong together",
        )
    return model


def _text_inputs(model: Any, config: Any) -> tuple[TensorSpec, ...]:
    import inspect

    takes = inspect.signature(model.forward).parameters
    shape = (BATCH, "length")
    found = [TensorSpec(name="input_ids", dtype="INT64", shape=shape, low=0, high=int(config.vocab_size) - 1)]
    if "attention_mask" in takes:
        found.append(TensorSpec(name="attention_mask", dtype="INT64", shape=shape, low=0, high=1))
    segments = int(getattr(config, "type_vocab_size", 0) or 0)
    if "token_type_ids" in takes and segments > 1:
        found.append(TensorSpec(name="token_type_ids", dtype="INT64", shape=shape, low=0, high=segments - 1))
    return tuple(found)


def _image_axes(config: Any) -> tuple[int | str, int | str]:
    """Height and width: as the config fixes them, else free, for a model without weights by position."""
    size = getattr(config, "image_size", None)
    if size is None:
        return "height", "width"
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _channels(config: Any) -> int:
    return int(getattr(config, "num_channels", None) or _CHANNELS)


def image_size(folder: Path) -> tuple[int, int]:
    """Height and width that the folder's preprocessor makes pictures of; 224 where it does not say."""
    file = folder / "preprocessor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    size = settings.get("crop_size") or settings.get("size") or _IMAGE
    if isinstance(size, int):
        return size, size
    edge = size.get("shortest_edge", _IMAGE)
    return int(size.get("height", edge)), int(size.get("width", edge))


def _samples_of(
    inputs: tuple[TensorSpec, ...], config: Any, image: tuple[int, int]
) -> Callable[[int, int], dict[str, Any]]:
    """`sample_inputs(seed, n)`: seeded rows in the ranges of the inputs; masks hide the end of some rows."""
    longest = int(getattr(config, "max_position_embeddings", None) or _TOKENS)
    sizes = {"length": min(_TOKENS, longest), "height": image[0], "width": image[1], "samples": _AUDIO_SAMPLES}

    def sample_inputs(seed: int, n: int) -> dict[str, Any]:
        rows = {
            t.name: random_tensor(replace(t, shape=(n, *t.shape[1:])), sizes, seed + index)
            for index, t in enumerate(inputs)
        }
        if "attention_mask" in rows:
            kept = np.random.default_rng(seed).integers(1, sizes["length"], size=(n, 1), endpoint=True)
            rows["attention_mask"] = (np.arange(sizes["length"]) < kept).astype(np.int64)
        return rows

    return sample_inputs
