"""A Source: the customer's model as data. Nothing here executes or unpickles anything.

In: a path, or `path/to/file.py:factory`. Out: a Source, or ModelRefused with the reason and the mend.
"""

from __future__ import annotations

import difflib
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ModelRefused
from toolkit.models.huggingface import check_folder, is_huggingface, source_files, task_of
from toolkit.models.onnx import check_onnx, external_files, read_onnx
from toolkit.records import digest_of_file, digest_of_files, digest_of_value

DEFAULT_ENTRY = "load_model"
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin")

#: What a saved state_dict refers to, and nothing else: containers, and the functions that rebuild a tensor.
_STATE_DICT_GLOBALS = ("collections OrderedDict", "torch._utils _rebuild_", "torch ", "torch.storage ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model that can be loaded by the worker. `entry` is the factory's name for a `.py` file, else None.

    `task` is what a Hugging Face folder is for ("causal-lm"), and empty for the others, which do not tell.
    """

    path: Path
    entry: str | None
    framework: str
    sha256: str
    trusted: bool = False
    task: str = ""


def source_from_path(text: str, *, trust: bool = False) -> Source:
    """The Source for a path or `file.py:factory` (`load_model` when no factory is named).

    Naming a `.py` file is consent to run it in the export worker; `trust` is consent to unpickle a data file there.
    Raises ModelRefused for a path that is absent, of an unknown kind, damaged, or a pickle without `trust`.
    """
    path, entry = _split_entry(text)
    if not path.exists():
        raise ModelRefused(f"{path} does not exist", mend=_nearest(path))
    if path.is_file() and path.suffix == ".py":
        return Source(path=path, entry=entry, framework="pytorch", sha256=_digest_of_code(path, entry), trusted=trust)
    if path.is_file() and path.suffix == ".onnx":
        return _onnx_source(path, trust)
    if path.is_file() and path.suffix in PICKLES:
        return _pickle_source(path, trust)
    if is_huggingface(path):
        return huggingface_source(path)
    raise ModelRefused(
        f"{path} is a {'folder' if path.is_dir() else 'file'} of no kind that can be exported",
        mend="give an .onnx file, a Hugging Face folder with a config.json,"
        " or path/to/model.py:load_model, a function that returns a torch.nn.Module",
    )


def huggingface_source(folder: Path) -> Source:
    """The Source for a Hugging Face folder. Raises ModelRefused for one that is unsafe, damaged or not supported."""
    task = task_of(folder)
    check_folder(folder, task)
    sha256 = digest_of_files(folder, source_files(folder))
    return Source(path=folder, entry=None, framework="huggingface", sha256=sha256, task=task)


def _split_entry(text: str) -> tuple[Path, str]:
    file, separator, entry = text.rpartition(":")
    if separator and file.endswith(".py"):
        return Path(file), entry or DEFAULT_ENTRY
    return Path(text), DEFAULT_ENTRY


def _nearest(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else "give the path of a model file"


def _digest_of_code(path: Path, entry: str) -> str:
    """The factory's name, its file and the modules beside it, which it may import."""
    files = {p.name: digest_of_file(p) for p in sorted(path.parent.glob("*.py"))}
    return digest_of_value({"file": path.name, "entry": entry, "files": files})


def _onnx_source(path: Path, trust: bool) -> Source:
    check_onnx(path)
    sha256 = digest_of_files(path.parent, (path.name, *external_files(read_onnx(path))))
    return Source(path=path, entry=None, framework="onnx", sha256=sha256, trusted=trust)


def _pickle_source(path: Path, trust: bool) -> Source:
    if _is_state_dict(path):
        raise state_dict_refused(path)
    if not trust:
        raise ModelRefused(
            f"{path} is a pickle: opening it can run any code that is hidden in it",
            mend="if you trust where it came from, add --trust; it is then opened in a separate process",
        )
    return Source(path=path, entry=None, framework="pytorch", sha256=digest_of_file(path), trusted=True)


def state_dict_refused(path: Path) -> ModelRefused:
    """The refusal of a file that holds weights without the model that they belong to."""
    return ModelRefused(
        f"{path} holds weights (a state_dict) and no model: the code that computes with them is missing",
        mend="write model.py with a load_model() that builds the torch.nn.Module, loads"
        f" torch.load('{path.name}', weights_only=True) into it and returns it; then give model.py:load_model",
    )


def _is_state_dict(path: Path) -> bool:
    """Whether a torch.save file can only hold tensors in containers, read off its opcodes without running them."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        pickles = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        if len(pickles) != 1 or any(n.endswith("/constants.pkl") for n in archive.namelist()):
            return False
        opcodes = list(pickletools.genops(archive.read(pickles[0])))
    named = [str(argument) for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"]
    indirect = any(opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4") for opcode, _, _ in opcodes)
    return not indirect and bool(named) and all(n.startswith(_STATE_DICT_GLOBALS) for n in named)
