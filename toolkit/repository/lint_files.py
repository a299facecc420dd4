"""What an entry's files say that its config contradicts.

Each check: Subject -> one sentence for each finding. What a finding means is said in the table of lint.py.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from toolkit.repository.defaults import input_from_spec, output_from_spec
from toolkit.repository.lint_subject import Subject
from toolkit.repository.model_config import ModelInput, ModelOutput
from toolkit.repository.publish import version_folders
from toolkit.repository.step import REQUIREMENTS_FILE
from toolkit.tensor import TensorSpec

#: What the python backend gives every model, beside the standard library.
GIVEN_MODULES = frozenset({"numpy", "triton_python_backend_utils", "c_python_backend_utils"})
#: Distributions whose module has another name.
MODULE_OF = {
    "faiss_cpu": "faiss",
    "faiss_gpu": "faiss",
    "onnxruntime_gpu": "onnxruntime",
    "opencv_python": "cv2",
    "opencv_python_headless": "cv2",
    "pillow": "pil",
    "protobuf": "google",
    "pyyaml": "yaml",
    "scikit_learn": "sklearn",
}


def missing_model(subject: Subject) -> Iterator[str]:
    versions = version_folders(subject.path)
    if not versions:
        yield "there is no version folder such as 1/"
    if subject.model_filename and not subject.config.is_ensemble:
        for version in versions:
            if not (version / subject.model_filename).exists():
                yield f"{version.name}/{subject.model_filename} is missing"


def unreadable_model(subject: Subject) -> Iterator[str]:
    if subject.graph_error:
        yield subject.graph_error


def fixed_batch(subject: Subject) -> Iterator[str]:
    if subject.is_batched:
        for spec in _graph_tensors(subject):
            if not (spec.shape and isinstance(spec.shape[0], str)):
                yield f"max_batch_size is {subject.config.max_batch_size}, and '{spec.name}' is {list(spec.shape)}"


def several_batch_axes(subject: Subject) -> Iterator[str]:
    firsts = {spec.shape[0]: spec.name for spec in _graph_tensors(subject) if spec.shape}
    names = [axis for axis in firsts if isinstance(axis, str)]
    if subject.is_batched and len(names) > 1:
        yield "first axes differ: " + ", ".join(f"'{axis}' of {firsts[axis]}" for axis in names)


def inputs_unlike_graph(subject: Subject) -> Iterator[str]:
    if subject.graph is None or not subject.config.input:
        return
    specs = {t.name: t for t in subject.graph.inputs}
    given = {t.name: t for t in subject.config.input}
    yield from (f"the graph's input '{name}' is not in the config" for name in specs if name not in given)
    for name, tensor in given.items():
        if name not in specs:
            yield f"the graph has no input '{name}'; it has {', '.join(specs)}"
        elif not _has_scalar_batch(specs[name], subject):
            yield from _differences("input", tensor, input_from_spec(specs[name], subject.is_batched))


def outputs_unlike_graph(subject: Subject) -> Iterator[str]:
    if subject.graph is None:
        return
    specs = {t.name: t for t in subject.graph.outputs}
    for tensor in subject.config.output:
        if tensor.name not in specs:
            yield f"the graph has no output '{tensor.name}'; it has {', '.join(specs)}"
        elif not _has_scalar_batch(specs[tensor.name], subject):
            yield from _differences("output", tensor, output_from_spec(specs[tensor.name], subject.is_batched))


def _has_scalar_batch(spec: TensorSpec, subject: Subject) -> bool:
    """A batched entry whose graph has no axis to leave out, which `fixed_batch` reports."""
    return subject.is_batched and not spec.shape


def _differences(what: str, tensor: ModelInput | ModelOutput, graph: ModelInput | ModelOutput) -> Iterator[str]:
    if tensor.data_type != graph.data_type:
        yield f"{what} '{tensor.name}' is {tensor.data_type}, the graph says {graph.data_type}"
    ours, theirs = _seen_by_backend(tensor), _seen_by_backend(graph)
    # The native backend compares outputs exactly, and inputs only where the graph fixes a length.
    same = ours == theirs if what == "output" else _fits_fixed(ours, theirs)
    if not same:
        yield f"{what} '{tensor.name}' has dims {list(ours)}, the graph says {list(theirs)}"


def _seen_by_backend(tensor: ModelInput | ModelOutput) -> tuple[int, ...]:
    return tensor.reshape.shape if tensor.reshape else tensor.dims


def _fits_fixed(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    return len(ours) == len(theirs) and all(t in (-1, o) for o, t in zip(ours, theirs, strict=True))


def _graph_tensors(subject: Subject) -> tuple[TensorSpec, ...]:
    return (*subject.graph.inputs, *subject.graph.outputs) if subject.graph else ()


def missing_labels(subject: Subject) -> Iterator[str]:
    for tensor in subject.config.output:
        if tensor.label_filename and not (subject.path / tensor.label_filename).is_file():
            yield f"the label file {tensor.label_filename} of output '{tensor.name}' is missing"


def undeclared_import(subject: Subject) -> Iterator[str]:
    if subject.backend == "python":
        declared = _declared_modules(subject.path)
        for version in version_folders(subject.path):
            own = {p.stem for p in version.iterdir()}
            for file in sorted(version.rglob("*.py")):
                yield from _undeclared(file, declared | own, f"{version.name}/{file.relative_to(version)}")


def _undeclared(file: Path, declared: set[str], where: str) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as err:
        yield f"{where}:{err.lineno}: {err.msg}"
        return
    for line, module in sorted(_imports(tree)):
        if module not in sys.stdlib_module_names | GIVEN_MODULES and module.lower() not in declared:
            yield f"{where}:{line} imports '{module}'"


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module.split(".")[0]


def _declared_modules(entry: Path) -> set[str]:
    """The modules, in lower case, of the distributions that requirements.txt names."""
    file = entry / REQUIREMENTS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = [re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in lines]
    names = {re.sub(r"[-_.]+", "_", m.group()).lower() for m in found if m}
    return {MODULE_OF.get(name, name) for name in names}
