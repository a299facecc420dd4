"""The rounding noise of an ONNX graph: its answers unoptimised, with every weight moved by half a roundoff.

In: an ONNX file, samples and their reference. Out: a Noise for each floating-point output. A float64 copy of the graph
would say it exactly, but ONNX Runtime has no float64 kernels for convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.export.locate import PROBE_FILE
from toolkit.export.noise import Noise, noises_between
from toolkit.export.onnxruntime import answers_of, chunks, open_onnx, runtime_errors
from toolkit.models.onnx import read_onnx
from toolkit.records import write_bytes

Array = np.ndarray[Any, Any]

ROWS = 16
MOVED = "the same graph unoptimised, with each weight moved by up to half a unit of roundoff"


def onnx_noise(
    path: Path, samples: Mapping[str, Array], reference: Mapping[str, Array]
) -> tuple[tuple[Noise, ...], tuple[str, ...]]:
    """The noise of every output on at most 16 rows, and a note where it could not be found.

    Weights in external data stay as they are: there only the order of the sums differs.
    """
    rows = {name: array[:ROWS] for name, array in samples.items()}
    expected = {name: array[:ROWS] for name, array in reference.items()}
    model = read_onnx(path)
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        _move(tensor, random)
    probe = path.with_name(PROBE_FILE)
    failures: tuple[type[Exception], ...] = (ModelRefused, *runtime_errors())
    try:
        write_bytes(probe, model.SerializeToString())
        session = open_onnx(probe, level="none")
        parts = [answers_of(session, row) for row in chunks(rows, 1)]
        answers = {name: np.concatenate([part[name] for part in parts]) for name in expected}
    except failures as err:
        return (), (f"the graph's rounding noise is not known: {str(err).splitlines()[0]}",)
    finally:
        probe.unlink(missing_ok=True)
    return noises_between(expected, answers, probe=MOVED), ()


def _move(tensor: Any, random: np.random.Generator) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type != TensorProto.FLOAT or not tensor.dims:
        return
    values = numpy_helper.to_array(tensor)
    moved = values * (1 + 2.0**-24 * random.uniform(-1, 1, values.shape))
    tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), tensor.name))
