"""Rules on python-backend entries: what their code imports, defines and needs. The code is parsed, never run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.publish import version_folders
from toolkit.repository.step import REQUIREMENTS_FILE

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
    "xgboost_cpu": "xgboost",
}
#: Distributions that cannot use a GPU, although one of another name could.
CPU_ONLY = {"faiss_cpu": "faiss-gpu", "onnxruntime": "onnxruntime-gpu", "xgboost_cpu": "xgboost"}
#: How a config names an archive that lies in its entry.
_ENVIRONMENT = re.compile(r"\$\$TRITON_MODEL_DIRECTORY/(.+)")


@rule(
    "TR015",
    "error",
    "The server's Python may not have that package; the entry fails to load elsewhere.",
    "add the package to the entry's requirements.txt",
)
def undeclared_import(subject: Subject) -> Iterator[str]:
    if subject.backend == "python":
        declared = {MODULE_OF.get(name, name) for name in _declared(subject.path)}
        for version in version_folders(subject.path):
            own = {p.stem for p in version.iterdir()}
            for file in sorted(version.rglob("*.py")):
                yield from _undeclared(file, declared | own, f"{version.name}/{file.relative_to(version)}")


@rule(
    "TR091",
    "error",
    "The python backend looks for a class TritonPythonModel with a method execute; without it nothing is answered.",
    "define class TritonPythonModel with execute(self, requests)",
)
def no_model_class(subject: Subject) -> Iterator[str]:
    if subject.backend != "python":
        return
    for version in version_folders(subject.path):
        file = version / subject.model_filename
        tree = _parsed(file) if file.is_file() else None
        if tree is not None and not _defines_model(tree):
            yield f"{version.name}/{file.name} has no class TritonPythonModel with a method execute"


@rule(
    "TR092",
    "warning",
    "The instances hold a GPU that the declared packages cannot use.",
    "say kind: KIND_CPU, or declare the package that can use a GPU",
)
def cpu_packages_on_gpu(subject: Subject) -> Iterator[str]:
    on_gpu = any(group.kind == "KIND_GPU" for group in subject.config.instance_group)
    if subject.backend == "python" and on_gpu:
        for name in sorted(_declared(subject.path) & CPU_ONLY.keys()):
            yield f"KIND_GPU with {name.replace('_', '-')}, which runs on CPUs only; {CPU_ONLY[name]} does not"


@rule(
    "TR093",
    "error",
    "The environment that the code runs in is not there; the entry fails to load.",
    "put the archive into the entry and say $$TRITON_MODEL_DIRECTORY/NAME.tar.gz",
)
def missing_environment(subject: Subject) -> Iterator[str]:
    given = subject.config.parameters.get("EXECUTION_ENV_PATH")
    if subject.backend != "python" or given is None:
        return
    # Another path is one of the server's machine, which cannot be seen from here.
    inside = _ENVIRONMENT.fullmatch(given.string_value)
    if inside is not None and not (subject.path / inside.group(1)).exists():
        yield f"EXECUTION_ENV_PATH names {inside.group(1)}, which is not in the entry"


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


def _parsed(file: Path) -> ast.Module | None:
    """The module's tree; None where it does not parse, which `undeclared_import` reports."""
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError:
        return None


def _defines_model(tree: ast.Module) -> bool:
    """Whether the module has the class with its method, or takes the class or a base of it from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Assign) and "TritonPythonModel" in ast.unparse(node):
            return True
        if isinstance(node, ast.ClassDef) and node.name == "TritonPythonModel":
            methods = {n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
            return "execute" in methods or bool(node.bases)
    return False


def _declared(entry: Path) -> set[str]:
    """The distributions that requirements.txt names, in lower case with underscores."""
    file = entry / REQUIREMENTS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = [re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line.strip()) for line in lines]
    return {re.sub(r"[-_.]+", "_", m.group()).lower() for m in found if m}


RULES = (undeclared_import, no_model_class, cpu_packages_on_gpu, missing_environment)
