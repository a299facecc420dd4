"""What a model is, before anything is done with it.

In: a Source. Out: an Inspection. A PyTorch model is loaded in the worker; an ONNX file is only read.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.export.confinement import Limits
from toolkit.export.environments import python_of
from toolkit.export.operations import Operations, count_in_model
from toolkit.export.process import Progress, run_worker
from toolkit.export.samples import AXIS_LENGTH
from toolkit.export.spec import LOG_FILE, REQUEST_FILE, ExportSpec, WorkerRequest
from toolkit.extras import EXTRA_OF
from toolkit.models.formats import FORMATS
from toolkit.models.onnx import check_onnx, count_weights, external_files, opset_of, read_onnx, signature_from_onnx
from toolkit.models.source import Source
from toolkit.records import from_data
from toolkit.tensor import Signature, TensorSpec

SHORT_AXIS = 16
_UNCOUNTED = (
    "FLOPs and bytes are counted on the ONNX graph: toolkit export MODEL --output DIR, toolkit inspect DIR/model.onnx"
)
_LICENCES = ("license", "licence", "copying", "notice")
#: Operator domains that ONNX Runtime brings itself.
_BUILT_IN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A model's figures. `operators` counts ONNX nodes, or PyTorch's leaf modules; `opset` is ONNX's own.

    `size_bytes`: the files of an ONNX model, the parameters and buffers of a PyTorch one. `signature` is None where
    a PyTorch model offers no samples to find it with. `unsafe` says what opening the model can do, `needs` what is to
    be installed before it can be exported. `operations` are of one inference, at the sizes that stand there; only an
    ONNX graph tells them. `licences` are files beside the model that look like one.
    """

    framework: str
    signature: Signature | None
    parameters: int
    size_bytes: int
    opset: int | None
    operators: dict[str, int]
    unsafe: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    operations: Operations | None = None


def inspect_model(
    source: Source,
    inputs: tuple[TensorSpec, ...] = (),
    *,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    python: Path | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Look at a model; `inputs` describe those of a PyTorch model without `sample_inputs()`.

    `arguments` are handed to those functions of a PyTorch file that name them.
    Raises ModelRefused and, when the worker dies, ExportFailed.
    """
    spec = ExportSpec(
        inputs=inputs,
        sample_count=1,
        arguments=dict(arguments or {}),
        limits=limits or Limits(),
        python=python,
    )
    found = _inspect_onnx(source) if source.framework == "onnx" else _inspect_in_worker(source, spec, progress)
    needs = () if python else missing_for(source.framework)
    return replace(found, needs=needs, licences=licences_beside(source.path))


def missing_for(framework: str) -> tuple[str, ...]:
    """The commands that bring what exporting a framework needs and neither this environment nor its own has."""
    if name := FORMATS[framework].environment:
        return () if python_of(name) else (f"toolkit env make {name}",)
    absent = [name for name in FORMATS[framework].needs if importlib.util.find_spec(name.split(".")[0]) is None]
    return tuple(dict.fromkeys(f"pip install 'poc-toolkit[{EXTRA_OF.get(name, name)}]'" for name in absent))


def licences_beside(path: Path) -> tuple[str, ...]:
    """The names of licence files in a model's folder."""
    folder = path if path.is_dir() else path.parent
    return tuple(sorted(f.name for f in folder.iterdir() if f.stem.lower() in _LICENCES and f.is_file()))


def _inspect_onnx(source: Source) -> Inspection:
    check_onnx(source.path)
    model = read_onnx(source.path)
    files = (source.path, *(source.path.parent / name for name in external_files(model)))
    custom = sorted({entry.domain for entry in model.opset_import} - _BUILT_IN_DOMAINS)
    signature = signature_from_onnx(source.path)
    notes = [f"operators of domain '{domain}' need a library that ONNX Runtime does not have" for domain in custom]
    notes += [
        f"axis 0 of '{t.name}' is {t.shape[0] if t.shape else 'absent'}: the batch is fixed"
        for t in (*signature.inputs, *signature.outputs)
        if not t.shape or isinstance(t.shape[0], int)
    ]
    return Inspection(
        framework="onnx",
        signature=signature,
        parameters=count_weights(model),
        size_bytes=sum(file.stat().st_size for file in files),
        opset=opset_of(model),
        operators=dict(Counter(node.op_type for node in model.graph.node).most_common()),
        notes=tuple(notes),
        operations=_operations(model, signature),
    )


def _operations(model: Any, signature: Signature) -> Operations:
    """Counted at axes of 64, or of 16 for a model that takes no more: the one that leaves fewer nodes uncounted."""
    axes = [axis for tensor in signature.inputs for axis in _free_axes(tensor)]
    counted = (count_in_model(model, dict.fromkeys(axes, length)) for length in (AXIS_LENGTH, SHORT_AXIS))
    return min(counted, key=lambda found: len(found.uncounted))


def _free_axes(tensor: TensorSpec) -> tuple[str, ...]:
    """The named axes behind the batch, by the name that the counter knows them under."""
    axes = enumerate(tensor.shape[1:], start=1)
    return tuple(f"{tensor.name}_{i}" if d == f"dim_{i}" else d for i, d in axes if isinstance(d, str))


def _inspect_in_worker(source: Source, spec: ExportSpec, progress: Progress | None) -> Inspection:
    request = WorkerRequest(action="inspect", source=source, spec=spec)
    with tempfile.TemporaryDirectory(prefix="toolkit-inspect-") as folder:
        found = run_worker(request, Path(folder) / REQUEST_FILE, Path(folder) / LOG_FILE, progress)
    common = {"framework": source.framework, "opset": None, "unsafe": list(dangers_of(source))}
    inspection: Inspection = from_data(Inspection, found | common, str(source.path))
    return replace(inspection, notes=(*inspection.notes, _UNCOUNTED))


def dangers_of(source: Source) -> tuple[str, ...]:
    """What opening a source can do to this machine; empty for formats of pure data."""
    kind = FORMATS[source.framework]
    if source.entry is not None:
        return (f"{source.path} is Python code, which is run",)
    if kind.confined and source.trusted:
        return (f"{source.path} is trusted: code that is hidden in it is run",)
    return (f"{source.path} is {kind.title}: opening it {kind.danger}",) if kind.danger else ()
