"""Load a customer's PyTorch model. Runs their code, so only the export worker calls this.

In: a Source. Out: a ModelFile, or ModelRefused with the line of the customer's file at fault.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from toolkit.errors import ModelRefused, ToolkitError
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


def load_pytorch(source: Source, *, seed: int = 0) -> ModelFile:
    """Load the model that `source` names; `seed` fixes the weights of a factory that draws them at random."""
    torch.manual_seed(seed)
    sys.path.insert(0, str(source.path.parent.resolve()))
    if source.entry is None:
        return ModelFile(module=_unpickled(source.path))
    code = _imported(source.path)
    factory = _factory(code, source.path, source.entry)
    with customer_code(source.path, f"{source.entry}()", ModelRefused):
        module = factory()
    return ModelFile(
        module=_checked_module(module, f"{source.path}: {source.entry}()"),
        sample_inputs=getattr(code, "sample_inputs", None),
        held_out=getattr(code, "held_out", None),
        output_names=tuple(getattr(code, "OUTPUT_NAMES", ())),
    )


@contextmanager
def customer_code(path: Path, doing: str, error: type[ToolkitError], *, mend: str = "") -> Iterator[None]:
    """Turn whatever the customer's code raises below into `error`, which names the file and line."""
    try:
        yield
    except ToolkitError:
        raise
    except Exception as err:
        text = str(err).strip().splitlines()
        raised = f"{type(err).__name__}: {text[0]}" if text else type(err).__name__
        place = customer_line(err, path)
        raise error(f"{place}: {doing} raised {raised}", mend=mend or f"mend {place}") from err


def customer_line(err: BaseException, path: Path) -> str:
    """`file:line` of the innermost frame of a traceback that lies beside the customer's file; else the file."""
    if isinstance(err, SyntaxError) and err.filename:
        return f"{err.filename}:{err.lineno}"
    folder = path.parent.resolve()
    for frame in reversed(traceback.extract_tb(err.__traceback__)):
        if Path(frame.filename).resolve().is_relative_to(folder) and "site-packages" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return str(path)


def _imported(path: Path) -> ModuleType:
    """Execute the file under a name that cannot shadow a module which somebody else imports."""
    spec = importlib.util.spec_from_file_location("customer_model", path)
    if spec is None or spec.loader is None:
        raise ModelRefused(f"{path} cannot be imported as Python")
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code
    with customer_code(path, "importing it", ModelRefused):
        spec.loader.exec_module(code)
    return code


def _factory(code: ModuleType, path: Path, entry: str) -> Callable[[], Any]:
    factory = getattr(code, entry, None)
    if callable(factory):
        return factory  # type: ignore[no-any-return]
    offered = [
        n for n, value in vars(code).items() if callable(value) and getattr(value, "__module__", "") == code.__name__
    ]
    close = difflib.get_close_matches(entry, offered, n=1) or offered[:1]
    raise ModelRefused(
        f"{path} has no function '{entry}'; it defines: {', '.join(offered) or 'none'}",
        mend=f"give {path}:{close[0]}" if close else f"define {entry}() returning a torch.nn.Module",
    )


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
            mend="return the model itself, for example a torch.nn.Module whose forward() takes tensors",
        )
    return module.to("cpu").eval().requires_grad_(False)
