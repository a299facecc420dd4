"""How large the integers of an input may be where nobody says: the number of rows of the tables that they index.

In: an ONNX graph, or a PyTorch model and a row. Out: the largest index by input name, for those inputs that are
followed to a table (an embedding); others are not there. One that indexes several tables is held to the smallest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.tensor import TensorSpec

if TYPE_CHECKING:
    import torch

#: Operators that pass indices on as they are, in another shape or integer type.
_PASSING = {"Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Flatten", "Slice", "Transpose", "Split"}


def with_bounds(inputs: tuple[TensorSpec, ...], bounds: Mapping[str, int]) -> tuple[TensorSpec, ...]:
    """The inputs, integers without a range of their own from 0 to the bound that is known of them."""
    return tuple(
        replace(t, low=0, high=bounds[t.name]) if t.low is None and t.high is None and t.name in bounds else t
        for t in inputs
    )


def needs_bounds(inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether an input of integers has no range."""
    return any(t.dtype.startswith(("INT", "UINT")) and t.low is None and t.high is None for t in inputs)


def bounds_in_graph(graph: Any) -> dict[str, int]:
    """The largest index of each input of an ONNX graph that reaches a Gather over the rows of a weight."""
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    inputs = {value.name for value in graph.input} - weights.keys()
    bounds: dict[str, int] = {}
    for node in graph.node:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        if node.op_type != "Gather" or axis != 0 or len(weights.get(node.input[0], ())) < 2:
            continue
        name = node.input[1]
        while name in made_by and made_by[name].op_type in _PASSING:
            name = made_by[name].input[0]
        if name in inputs:
            bounds[name] = min(bounds.get(name, 1 << 62), weights[node.input[0]][0] - 1)
    return bounds


def bounds_of_module(run: Callable[[], Any], inputs: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """The largest index of each input that reaches an embedding while `run` calls the model with `inputs`.

    An input is recognised by its memory, which views and slices share, else by its values.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: list[tuple[int, torch.Tensor]] = []

    class Tables(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            place = _INDEX_ARGUMENT.get(func.overloadpacket.__name__)
            if place is not None and args[0].ndim == 2:
                seen.append((args[0].shape[0] - 1, args[place]))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Tables():  # type: ignore[no-untyped-call]
        run()
    bounds: dict[str, int] = {}
    for largest, indices in seen:
        for name, tensor in inputs.items():
            if _is_from(indices, tensor):
                bounds[name] = min(bounds.get(name, largest), largest)
    return bounds


#: aten's operators over the rows of a table -> the position of the indices.
_INDEX_ARGUMENT = {"embedding": 1, "_embedding_bag": 1, "_embedding_bag_forward_only": 1, "index_select": 2}


def _is_from(indices: torch.Tensor, tensor: torch.Tensor) -> bool:
    if tensor.is_floating_point():
        return False
    if indices.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr():
        return True
    return indices.numel() == tensor.numel() and bool((indices.flatten() == tensor.flatten()).all())
