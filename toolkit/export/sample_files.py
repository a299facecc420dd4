"""Samples as customers have them: a table with a header, a folder of pictures; and the labels that are in them.

Out: arrays by input name, a row each; labels, one for each row.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UsageError
from toolkit.extras import require
from toolkit.tensor import TensorSpec, dtype_from_name

Array = np.ndarray[Any, Any]
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
#: The array or column that holds labels, where the model has no input of that name.
LABEL = "label"
#: Labelled rows that are run; a share of so many is known to about a percent.
MOST_ROWS = 2000


def read_csv(path: Path, declared: Sequence[TensorSpec], feature_names: Sequence[str] = ()) -> dict[str, Array]:
    """A CSV file whose first line names columns: one column per input, or the features of the only one, side by side.

    An empty field is NaN for a float, and the empty text. Columns that no input has are left out, and the labels.
    Raises UsageError.
    """
    table = _table(path)
    if LABEL not in {*feature_names, *(tensor.name for tensor in declared)}:
        table.pop(LABEL, None)
    if not declared:
        raise UsageError(
            f"--samples {path}: which column goes to which input is not known", mend="give --input as well"
        )
    if len(declared) == 1 and len(declared[0].shape) == 2 and declared[0].name not in table:
        return {declared[0].name: _matrix(path, table, declared[0], feature_names)}
    return {t.name: _column(path, table, t.name, t.dtype).reshape(-1, *[1] * (len(t.shape) - 1)) for t in declared}


def read_pictures(folder: Path, declared: Sequence[TensorSpec]) -> dict[str, Array]:
    """The pictures of a folder, as float32 in 0..1 [n, channels, height, width]. Raises UsageError.

    They are by name, or where they lie in folders by class one of each class in turn, at most MOST_ROWS. They are
    scaled to the input's height and width, or keep theirs where those are free.
    """
    wanted = [t for t in declared if len(t.shape) == 4 and t.dtype == "FP32"]
    if len(declared) != 1 or not wanted:
        inputs = ", ".join(t.text() for t in declared) or "unknown"
        raise UsageError(
            f"--samples {folder} holds pictures, and the inputs are: {inputs}",
            mend="declare one picture: --input image:float32:batch,3,224,224; or give samples as .npz",
        )
    pictures = [_picture(file, wanted[0].shape) for file in _picture_files(folder)]
    sizes = sorted({picture.shape for picture in pictures})
    if len(sizes) > 1:
        text = f"--samples {folder}: the pictures have several sizes, {sizes[0][1:]} and {sizes[1][1:]} among them"
        raise UsageError(text, mend="declare height and width as numbers, and they are scaled")
    return {wanted[0].name: np.stack(pictures)}


def has_pictures(folder: Path) -> bool:
    """Whether a folder holds pictures, or folders of them."""
    return bool(_picture_files(folder))


def read_labels(path: Path) -> Array | None:
    """The labels of a CSV file's column `label`, or of pictures in folders by class; None where there are none.

    Whole numbers where all are such, else texts. Of folders the index of the name among all in order, or the name
    itself where all are numbers.
    """
    if path.suffix == ".csv":
        values = _table(path).get(LABEL)
        return None if values is None else _numbers_or_texts(values)
    if not path.is_dir() or not has_pictures(path):
        return None
    names = [file.parent.name for file in _picture_files(path) if file.parent != path]
    if not names:
        return None
    found = _numbers_or_texts(names)
    order = {name: index for index, name in enumerate(sorted(set(names)))}
    return found if found.dtype.kind == "i" else np.array([order[name] for name in names])


def _numbers_or_texts(values: Sequence[str]) -> Array:
    stripped = [value.strip() for value in values]
    if all(value.removeprefix("-").isdecimal() for value in stripped):
        return np.array([int(value) for value in stripped], dtype=np.int64)
    return np.array(stripped)


def _picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder by name; where it has none those one level below, the first of each folder first."""
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    if not found:
        below = (sorted(p for p in place.iterdir() if p.suffix.lower() in PICTURES) for place in _folders(folder))
        turns = [(turn, file) for files in below for turn, file in enumerate(files)]
        found = [file for _, file in sorted(turns)]
    return found[:MOST_ROWS]


def _folders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir())


def _picture(file: Path, shape: Sequence[int | str]) -> Array:
    image = require("PIL.Image")
    try:
        picture = image.open(file).convert("L" if shape[1] == 1 else "RGB")
    except OSError as err:
        raise UsageError(f"--samples {file} is no picture that can be read: {err}") from err
    height, width = shape[2], shape[3]
    if isinstance(height, int) and isinstance(width, int):
        picture = picture.resize((width, height))
    array = np.asarray(picture, dtype=np.float32) / 255
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _table(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise UsageError(f"--samples {path} cannot be read: {err}") from err
    if len(rows) < 2:
        raise UsageError(f"--samples {path} has no rows below a line of column names")
    header, body = rows[0], [row for row in rows[1:] if row]
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise UsageError(f"--samples {path}: line {number} has {len(row)} fields, the header {len(header)}")
    return {name: [row[index] for row in body] for index, name in enumerate(header)}


def _matrix(path: Path, table: dict[str, list[str]], tensor: TensorSpec, feature_names: Sequence[str]) -> Array:
    names = list(feature_names) if set(feature_names) <= set(table) and feature_names else list(table)
    if isinstance(tensor.shape[1], int) and len(names) != tensor.shape[1]:
        raise UsageError(
            f"--samples {path} has {len(names)} columns, and '{tensor.name}' takes {tensor.shape[1]}",
            mend=f"keep the columns {', '.join(feature_names)}"
            if feature_names
            else "keep the features, in their order",
        )
    return np.stack([_column(path, table, name, tensor.dtype) for name in names], axis=1)


def _column(path: Path, table: dict[str, list[str]], name: str, dtype: str) -> Array:
    if name not in table:
        close = difflib.get_close_matches(name, table, n=1)
        raise UsageError(
            f"--samples {path} has no column '{name}'; it has: {', '.join(table)}",
            mend=f"rename '{close[0]}'" if close else "add the column",
        )
    if dtype == "BYTES":
        return np.array([value.encode() for value in table[name]], dtype=object)
    kind = np.dtype(dtype_from_name(dtype).numpy)
    values = [value.strip() or ("nan" if kind.kind == "f" else value) for value in table[name]]
    for number, value in enumerate(values, start=2):
        try:
            float(value)
        except ValueError as err:
            raise UsageError(f"--samples {path}: line {number}, column '{name}': '{value}' is no {kind.name}") from err
    return np.array([float(value) for value in values]).astype(kind)
