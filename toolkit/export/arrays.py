"""Named arrays to .npz files and back: the same arrays give the same bytes, and nothing is ever pickled.

Text is stored at fixed width, so trailing NUL bytes of a BYTES element are not kept.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ConfigurationError
from toolkit.records import writing

Array = np.ndarray[Any, Any]


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an .npz without the time stamps that `numpy.savez` puts in. Raises EnvironmentProblem."""
    with writing(path), zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _storable(array), allow_pickle=False)  # type: ignore[no-untyped-call]


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz by name. Raises ConfigurationError when it is absent, damaged or holds pickles."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        raise ConfigurationError(f"{path} cannot be read as .npz: {err}") from err


def _storable(array: Array) -> Array:
    if array.dtype.kind != "O":
        return array
    texts = [v if isinstance(v, bytes) else str(v).encode() for v in array.ravel()]
    return np.array(texts, dtype=np.bytes_).reshape(array.shape)
