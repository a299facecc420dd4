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
from toolkit.tensor import TensorSpec

#: Keys under which training frameworks keep the state_dict of a checkpoint, and what DataParallel puts before names.
_CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
_PARALLEL_PREFIX = "module."
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A loaded model in eval mode on the CPU, and what its file offers beside it.

    `sample_inputs(seed, n)` gives n rows by input name; `held_out()` gives inputs and integer labels. `inputs` are
    what the format itself says of them, empty for a Python file.
    """

    module: torch.nn.Module
    sample_inputs: Callable[[int, int], Any] | None = None
    held_out: Callable[[], Any] | None = None
    output_names: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()


def load_pytorch(source: Source, *, seed: int = 0, arguments: Mapping[str, Any] | None = None) -> ModelFile:
    """Load the model that `source` names; `seed` fixes the weights of a factory that draws them at random.

    `arguments` are handed to those functions of the file that name them.
    """
    torch.manual_seed(seed)
    code = imported(source.path)
    given = arguments or {}
    factory = accepting(named_function(code, source.path, source.entry or ""), given)
    with customer_code(source.path, f"{source.entry}()", ModelRefused):
        module = factory()
    checked = checked_module(module, f"{source.path}: {source.entry}()")
    if source.weights is not None:
        _load_weights(checked, source.weights)
    return ModelFile(
        module=checked,
        sample_inputs=_offered(code, "sample_inputs", given, positional=2),
        held_out=_offered(code, "held_out", given),
        output_names=tuple(getattr(code, "OUTPUT_NAMES", ())),
    )


def load_torch_pickle(source: Source) -> ModelFile:
    """Unpickle a whole torch.nn.Module, which runs whatever code is in the file. Raises ModelRefused."""
    sys.path.insert(0, str(source.path.parent.resolve()))
    mend = "give the Python factory: model.py:load_model"
    with customer_code(source.path, "unpickling it", ModelRefused, mend=mend):
        loaded = torch.load(source.path, map_location="cpu", weights_only=False)
    if isinstance(loaded, dict):
        raise state_dict_refused(source.path)
    return ModelFile(module=checked_module(loaded, str(source.path)))


def checked_module(module: Any, where: str) -> torch.nn.Module:
    """A module on the CPU in eval mode, without gradients. Raises ModelRefused for anything else."""
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


def _offered(
    code: ModuleType, name: str, arguments: Mapping[str, Any], *, positional: int = 0
) -> Callable[..., Any] | None:
    function = getattr(code, name, None)
    return accepting(function, arguments, positional=positional) if callable(function) else None


def _load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a state_dict strictly. Raises ModelRefused naming the weights that are missing, left over or misshapen."""
    state = _state_dict(path)
    wanted = module.state_dict()
    missing, surplus = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    misshapen = [
        f"{n} is {list(state[n].shape)}, expected {list(wanted[n].shape)}"
        for n in sorted(set(wanted) & set(state))
        if state[n].shape != wanted[n].shape
    ]
    problems = [f"lacks {', '.join(missing[:_SHOWN])}"] if missing else []
    problems += [f"has {', '.join(surplus[:_SHOWN])}, which the model has not"] if surplus else []
    problems += misshapen[:1]
    if problems:
        raise ModelRefused(
            f"{path} does not fit the model: it {'; it '.join(problems)}",
            mend="build the model with the configuration that it was trained with",
        )
    module.load_state_dict(state)


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The weights by name, out of a checkpoint's dictionary, and without DataParallel's prefix."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state: Any = load_file(path)
    else:
        with customer_code(path, "reading the weights", ModelRefused, mend="save model.state_dict() alone"):
            state = torch.load(path, map_location="cpu", weights_only=True)
    nested = [state[key] for key in _CHECKPOINT_KEYS if isinstance(state.get(key), dict)]
    state = nested[0] if nested else state
    if all(name.startswith(_PARALLEL_PREFIX) for name in state):
        state = {name.removeprefix(_PARALLEL_PREFIX): value for name, value in state.items()}
    return dict(state)
