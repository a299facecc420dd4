"""Load a customer's PyTorch model. Runs their code, so only the export worker calls this.

In: a Source. Out: a ModelFile, or ModelRefused with the line of the customer's file at fault.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from toolkit.errors import ModelRefused
from toolkit.models.code import accepting, customer_code, imported, named_function
from toolkit.models.source import Source, state_dict_refused


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A loaded model in eval mode on the CPU, and what its file offers beside it.

    `sample_inputs(seed, n)` gives n rows by input name; `held_out()` gives inputs and integer labels.
    """

    module: torch.nn.Module
    sample_inputs: Callable[[int, int], Any] | None = None
    held_out: Callable[[], Any] | None = None
    output_names: tuple[str, ...] = ()


def load_pytorch(source: Source, *, seed: int = 0, arguments: Mapping[str, Any] | None = None) -> ModelFile:
    """Load the model that `source` names; `seed` fixes the weights of a factory that draws them at random.

    `arguments` are handed to those functions of the file that name them.
    """
    torch.manual_seed(seed)
    if source.entry is None:
        sys.path.insert(0, str(source.path.parent.resolve()))
        return ModelFile(module=_unpickled(source.path))
    code = imported(source.path)
    given = arguments or {}
    factory = accepting(named_function(code, source.path, source.entry), given)
    with customer_code(source.path, f"{source.entry}()", ModelRefused):
        module = factory()
    return ModelFile(
        module=_checked_module(module, f"{source.path}: {source.entry}()"),
        sample_inputs=_offered(code, "sample_inputs", given, positional=2),
        held_out=_offered(code, "held_out", given),
        output_names=tuple(getattr(code, "OUTPUT_NAMES", ())),
    )


def _offered(
    code: ModuleType, name: str, arguments: Mapping[str, Any], *, positional: int = 0
) -> Callable[..., Any] | None:
    function = getattr(code, name, None)
    return accepting(function, arguments, positional=positional) if callable(function) else None


def _unpickled(path: Path) -> torch.nn.Module:
    with customer_code(path, "unpickling it", ModelRefused, mend="give the Python factory: model.py:load_model"):
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    if isinstance(loaded, dict):
        raise state_dict_refused(path)
    return _checked_module(loaded, str(path))


def _checked_module(module: Any, where: str) -> torch.nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise ModelRefused(f"{where} is a TorchScript module", mend="give the Python factory that it was made from")
    if not isinstance(module, torch.nn.Module):
        raise ModelRefused(
            f"{where} is a {type(module).__name__}, not a torch.nn.Module",
            mend="annotate it: def ...() -> Path, for a Hugging Face folder"
            if isinstance(module, Path)
            else "return the model itself, for example a torch.nn.Module whose forward() takes tensors",
        )
    return module.to("cpu").eval().requires_grad_(False)
