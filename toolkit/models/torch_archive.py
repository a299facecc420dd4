"""Load `.pt2` (torch.export) and TorchScript archives. Both can run code, so only the worker calls this.

In: a trusted Source. Out: a ModelFile whose `inputs` are those that the archive itself declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_unflatten

from toolkit.errors import ModelRefused
from toolkit.models.code import customer_code
from toolkit.models.named_forward import named_forward
from toolkit.models.pytorch import ModelFile
from toolkit.models.source import Source
from toolkit.tensor import BATCH, DTYPES, TensorSpec

_DTYPE_NAMES = {row.torch: row.name for row in DTYPES if row.torch}


def load_exported_program(source: Source) -> ModelFile:
    """The module of a torch.export archive. Raises ModelRefused for a damaged one and for one of a static batch."""
    with customer_code(source.path, "torch.export.load", ModelRefused, mend="save it again with torch.export.save"):
        program = torch.export.load(str(source.path))
    inputs = _inputs_of(program)
    for tensor in inputs:
        if not tensor.is_batchable:
            raise ModelRefused(
                f"{source.path}: it was exported for one batch size: '{tensor.name}' is {list(tensor.shape)}, and a"
                " static axis cannot be made dynamic afterwards",
                mend="export it again with torch.export.export(...,"
                f" dynamic_shapes={{'{tensor.name}': {{0: torch.export.Dim('{BATCH}')}}}})",
            )
    # It takes its inputs as it did when it was exported: by position, as a rule, or by name.
    names = tuple(tensor.name for tensor in inputs)
    _, by_name = tree_unflatten(names, program.call_spec.in_spec)
    module = named_forward(program.module(), names, by_position=not by_name)
    return ModelFile(module=module, inputs=inputs)


def load_torchscript(source: Source) -> ModelFile:
    """A TorchScript module; its `forward` names its arguments and nothing of their shapes. Raises ModelRefused."""
    with customer_code(source.path, "torch.jit.load", ModelRefused, mend="save it again with torch.jit.save"):
        module: Any = torch.jit.load(str(source.path), map_location="cpu")  # type: ignore[no-untyped-call]
    names = tuple(argument.name for argument in module.forward.schema.arguments[1:])
    return ModelFile(module=named_forward(module.eval(), names))


def _inputs_of(program: torch.export.ExportedProgram) -> tuple[TensorSpec, ...]:
    """The user's inputs in order. Torch forgets the axes' names: the first free one in front is the batch again."""
    names = [str(name) for name in program.graph_signature.user_inputs]
    by_name: dict[str, Any] = {
        node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"
    }
    symbols: dict[str, str] = {}
    for name in names:
        if isinstance(by_name[name], torch.Tensor) and by_name[name].ndim:
            symbols.setdefault(str(by_name[name].shape[0]), BATCH)
            break
    return tuple(_spec(name, by_name[name], symbols) for name in names)


def _spec(name: str, value: Any, symbols: Mapping[str, str]) -> TensorSpec:
    if not isinstance(value, torch.Tensor):
        raise ModelRefused(f"input '{name}' is a {type(value).__name__}, not a tensor", mend="export tensors only")
    shape = tuple(d if isinstance(d, int) else symbols.get(str(d), f"axis_{d!s}") for d in value.shape)
    return TensorSpec(name=name, dtype=_DTYPE_NAMES[str(value.dtype).removeprefix("torch.")], shape=shape)
