"""A torch module behind a `forward` with exactly the given argument names and a choice of its outputs.

torch.export, and the toolkit with it, goes by the names of `forward`; many models take `*args`, or dozens of options.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

Module = TypeVar("Module", bound=torch.nn.Module)


class NamedForward(torch.nn.Module):
    """Calls `model` by keyword, or by position where it only takes those, and returns the `outputs` of its answer."""

    def __init__(self, model: torch.nn.Module, outputs: tuple[str, ...], by_position: bool) -> None:
        super().__init__()
        self.model = model
        self.outputs = outputs
        self.by_position = by_position

    def forward(self, **inputs: torch.Tensor) -> Any:
        """Tensors by output name where `outputs` were chosen, else whatever the model returns."""
        answer = self.model(*inputs.values()) if self.by_position else self.model(**inputs)
        if not self.outputs or not isinstance(answer, Mapping):
            return answer
        return {name: answer[name] for name in self.outputs if answer.get(name) is not None}


def named_forward(
    model: torch.nn.Module,
    arguments: tuple[str, ...],
    *,
    outputs: tuple[str, ...] = (),
    by_position: bool = False,
) -> NamedForward:
    """The wrapped model; its `forward` shows `arguments` to whoever asks for its signature."""
    return showing(NamedForward, arguments)(model, outputs, by_position)


def showing(kind: type[Module], arguments: tuple[str, ...]) -> type[Module]:
    """A module class whose `forward` takes keywords, with `arguments` shown to whoever asks for its signature."""

    class Named(kind):  # type: ignore[valid-type,misc]
        def forward(self, **inputs: torch.Tensor) -> Any:
            return super().forward(**inputs)

    shown = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    shown += [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in arguments]
    Named.forward.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return Named
