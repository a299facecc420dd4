"""The rows that a model is exported and compared with: where they come from, and whether they fit the model.

In: an ExportSpec and what is known of the inputs. Out: arrays by input name, one row per sample, and their specs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed, UsageError
from toolkit.export.arrays import read_arrays
from toolkit.export.labelled import without_label
from toolkit.export.sample_files import has_pictures, read_csv, read_pictures
from toolkit.export.spec import ExportSpec
from toolkit.models.code import customer_code
from toolkit.tensor import BATCH, TensorSpec, dtype_from_name, dtype_from_numpy, random_tensor

Array = np.ndarray[Any, Any]

#: Length of a named axis other than the batch in random samples: five halvings of a vision model leave 2 of it.
AXIS_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The inputs that a model takes, in its own order. `any_name`: it takes names beyond these too."""

    accepted: tuple[str, ...]
    required: tuple[str, ...]
    any_name: bool = False


def samples_for(
    spec: ExportSpec,
    declared: tuple[TensorSpec, ...],
    arguments: Arguments,
    offered: Callable[[], Any] | None,
    feature_names: tuple[str, ...] = (),
) -> dict[str, Array]:
    """At most `sample_count` rows in the order of `arguments`: from `spec.samples`, else `offered`, else at random.

    `feature_names` are the columns of a table that make up the only input, in order.
    Raises ExportFailed when they do not fit the model, UsageError when a file of them cannot be used.
    """
    if spec.samples is not None:
        origin = str(spec.samples)
        read = read_samples(spec.samples, declared, arguments, feature_names)
        arrays = without_label(read, arguments.accepted)
    elif offered is not None:
        origin, arrays = "sample_inputs()", offered()
    elif declared:
        origin, arrays = "--input", random_samples(declared, spec.sample_count, spec.seed)
    else:
        raise ExportFailed(
            f"nothing says what the inputs look like; the model takes: {', '.join(arguments.accepted) or 'any names'}",
            mend="define sample_inputs(seed, n) in the model's file, or give --input NAME:DTYPE:batch,DIM,...",
        )
    rows = _checked(origin, arrays, declared, arguments)
    order = [*(n for n in arguments.accepted if n in rows), *(n for n in rows if n not in arguments.accepted)]
    return {name: rows[name][: spec.sample_count] for name in order}


def origin_of(spec: ExportSpec, has_offered: bool) -> str:
    """Where `samples_for` has the samples from, in words for a report."""
    if spec.samples is not None:
        return f"samples from {spec.samples.name}"
    if has_offered:
        return f"sample_inputs() of the model's file (seed {spec.seed})"
    return f"seeded random samples (seed {spec.seed}), which say little of real data: give --samples for a decision"


def random_samples(declared: tuple[TensorSpec, ...], rows: int, seed: int) -> dict[str, Array]:
    """Seeded rows for declared inputs, each input from a stream of its own."""
    axes = {d for tensor in declared for d in tensor.shape if isinstance(d, str)}
    sizes = dict.fromkeys(sorted(axes), AXIS_LENGTH) | {BATCH: rows}
    return {
        tensor.name: (_random_mask if _is_mask(tensor) else random_tensor)(tensor, sizes, seed + index)
        for index, tensor in enumerate(declared)
    }


def _is_mask(tensor: TensorSpec) -> bool:
    """A mask by its name and type, unless a range was given: rows of nothing but zeros would prove nothing."""
    is_whole = tensor.dtype == "BOOL" or tensor.dtype.startswith(("INT", "UINT"))
    return "mask" in tensor.name.lower() and is_whole and len(tensor.shape) > 1 and tensor.low is tensor.high is None


def _random_mask(tensor: TensorSpec, sizes: Mapping[str, int], seed: int) -> Array:
    """Ones, then zeros, along the last axis, at least one of them: padding as tokenizers make it."""
    shape = [d if isinstance(d, int) else sizes[d] for d in tensor.shape]
    kept = np.random.default_rng(seed).integers(1, shape[-1], size=[*shape[:-1], 1], endpoint=True)
    result: Array = (np.arange(shape[-1]) < kept).astype(dtype_from_name(tensor.dtype).numpy)
    return result


def read_samples(
    path: Path, declared: tuple[TensorSpec, ...], arguments: Arguments, feature_names: tuple[str, ...] = ()
) -> dict[str, Array]:
    """An .npz by input name, an .npy for the only input, a folder of NAME.npy files or of pictures, or a .csv."""
    if path.is_dir() and has_pictures(path):
        return read_pictures(path, declared)
    if path.suffix == ".csv":
        return read_csv(path, declared, feature_names)
    if path.is_dir():
        return {file.stem: _read_array(file) for file in sorted(path.glob("*.npy"))}
    if path.suffix == ".npz":
        return read_arrays(path)
    if path.suffix != ".npy":
        raise UsageError(f"--samples {path} is none of .npz, .npy, .csv, or a folder of .npy files or pictures")
    names = tuple(tensor.name for tensor in declared) or arguments.required
    if len(names) != 1:
        raise UsageError(
            f"--samples {path} holds one array, and the model takes {len(names)}: {', '.join(names)}",
            mend="save an .npz with one array by input name",
        )
    return {names[0]: _read_array(path)}


