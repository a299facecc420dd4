"""Environments of their own for frameworks that do not fit beside the toolkit: where one is, and how one is made.

TensorFlow and JAX want numpy 2, which the embedded server cannot have. Their models are opened by the same worker under
another Python, which imports the toolkit's source and of its dependencies numpy and onnx alone.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.environment import cache_folder
from toolkit.errors import EnvironmentProblem, MissingDependency, ToolkitError, UsageError
from toolkit.export.spec import WorkerRequest
from toolkit.extras import require
from toolkit.models.formats import FORMATS, Format
from toolkit.records import write_text

#: The versions that are known to work together, one file for each environment.
_REQUIREMENTS = Path(__file__).parent / "requirements"
_START = Path(__file__).parent / "start_worker.py"
#: Written into an environment when it is whole: what it was made from.
_MADE = "made-from.txt"
NAMES = tuple(sorted({kind.environment for kind in FORMATS.values() if kind.environment}))


def variable_of(name: str) -> str:
    """The environment variable that names the Python of an environment."""
    return f"TOOLKIT_PYTHON_{name.upper()}"


def default_folder(name: str) -> Path:
    """Where `toolkit env make` puts an environment, and where it is looked for."""
    return cache_folder() / "environments" / name


def python_of(name: str) -> Path | None:
    """The interpreter of an environment: of its variable, else of its default folder; None where neither is there."""
    if named := os.environ.get(variable_of(name)):
        return Path(named).absolute()
    made = default_folder(name)
    return _python_in(made) if (made / _MADE).is_file() else None


def become_other_python(request: WorkerRequest, arguments: Sequence[str]) -> ToolkitError | None:
    """Replace this process by the worker in the environment that the request needs; returns where none is to be had.

    Returns what is wrong where the interpreter that somebody named cannot be started.
    """
    name = FORMATS[request.source.framework].environment
    python = request.spec.python or (python_of(name) if name else None)
    if python is None:
        return None
    # -P: the folder of the file that is started is not a place to import from.
    try:
        os.execv(python, [str(python), "-BuP", str(_START), "--here", *arguments])
    except OSError as err:
        return EnvironmentProblem(
            f"{python} cannot be started: {err.strerror}",
            mend=f"give --python, or {variable_of(name)}, the bin/python of an environment"
            if name
            else "give --python the bin/python of an environment",
        )


def require_all(kind: Format) -> None:
    """Check that what a format needs is here. Raises MissingDependency with the command that brings it."""
    absent = [name for name in kind.needs if importlib.util.find_spec(name) is None]
    if absent and kind.environment:
        raise MissingDependency(
            f"{kind.title} needs {' and '.join(absent)}, in an environment of its own",
            mend=f"toolkit env make {kind.environment}; or set {variable_of(kind.environment)} to its bin/python",
        )
    for name in absent:
        require(name)


def make_environment(name: str, folder: Path, say: Callable[[str], None]) -> Path:
    """Make a virtual environment in `folder` and install what its requirements name; returns its interpreter.

    Called again it goes on where it was interrupted. Raises UsageError for an unknown name, EnvironmentProblem with the
    last line of what failed.
    """
    if name not in NAMES:
        raise UsageError(f"there is no environment '{name}'", mend=f"use one of: {', '.join(NAMES)}")
    for text, command in commands_to_make(name, folder):
        say(text)
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            lines = (ended.stderr or ended.stdout).strip().splitlines() or ["no output"]
            raise EnvironmentProblem(
                f"{text} failed: {lines[-1]}", mend=f"run it by hand: {' '.join(map(str, command))}"
            )
    write_text(folder / _MADE, (_REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8"))
    return _python_in(folder)


def commands_to_make(name: str, folder: Path) -> tuple[tuple[str, list[str]], ...]:
    """What `make_environment` runs, each with a text that says what it does."""
    pip = [str(_python_in(folder)), "-m", "pip", "install", "--disable-pip-version-check"]
    return (
        (f"making {folder}", [sys.executable, "-m", "venv", str(folder)]),
        (
            f"installing {name} (a gigabyte, minutes)",
            [*pip, "-r", str(_REQUIREMENTS / f"{name}.txt")],
        ),
    )


def _python_in(folder: Path) -> Path:
    return folder / "bin" / "python"
