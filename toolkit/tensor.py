"""What a tensor looks like: name, dtype, shape; and the one dtype table of the toolkit.

Shapes always include every axis, the batch axis too. An axis is a number, or a name when its length may vary;
the batch axis is named `batch`. dtype is the KServe v2 name ("FP32", "INT64", "BYTES").
This module does not know where a tensor comes from or who will serve it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class DType:
    """One row of the dtype table. `onnx` is onnx.TensorProto.DataType; `config` is Triton's model_config.proto name."""

    name: str
    config: str
    numpy: str
    torch: str
    onnx: int
    itemsize: int


#: Sources: KServe v2 "Tensor Data Types"; triton-inference-server/common model_config.proto; onnx.proto3.
DTYPES = tuple(
    DType(name=name, config=config, numpy=numpy, torch=torch, onnx=onnx, itemsize=itemsize)
    for name, config, numpy, torch, onnx, itemsize in (
        ("BOOL", "TYPE_BOOL", "bool", "bool", 9, 1),
        ("UINT8", "TYPE_UINT8", "uint8", "uint8", 2, 1),
        ("UINT16", "TYPE_UINT16", "uint16", "uint16", 4, 2),
        ("UINT32", "TYPE_UINT32", "uint32", "uint32", 12, 4),
        ("UINT64", "TYPE_UINT64", "uint64", "uint64", 13, 8),
        ("INT8", "TYPE_INT8", "int8", "int8", 3, 1),
        ("INT16", "TYPE_INT16", "int16", "int16", 5, 2),
        ("INT32", "TYPE_INT32", "int32", "int32", 6, 4),
        ("INT64", "TYPE_INT64", "int64", "int64", 7, 8),
        ("FP16", "TYPE_FP16", "float16", "float16", 10, 2),
        ("BF16", "TYPE_BF16", "", "bfloat16", 16, 2),
        ("FP32", "TYPE_FP32", "float32", "float32", 1, 4),
        ("FP64", "TYPE_FP64", "float64", "float64", 11, 8),
        ("BYTES", "TYPE_STRING", "object", "", 8, 0),
    )
)
_BY_NAME = {d.name: d for d in DTYPES}
_ALIASES = {d.numpy: d.name for d in DTYPES if d.numpy} | {d.config: d.name for d in DTYPES} | {"string": "BYTES"}


def dtype_from_name(name: str) -> DType:
    """The row for a KServe ("FP32"), numpy ("float32") or Triton config ("TYPE_FP32") name. Raises UsageError."""
    known = _BY_NAME.get(name) or _BY_NAME.get(_ALIASES.get(name, ""))
    if known is None:
        names = ", ".join(d.numpy for d in DTYPES if d.numpy)
        raise UsageError(f"'{name}' is not a tensor dtype", mend=f"use one of: {names}")
    return known


def dtype_from_numpy(dtype: np.dtype[Any]) -> DType:
    """The row for a numpy dtype; object, bytes and str arrays are BYTES."""
    return _BY_NAME["BYTES"] if dtype.kind in "OSU" else dtype_from_name(dtype.name)


def dtype_from_onnx(code: int) -> DType:
    """The row for an onnx.TensorProto.DataType. Raises UsageError for one that Triton cannot serve."""
    for row in DTYPES:
        if row.onnx == code:
            return row
    raise UsageError(f"ONNX element type {code} has no Triton counterpart")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """A tensor's name, dtype (KServe v2 name) and full shape; `low..high` bound the integers that make sense in it."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    low: int | None = None
    high: int | None = None

    @property
    def is_batchable(self) -> bool:
        """Whether the leading axis is the named batch axis."""
        return bool(self.shape) and self.shape[0] == BATCH

    def text(self) -> str:
        """The `NAME:DTYPE:DIM,DIM[:LOW..HIGH]` form that `tensor_from_text` reads."""
        dims = ",".join(str(d) for d in self.shape)
        bounds = f":{self.low}..{self.high}" if self.low is not None and self.high is not None else ""
        return f"{self.name}:{dtype_from_name(self.dtype).numpy}:{dims}{bounds}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The inputs and outputs of a model, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_batchable(self) -> bool:
        """Whether every input and every output has the leading batch axis."""
        return all(t.is_batchable for t in (*self.inputs, *self.outputs))


def tensor_from_text(text: str) -> TensorSpec:
    """Read `NAME:DTYPE:DIM,DIM,...[:LOW..HIGH]`, a DIM being a number or an axis name. Raises UsageError."""
    mend = "write it as NAME:DTYPE:DIM,DIM,...[:LOW..HIGH], for example image:float32:batch,3,224,224"
    parts = text.split(":")
    if len(parts) not in (3, 4) or not parts[0]:
        raise UsageError(f"--input '{text}' cannot be read", mend=mend)
    shape = tuple(_dim_from_text(d, text, mend) for d in parts[2].split(",")) if parts[2] else ()
    low, high = _range_from_text(parts[3], text, mend) if len(parts) == 4 else (None, None)
    return TensorSpec(name=parts[0], dtype=dtype_from_name(parts[1]).name, shape=shape, low=low, high=high)


def _dim_from_text(dim: str, text: str, mend: str) -> int | str:
    if dim.isdigit() and int(dim) > 0:
        return int(dim)
    if dim.isidentifier():
        return dim
    raise UsageError(f"--input '{text}': '{dim}' is neither a positive number nor an axis name", mend=mend)


def _range_from_text(bounds: str, text: str, mend: str) -> tuple[int, int]:
    low, _, high = bounds.partition("..")
    try:
        return int(low), int(high)
    except ValueError as err:
        raise UsageError(f"--input '{text}': '{bounds}' is not LOW..HIGH", mend=mend) from err


def random_tensor(spec: TensorSpec, sizes: Mapping[str, int], seed: int) -> np.ndarray[Any, Any]:
    """A seeded array for `spec` with each named axis as long as `sizes` says.

    Floats are standard normal; integers are uniform in low..high (both included; 0..1 when no range is known);
    BYTES are short ASCII words. Raises UsageError for an axis without a size.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    missing = [d for d in spec.shape if isinstance(d, str) and d not in sizes]
    if missing:
        text = f"tensor '{spec.name}': no length is known for axis '{missing[0]}'"
        raise UsageError(text, mend="give --samples FILE")
    shape = [d if isinstance(d, int) else sizes[d] for d in spec.shape]
    dtype = dtype_from_name(spec.dtype)
    if dtype.name == "BYTES":
        words = [f"word{n}".encode() for n in random.integers(0, 1000, size=int(np.prod(shape)))]
        return np.array(words, dtype=object).reshape(shape)
    if dtype.name.startswith("FP"):
        return random.standard_normal(shape).astype(dtype.numpy)
    low, high = (spec.low or 0, 1 if spec.high is None else spec.high)
    return random.integers(low, high, size=shape, endpoint=True).astype(dtype.numpy)
