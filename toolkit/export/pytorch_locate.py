"""Which module of a PyTorch model is the first whose output the exported graph gets wrong. Only the worker calls this.

In: the request of an export whose files are in a folder, and the row to look at. Out: a sentence, or none.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ExportFailed
from toolkit.export.arrays import read_arrays
from toolkit.export.locate import modules_that_differ
from toolkit.export.pytorch_run import answers_of
from toolkit.export.spec import FACTS_FILE, MODEL_FILE, SAMPLES_FILE, ReferenceFacts, WorkerRequest
from toolkit.models.code import customer_code
from toolkit.models.module import load_module
from toolkit.models.pytorch import ModelFile
from toolkit.records import read_json

Array = np.ndarray[Any, Any]


def locate_module(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> str:
    """Name the first module, and the node, whose output differs on the row `request.row`; else an empty text."""
    source, spec = request.source, request.spec
    say("looking for the first module that differs")
    facts = read_json(folder / FACTS_FILE, ReferenceFacts)
    row = {n: a[request.row : request.row + 1] for n, a in read_arrays(folder / SAMPLES_FILE).items()}
    model = load_module(source, seed=spec.seed, arguments=spec.arguments)
    with customer_code(source.path, "forward() on one row", ExportFailed):
        rounded = _outputs_by_module(model, row)
    exact = _in_float64(model, source.path, row) or rounded
    original = {n: (a, exact[n]) for n, a in rounded.items() if n in exact and exact[n].shape == a.shape}
    found = modules_that_differ(folder / MODEL_FILE, facts.modules, row, original)
    if found is None:
        return ""
    name = next(n for n, value in facts.modules.items() if value == found.value and n in original)
    kind = type(model.module.get_submodule(name)).__name__
    return f"the first module that answers differently is '{name}' ({kind}): {found.text()}"


def _in_float64(model: ModelFile, path: Path, row: Mapping[str, Array]) -> dict[str, Array]:
    doubled = {name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in row.items()}
    try:
        with customer_code(path, "running it in float64", ExportFailed):
            exact = ModelFile(module=copy.deepcopy(model.module).double(), output_names=model.output_names)
            return _outputs_by_module(exact, doubled)
    except ExportFailed:
        return {}  # the tolerance is then a few roundoffs of each output's scale


def _outputs_by_module(model: ModelFile, row: Mapping[str, Array]) -> dict[str, Array]:
    """The output of every module that ran once and returned one tensor of floats, in the order in which they ended."""
    outputs: dict[str, Array] = {}
    calls = Counter[str]()

    def hook(name: str) -> Callable[..., None]:
        def keep(module: torch.nn.Module, given: Any, output: Any) -> None:
            calls[name] += 1
            if isinstance(output, torch.Tensor) and output.is_floating_point():
                outputs[name] = output.detach().numpy(force=True).copy()

        return keep

    hooks = [m.register_forward_hook(hook(name)) for name, m in model.module.named_modules() if name]
    try:
        answers_of(model, row)
    finally:
        for handle in hooks:
            handle.remove()
    return {name: array for name, array in outputs.items() if calls[name] == 1}
