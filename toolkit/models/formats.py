"""The kinds of model files: how each is told from its name and its first bytes, what opening it can do, what it needs.

In: a path. Out: a Format. Files are read as bytes; nothing is executed or unpickled.
"""

from __future__ import annotations

import ast
import zipfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ModelRefused

#: The start of a file says what its suffix leaves open.
_CATBOOST_MAGIC = b"CBM1"
_HEAD_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One kind. `danger` is what opening it can do, empty for pure data; `needs` are import names, for the worker.

    `environment` names the environment of its own (environments.py) in which the worker serves it, where its framework
    does not fit beside the toolkit. `confined`: it is meant to be data, but its reader has been tricked before.
    """

    name: str
    title: str
    danger: str = ""
    needs: tuple[str, ...] = ()
    environment: str = ""
    confined: bool = False


_TORCH = ("torch", "onnxscript")
_ANY_CODE, _PROGRAM = "can run any code that is hidden in it", "runs the program in it"
FORMATS = {
    f.name: f
    for f in (
        Format(name="onnx", title="ONNX"),
        Format(name="pytorch", title="PyTorch, from a Python function", needs=_TORCH),
        Format(name="torch-pickle", title="a PyTorch pickle", danger=_ANY_CODE, needs=_TORCH),
        Format(name="exported-program", title="a torch.export archive", danger=_ANY_CODE, needs=_TORCH),
        Format(name="torchscript", title="TorchScript", danger=_PROGRAM, needs=("torch", "onnx")),
        Format(name="huggingface", title="a Hugging Face folder", needs=("transformers", *_TORCH)),
        Format(name="skops", title="scikit-learn, saved with skops", needs=("skops", "sklearn", "skl2onnx")),
        Format(name="pickle", title="a Python pickle", danger=_ANY_CODE, needs=("sklearn", "skl2onnx")),
        Format(name="xgboost", title="XGBoost", needs=("xgboost", "onnxmltools", "skl2onnx")),
        Format(name="lightgbm", title="LightGBM", needs=("lightgbm", "onnxmltools", "skl2onnx")),
        Format(name="catboost", title="CatBoost", needs=("catboost",)),
        Format(name="keras", title="Keras 3", needs=("keras", *_TORCH), confined=True),
        Format(
            name="savedmodel",
            title="a TensorFlow SavedModel",
            danger=_PROGRAM,
            needs=("tensorflow", "tf2onnx"),
            environment="tensorflow",
        ),
        Format(name="jax", title="JAX, from a Python function", needs=("jax", "jax2onnx"), environment="jax"),
    )
}

_BY_SUFFIX = {
    ".onnx": "onnx",
    ".pt2": "exported-program",
    ".skops": "skops",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "pickle",
    ".ubj": "xgboost",
    ".cbm": "catboost",
    ".keras": "keras",
}
_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ts", ".pkl", ".pickle")
ACCEPTED = (
    ".onnx, .py:function, a Hugging Face folder, .skops, .joblib, .pkl, XGBoost's .json and .ubj, LightGBM's .txt,"
    " CatBoost's .cbm, .pt, .pth, .pt2, .keras, a TensorFlow SavedModel"
)


def format_of(path: Path) -> Format:
    """The Format of an existing path. Raises ModelRefused for one of no known kind."""
    name = _folder_kind(path) if path.is_dir() else _file_kind(path)
    if path.suffix in (".h5", ".hdf5"):
        raise ModelRefused(
            f"{path} is an HDF5 file, Keras' former format, which can hide code",
            mend=f"""save it as Keras 3 does, where it came from: keras.saving.load_model("{path.name}")"""
            f""".save("{path.stem}.keras")""",
        )
    if name is None:
        raise ModelRefused(
            f"{path} is a {'folder' if path.is_dir() else 'file'} of no kind that can be exported",
            mend=f"give one of: {ACCEPTED}",
        )
    return FORMATS[name]


def _folder_kind(path: Path) -> str | None:
    if (path / "saved_model.pb").is_file():
        return "savedmodel"
    return "huggingface" if (path / "config.json").is_file() else None


def _file_kind(path: Path) -> str | None:
    if path.suffix == ".py":
        return "jax" if is_jax(path) else "pytorch"
    if path.suffix in _TORCH_SUFFIXES and zipfile.is_zipfile(path):
        return _archive_kind(path)
    if path.suffix in (".json", ".txt"):
        return _text_kind(path)
    if path.suffix in (".pt", ".pth", ".bin"):
        return "torch-pickle"
    return _BY_SUFFIX.get(path.suffix)


def _archive_kind(path: Path) -> str:
    """What a zip that torch wrote is: TorchScript carries its code beside the weights, an export its program."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in members):
        return "torchscript"
    if any(name.endswith(("/models/model.json", "serialized_exported_program.json")) for name in members):
        return "exported-program"
    return "torch-pickle"


def _text_kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix == ".txt":
        return "lightgbm" if head.startswith(b"tree") and b"version=" in head else None
    return "xgboost" if b'"learner"' in head or b'"version"' in head else None


def is_jax(path: Path) -> bool:
    """Whether a Python file imports jax or flax and not torch, read off its syntax tree."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False  # the worker imports it and names the line
    names = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    names |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return bool(names & {"jax", "flax"}) and "torch" not in names


def check_start(path: Path, kind: Format) -> None:
    """Check what a file of this kind must begin with. Raises ModelRefused for a damaged or mislabelled one."""
    with path.open("rb") as file:
        head = file.read(len(_CATBOOST_MAGIC))
    damaged = {
        "catboost": head != _CATBOOST_MAGIC,
        "xgboost": not head.startswith(b"{"),
        "skops": not zipfile.is_zipfile(path),
        "keras": not zipfile.is_zipfile(path),
        "exported-program": not zipfile.is_zipfile(path),
    }
    if not head or damaged.get(kind.name):
        raise ModelRefused(f"{path} is truncated, damaged or not {kind.title}", mend="copy the file again")
