"""Load a Keras 3 archive under Keras' PyTorch backend, where a Keras model is a torch.nn.Module like any other.

In: a Source whose own JSON was checked (keras_file.py). Out: a ModelFile whose `inputs` the archive itself declares.
Only the export worker calls this. No TensorFlow is needed, as the layers of Keras 3 belong to no backend.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from toolkit.errors import ModelRefused
from toolkit.models.code import customer_code
from toolkit.models.named_forward import showing
from toolkit.models.pytorch import ModelFile
from toolkit.models.source import Source
from toolkit.tensor import BATCH, TensorSpec, dtype_from_name

_MEND = (
    "what belongs to TensorFlow alone (TextVectorization, StringLookup, custom layers) is exported from a SavedModel:"
    " model.export('saved_model'), then toolkit export saved_model --trust"
)


def load_keras(source: Source) -> ModelFile:
    """The model of a `.keras` archive, in inference mode. Raises ModelRefused for one that this backend cannot run.

    Code in it is run where the source is trusted, and is never opened otherwise.
    """
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    with customer_code(source.path, "keras.saving.load_model", ModelRefused, mend=_MEND):
        model = keras.saving.load_model(source.path, compile=False, safe_mode=not source.trusted)
    tensors = getattr(model, "inputs", None)
    if not tensors:
        raise ModelRefused(
            f"{source.path}: the model declares no inputs: it was saved before it was built",
            mend="call it once on samples before model.save(), or write it with the functional API",
        )
    inputs = tuple(_spec(tensor) for tensor in tensors)
    return ModelFile(module=_forward(model, inputs).eval().requires_grad_(False), inputs=inputs)


class KerasForward(torch.nn.Module):
    """A Keras model called with arrays by the names of its inputs; it answers by the names of its outputs."""

    def __init__(self, model: Any, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Inputs in the structure that the model was defined with; outputs by key, else by layer."""
        from keras import tree

        flat = [inputs[name] for name in self.names]
        structure = getattr(self.model, "input", None)  # a Sequential has none, and takes one tensor
        answer = self.model(flat[0] if structure is None else tree.pack_sequence_as(structure, flat), training=False)
        if isinstance(answer, Mapping):
            found = {str(name): value for name, value in answer.items()}
        else:
            flat_answer = tree.flatten(answer)
            found = dict(zip(_output_names(self.model, len(flat_answer)), flat_answer, strict=True))
        return {f"{name}_output" if name in self.names else name: value for name, value in found.items()}


def _forward(model: Any, inputs: tuple[TensorSpec, ...]) -> torch.nn.Module:
    names = tuple(tensor.name for tensor in inputs)
    return showing(KerasForward, names)(model, names)


def _output_names(model: Any, count: int) -> tuple[str, ...]:
    names = tuple(getattr(model, "output_names", None) or [model.layers[-1].name])
    return names if len(set(names)) == count else tuple(f"output_{index}" for index in range(count))


def _spec(tensor: Any) -> TensorSpec:
    axes = enumerate(tensor.shape)
    shape = ((BATCH if axis == 0 else f"{tensor.name}_{axis}") if size is None else int(size) for axis, size in axes)
    dtype = dtype_from_name("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    return TensorSpec(name=tensor.name, dtype=dtype.name, shape=tuple(shape))
