"""A Source: the customer's model as data. Nothing here executes or unpickles anything.

In: a path, `path/to/file.py:factory`, or `file.py:factory+weights.safetensors`. Out: a Source, or ModelRefused with the
reason and the mend.
"""

from __future__ import annotations

import difflib
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import ModelRefused
from toolkit.models.formats import FORMATS, check_start, format_of
from toolkit.models.huggingface import check_folder, source_files, task_of
from toolkit.models.keras_file import check_keras
from toolkit.models.onnx import check_onnx, external_files, read_onnx
from toolkit.records import digest_of_file, digest_of_files, digest_of_value, files_below

DEFAULT_ENTRY = "load_model"

#: What a saved state_dict refers to, and nothing else: containers, and the functions that rebuild a tensor.
_STATE_DICT_GLOBALS = ("collections OrderedDict", "torch._utils _rebuild_", "torch ", "torch.storage ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model that can be loaded by the worker. `entry` is the factory's name for a `.py` file, else None.

    `framework` is the name of its Format. `weights` is a state_dict to load into what the factory makes. `task` is what
    a Hugging Face folder is for ("causal-lm"), and empty for the others, which do not tell.
    """

    path: Path
    entry: str | None
    framework: str
    sha256: str
    trusted: bool = False
    task: str = ""
    weights: Path | None = None


def source_from_path(text: str, *, trust: bool = False) -> Source:
    """The Source for a MODEL text (`load_model` when no factory is named).

    Naming a `.py` file is consent to run it in the export worker; `trust` is consent to open a format that can hide
    code there. Raises ModelRefused for a path that is absent, of an unknown kind, damaged, or unsafe without `trust`.
    """
    path, entry, weights = split_model(text)
    if not path.exists():
        raise ModelRefused(f"{path} does not exist", mend=_nearest(path))
    kind = format_of(path)
    if path.suffix == ".py":
        return _code_source(path, entry, weights, kind.name, trust)
    if kind.name == "huggingface":
        return huggingface_source(path)
    if kind.name == "onnx":
        return _onnx_source(path, trust)
    if kind.name == "torch-pickle" and _is_state_dict(path):
        raise state_dict_refused(path)
    if kind.danger and not trust:
        raise ModelRefused(
            f"{path} is {kind.title}: opening it {kind.danger}",
            mend="if you trust where it came from, add --trust; it is then opened in a separate process",
        )
    return _data_source(path, kind.name, trust)


def split_model(text: str) -> tuple[Path, str, Path | None]:
    """`FILE.py[:FACTORY][+WEIGHTS]` or a path, as path, factory and weights."""
    code, plus, weights = text.partition(".py+")
    if plus:
        return Path(f"{code}.py"), DEFAULT_ENTRY, Path(weights)
    file, separator, entry = text.partition(".py:")
    if not separator:
        return Path(text), DEFAULT_ENTRY, None
    entry, plus, weights = entry.partition("+")
    return Path(f"{file}.py"), entry or DEFAULT_ENTRY, Path(weights) if plus else None


def with_paths(text: str, moved: Callable[[Path], str]) -> str:
    """A MODEL text with every path in it replaced by what `moved` makes of it."""
    path, entry, weights = split_model(text)
    factory = f":{entry}" if path.suffix == ".py" and f"{path}:" in text else ""
    return moved(path) + factory + ("" if weights is None else f"+{moved(weights)}")


def huggingface_source(folder: Path) -> Source:
    """The Source for a Hugging Face folder. Raises ModelRefused for one that is unsafe, damaged or not supported."""
    task = task_of(folder)
    check_folder(folder, task)
    sha256 = digest_of_files(folder, source_files(folder))
    return Source(path=folder, entry=None, framework="huggingface", sha256=sha256, task=task)


def is_confined(source: Source) -> bool:
    """Whether opening it could run code that nobody has named: such a worker gets no network, and limits."""
    kind = FORMATS[source.framework]
    return bool(kind.danger) or kind.confined


def _nearest(path: Path) -> str:
    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / close[0]}?" if close else "give the path of a model file"


def _code_source(path: Path, entry: str, weights: Path | None, framework: str, trust: bool) -> Source:
    sha256 = _digest_of_code(path, entry)
    if weights is not None:
        if not weights.is_file():
            raise ModelRefused(f"{weights} does not exist", mend=_nearest(weights))
        if weights.suffix != ".safetensors" and not _is_state_dict(weights):
            raise ModelRefused(
                f"{weights} is neither a safetensors file nor a state_dict that torch.save wrote",
                mend="save the weights alone: torch.save(model.state_dict(), 'weights.pt')",
            )
        sha256 = digest_of_value({"code": sha256, "weights": digest_of_file(weights)})
    return Source(path=path, entry=entry, framework=framework, sha256=sha256, trusted=trust, weights=weights)


def _digest_of_code(path: Path, entry: str) -> str:
    """The factory's name, its file and the modules beside it, which it may import."""
    files = {p.name: digest_of_file(p) for p in sorted(path.parent.glob("*.py"))}
    return digest_of_value({"file": path.name, "entry": entry, "files": files})


def _onnx_source(path: Path, trust: bool) -> Source:
    check_onnx(path)
    sha256 = digest_of_files(path.parent, (path.name, *external_files(read_onnx(path))))
    return Source(path=path, entry=None, framework="onnx", sha256=sha256, trusted=trust)


def _data_source(path: Path, framework: str, trust: bool) -> Source:
    if path.is_file():
        check_start(path, FORMATS[framework])
    if framework == "keras":
        check_keras(path, trust=trust)
    sha256 = digest_of_file(path) if path.is_file() else digest_of_files(path, files_below(path))
    return Source(path=path, entry=None, framework=framework, sha256=sha256, trusted=trust)


def state_dict_refused(path: Path) -> ModelRefused:
    """The refusal of a file that holds weights without the model that they belong to."""
    return ModelRefused(
        f"{path} holds weights (a state_dict) and no model: the code that computes with them is missing",
        mend="write model.py with a load_model() that builds the torch.nn.Module without them, and give"
        f" model.py:load_model+{path}",
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
