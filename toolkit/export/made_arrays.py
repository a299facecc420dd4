"""Arrays that a customer's function makes: a catalogue, the vectors of an index, questions with their answers.

In: a Source that names a function of a Python file, and folders that it may read. Out: a folder with arrays.npz.
The function runs in the export worker; `make_arrays` is what the worker does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.process import Progress, run_worker
from toolkit.export.spec import LOG_FILE, REQUEST_FILE, ExportSpec, WorkerRequest
from toolkit.models.source import Source

if TYPE_CHECKING:
    from toolkit.export.arrays import Array

ARRAYS_FILE = "arrays.npz"


def export_arrays(
    source: Source,
    folder: Path,
    *,
    folders: Mapping[str, Path] | None = None,
    arguments: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, list[int]]:
    """Call the function of `source` with `folders` as keyword arguments and keep its arrays in `folder`.

    Those of `arguments` that the function names are handed to it as well.

    Returns their shapes by name. Raises ModelRefused, ExportFailed and EnvironmentProblem.
    """
    spec = ExportSpec(arguments=dict(arguments or {}))
    request = WorkerRequest(action="arrays", source=source, spec=spec, folders=dict(folders or {}))
    shapes: dict[str, list[int]] = run_worker(request, folder / REQUEST_FILE, folder / LOG_FILE, progress)
    return shapes


def make_arrays(request: WorkerRequest, folder: Path) -> dict[str, list[int]]:
    """In the worker: run the function, check what it returns and write it."""
    from toolkit.export.arrays import write_arrays
    from toolkit.models.code import accepting, customer_code, imported, named_function

    path, entry = request.source.path, request.source.entry
    if entry is None:
        raise ModelRefused(f"{path} is no Python file with a function", mend="name one: path/to/file.py:function")
    function = accepting(named_function(imported(path), path, entry), request.spec.arguments)
    with customer_code(path, f"{entry}()", ExportFailed):
        made = function(**{name: str(where) for name, where in request.folders.items()})
    arrays = _checked(made, f"{path}: {entry}()")
    write_arrays(folder / ARRAYS_FILE, arrays)
    return {name: list(array.shape) for name, array in arrays.items()}


def _checked(made: Any, where: str) -> dict[str, Array]:
    import numpy as np

    if not isinstance(made, Mapping) or not made or not all(isinstance(name, str) for name in made):
        raise ExportFailed(f"{where} returned a {type(made).__name__}; expected a dict of arrays by name")
    return {name: np.asarray(array) for name, array in made.items()}