def input_specs(samples: Mapping[str, Array], declared: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """What is known of each input: as declared, else as sampled with a batch axis; integers with the range seen."""
    by_name = {tensor.name: tensor for tensor in declared}
    return tuple(_input_spec(name, array, by_name.get(name)) for name, array in samples.items())


def with_given(inputs: tuple[TensorSpec, ...], given: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """A file's own inputs with the axis names and integer ranges that the user gave. Raises ExportFailed."""
    by_name = {tensor.name: tensor for tensor in given}
    unknown = set(by_name) - {tensor.name for tensor in inputs}
    if unknown:
        takes = ", ".join(tensor.name for tensor in inputs)
        raise ExportFailed(f"--input names '{min(unknown)}', and the model takes: {takes}", mend="use its own names")
    merged = []
    for tensor in inputs:
        user = by_name.get(tensor.name, tensor)
        if user.dtype != tensor.dtype or len(user.shape) != len(tensor.shape):
            raise ExportFailed(f"--input {user.text()} does not fit the model's {tensor.text()}", mend="leave it out")
        merged.append(replace(user, shape=(*tensor.shape[:1], *user.shape[1:])))
    return tuple(merged)


def check_batch_axes(inputs: tuple[TensorSpec, ...]) -> None:
    """Raises ExportFailed naming an input whose first axis is not the batch."""
    for tensor in inputs:
        if not tensor.is_batchable:
            raise ExportFailed(
                f"input '{tensor.name}' has no batch: axis 0 of {tensor.text()} is not '{BATCH}'",
                mend=f"declare it with a first axis named {BATCH}, for example {tensor.name}:float32:{BATCH},...",
            )


def offered_rows(
    sample_inputs: Callable[[int, int], Any] | None, path: Path, spec: ExportSpec
) -> Callable[[], Any] | None:
    """What `samples_for` is offered by the model's file; None where it has no `sample_inputs`."""
    if sample_inputs is None:
        return None

    def offered() -> Any:
        with customer_code(path, f"sample_inputs({spec.seed}, {spec.sample_count})", ExportFailed):
            return sample_inputs(spec.seed, spec.sample_count)

    return offered


def _input_spec(name: str, array: Array, declared: TensorSpec | None) -> TensorSpec:
    shape: tuple[int | str, ...] = (BATCH, *array.shape[1:])
    tensor = declared or TensorSpec(name=name, dtype=dtype_from_numpy(array.dtype).name, shape=shape)
    if array.dtype.kind in "iu" and tensor.low is None and array.size:
        return replace(tensor, low=int(array.min()), high=int(array.max()))
    return tensor


def _read_array(path: Path) -> Array:
    try:
        array: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise UsageError(f"--samples {path} cannot be read: {err}") from err
    return array


def _checked(origin: str, arrays: Any, declared: tuple[TensorSpec, ...], arguments: Arguments) -> Mapping[str, Array]:
    if not isinstance(arrays, Mapping) or not all(isinstance(a, np.ndarray) for a in arrays.values()) or not arrays:
        raise ExportFailed(
            f"{origin} gave a {type(arrays).__name__}; expected numpy arrays by input name",
            mend="return {'image': array} with one row per sample",
        )
    _check_names(origin, tuple(arrays), arguments)
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(rows.values())) != 1 or 0 in rows.values():
        counts = ", ".join(f"{name} {n}" for name, n in rows.items())
        raise ExportFailed(f"{origin}: inputs need the same number of rows, at least one; found {counts}")
    by_name = {tensor.name: tensor for tensor in declared}
    for name, array in arrays.items():
        _check_array(origin, name, array, by_name.get(name))
    return arrays


def _check_names(origin: str, names: tuple[str, ...], arguments: Arguments) -> None:
    takes = ", ".join(arguments.accepted)
    unknown = [n for n in names if n not in arguments.accepted and not arguments.any_name]
    if unknown:
        close = difflib.get_close_matches(unknown[0], arguments.accepted, n=1)
        raise ExportFailed(
            f"{origin} gives an input '{unknown[0]}' that the model does not take; it takes: {takes}",
            mend=f"rename it to '{close[0]}'" if close else f"use the model's own names: {takes}",
        )
    missing = [n for n in arguments.required if n not in names]
    if missing:
        raise ExportFailed(f"{origin} lacks the input '{missing[0]}'; the model takes: {takes}", mend="add it")


def _check_array(origin: str, name: str, array: Array, declared: TensorSpec | None) -> None:
    try:
        dtype = dtype_from_numpy(array.dtype).name
    except UsageError as err:
        raise ExportFailed(f"{origin}: input '{name}': {err.message}", mend=err.mend) from err
    if declared is None:
        return
    fits = len(declared.shape) == array.ndim and all(
        isinstance(d, str) or d == n for d, n in zip(declared.shape, array.shape, strict=True)
    )
    if dtype != declared.dtype or not fits:
        raise ExportFailed(
            f"{origin}: input '{name}' is {dtype} {list(array.shape)}; expected {declared.text()}",
            mend="give samples of the declared dtype and shape",
        )
