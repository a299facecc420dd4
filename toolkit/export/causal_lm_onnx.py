"""Any causal language model of transformers to ONNX through torch.export: the cache goes in, and comes out longer.

In: a loaded model. Out: model.onnx with inputs input_ids, attention_mask, position_ids (where the model takes them)
and past_key_values.N.key and .value, outputs logits (of the last token) and present.N.key and .value. No attention
is fused, so it is slower than what the builder writes. Only the export worker calls this.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import ExportFailed
from toolkit.export.spec import MODEL_FILE
from toolkit.export.torch_onnx import save_program

BATCH, NEW, PAST, TOTAL = "batch", "new_tokens", "past_tokens", "total_tokens"


def export_appended(model: Any, folder: Path, opset: int) -> dict[str, Any]:
    """Write model.onnx; returns the cache's part of a LanguageModel. Raises ExportFailed."""
    text = model.config.get_text_config()
    layers = int(text.num_hidden_layers)
    keys = _cache_shapes(model, layers)
    if len(set(keys)) != 1:
        raise ExportFailed(
            f"{type(model).__name__}: its layers keep caches of different shapes, which the server has no slots for"
        )
    heads, size = keys[0]
    has_position = "position_ids" in inspect.signature(model.forward).parameters
    wrapped = _wrapped(model, layers, has_position)
    arguments, axes = _sample(layers, heads, size, has_position)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                wrapped,
                tuple(arguments.values()),
                dynamo=True,
                dynamic_shapes=axes,
                input_names=list(arguments),
                output_names=["logits", *(f"present.{i}.{part}" for i in range(layers) for part in ("key", "value"))],
                opset_version=opset,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as err:
        reason = (str(err.__cause__ or err).strip().splitlines() or ["no reason given"])[0]
        raise ExportFailed(f"{type(model).__name__} cannot be exported with its cache: {reason}") from err
    if program is None:
        raise ExportFailed("torch.onnx.export returned nothing", mend="read export.log")
    _check_graph(program, arguments, opset)
    save_program(program, folder / MODEL_FILE)
    return {"layers": layers, "kv_heads": heads, "head_size": size, "cache": "appended", "cache_dtype": "float32"}


def _cache_shapes(model: Any, layers: int) -> list[tuple[int, int]]:
    """Heads and head size of every layer's keys, as a run on two tokens shows them. Raises ExportFailed."""
    from transformers import DynamicCache

    with torch.no_grad():
        cache = model(torch.zeros((1, 2), dtype=torch.int64), use_cache=True).past_key_values
    kept = getattr(cache, "layers", ())
    plain = isinstance(cache, DynamicCache) and len(kept) == layers
    if not plain or any(type(layer).__name__ != "DynamicLayer" for layer in kept):
        kinds = ", ".join(sorted({type(layer).__name__ for layer in kept})) or type(cache).__name__
        raise ExportFailed(
            f"{type(model).__name__} keeps its state in {kinds}; only a whole key/value cache can be exported",
            mend="serve it with vLLM or TensorRT-LLM: toolkit repo add MODEL --server triton-vllm",
        )
    if any(layer.keys.shape != layer.values.shape for layer in kept):
        raise ExportFailed(f"{type(model).__name__}: its keys and values differ in shape")
    return [(int(layer.keys.shape[1]), int(layer.keys.shape[3])) for layer in kept]


def _wrapped(model: Any, layers: int, has_position: bool) -> torch.nn.Module:
    """The model behind explicit arguments and a tuple of tensors, as torch.export needs it."""
    from transformers import DynamicCache

    keeps_some = "logits_to_keep" in inspect.signature(model.forward).parameters

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            first = 3 if has_position else 2
            cache = DynamicCache()
            for layer in range(layers):
                cache.update(tensors[first + 2 * layer], tensors[first + 2 * layer + 1], layer)
            more: dict[str, Any] = {"position_ids": tensors[2]} if has_position else {}
            more |= {"logits_to_keep": 1} if keeps_some else {}
            output = self.model(
                input_ids=tensors[0], attention_mask=tensors[1], past_key_values=cache, use_cache=True, **more
            )
            kept = [part for layer in output.past_key_values.layers for part in (layer.keys, layer.values)]
            return (output.logits[:, -1:], *kept)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = ["self", *_names(layers, has_position)]
    parameters = [inspect.Parameter(name.replace(".", "_"), kind) for name in names]
    Wrapped.forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Wrapped().eval()


def _names(layers: int, has_position: bool) -> list[str]:
    past = [f"past_key_values.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    return ["input_ids", "attention_mask", *(["position_ids"] if has_position else []), *past]


def _sample(
    layers: int, heads: int, size: int, has_position: bool
) -> tuple[dict[str, torch.Tensor], list[dict[int, str]]]:
    """Two rows of three new tokens after five, and the names of the axes that are free."""
    rows, new, past = 2, 3, 5
    tokens = torch.arange(new).repeat(rows, 1)
    given: dict[str, tuple[torch.Tensor, dict[int, str]]] = {"input_ids": (tokens, {0: BATCH, 1: NEW})}
    given["attention_mask"] = (torch.ones((rows, past + new), dtype=torch.int64), {0: BATCH, 1: TOTAL})
    if has_position:
        given["position_ids"] = (tokens + past, {0: BATCH, 1: NEW})
    for name in _names(layers, has_position)[len(given) :]:
        given[name] = (torch.zeros((rows, heads, past, size)), {0: BATCH, 2: PAST})
    return {name: value for name, (value, _) in given.items()}, [axes for _, axes in given.values()]


def _check_graph(program: torch.onnx.ONNXProgram, arguments: dict[str, torch.Tensor], opset: int) -> None:
    """What torch can get wrong without an error: the opset, and axes that turned out static."""
    written = program.model.opset_imports.get("", 0)
    if written != opset:
        raise ExportFailed(f"asked for opset {opset}, torch wrote {written}", mend=f"use opset {written}")
    for name, value in zip(arguments, program.model.graph.inputs, strict=True):
        free = (0, 2) if name.startswith("past") else (0, 1)
        fixed = [axis for axis in free if isinstance((value.shape or ())[axis], int)]
        if fixed:
            raise ExportFailed(f"axis {fixed[0]} of '{name}' became fixed in the ONNX graph")
