"""The precisions that an exported model can be had in, and how each is made from the float32 graph. Worker side.

In: model.onnx in float32, and rows to calibrate with. Out: model.onnx in another precision, beside what proves it.
ONNX Runtime's own quantisation does the work; what it stumbles over is put right here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed, UsageError
from toolkit.export.arrays import Array, read_arrays
from toolkit.export.half import to_half
from toolkit.export.onnxruntime import chunks, texts_as_objects
from toolkit.export.spec import MODEL_FILE, SAMPLES_FILE, WorkerRequest
from toolkit.models.onnx import external_files, read_onnx
from toolkit.records import writing

#: Rows that are run together while the ranges of activations are found.
CALIBRATION_BATCH = 8
#: Above this, weights go into a file beside the model; protobuf ends at 2 GB.
SINGLE_FILE_BYTES = 1_500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """A kind of variant. `target` says what it is made for, `calibrated` whether samples set its ranges.

    `tried_as` is "itself", or says in words what stands in for it where no CPU runtime has kernels for it.
    """

    name: str
    text: str
    target: str
    calibrated: bool = False
    tried_as: str = "itself"


PRECISIONS = {
    precision.name: precision
    for precision in (
        Precision(name="fp32", text="as exported", target="CPU and GPU"),
        Precision(name="fp16", text="every float in float16", target="GPU"),
        Precision(
            name="bf16",
            text="every float in bfloat16",
            target="GPU",
            tried_as="every weight and value rounded to bfloat16, computed in float32",
        ),
        Precision(name="int8-dynamic", text="weights in int8, activations scaled at each request", target="CPU"),
        Precision(name="int8-qdq", text="QDQ, unsigned activations, weights by channel", target="CPU", calibrated=True),
        Precision(
            name="int8-qdq-trt",
            text="QDQ, signed and symmetric, weights by channel",
            target="TensorRT",
            calibrated=True,
        ),
    )
}
#: Short names on the command line.
ALIASES = {"int8": ("int8-dynamic", "int8-qdq")}


def precisions_from_text(text: str) -> tuple[str, ...]:
    """`fp32,fp16,int8` as names, without doubles, in the order of PRECISIONS. Raises UsageError for an unknown one."""
    names = [n for part in text.split(",") if part.strip() for n in ALIASES.get(part.strip(), (part.strip(),))]
    unknown = [name for name in names if name not in PRECISIONS]
    if unknown or not names:
        known = ", ".join((*PRECISIONS, *ALIASES))
        raise UsageError(f"precision '{unknown[0] if unknown else text}' is not one of: {known}")
    return tuple(name for name in PRECISIONS if name in names)


def convert_precision(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    """Write `folder/model.onnx` in `request.spec.precision` from the float32 graph that the source names.

    Calibrated precisions read the samples beside that graph. Returns notes. Raises ExportFailed.
    """
    precision, source = request.spec.precision, request.source.path
    say(f"converting to {precision}")
    if not any(tensor.data_type == 1 for tensor in read_onnx(source).graph.initializer):
        raise ExportFailed(
            f"{source} has no float32 weights: {precision} would be the same model",
            mend="a tree ensemble, and a model that is quantised already, stay as they are",
        )
    with tempfile.TemporaryDirectory(prefix="toolkit-precision-") as work:
        if precision in HALVES:
            return _write_half(source, folder / MODEL_FILE, HALVES[precision], native=True)
        return _QUANTISERS[precision](source, folder / MODEL_FILE, Path(work))


HALVES = {"fp16": "FLOAT16", "bf16": "BFLOAT16"}


def write_stand_in(source: Path, path: Path, precision: str) -> None:
    """The graph that stands in for a half precision that no CPU kernel has; see `Precision.tried_as`."""
    _write_half(source, path, HALVES[precision], native=False)


def _write_half(source: Path, path: Path, target: str, *, native: bool) -> tuple[str, ...]:
    import onnx

    model = onnx.load(source)
    notes = to_half(model, target, native=native)
    _save(model, path)
    return notes


def _save(model: Any, path: Path) -> None:
    import onnx

    large = model.ByteSize() > SINGLE_FILE_BYTES
    with writing(path):
        onnx.save(model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None)


def _dynamic(source: Path, path: Path, work: Path) -> tuple[str, ...]:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = _without_shapes(source, work / MODEL_FILE)
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True, use_external_data_format=_large(plain))
    return ()


def _static(source: Path, path: Path, work: Path, *, signed: bool) -> tuple[str, ...]:
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    samples = read_arrays(source.parent / SAMPLES_FILE)
    plain = _without_shapes(source, work / MODEL_FILE)
    prepared = work / "prepared.onnx"
    # Symbolic shape inference fails on graphs with data-dependent shapes, and the quantiser does without.
    quant_pre_process(plain, prepared, skip_symbolic_shape=True, save_as_external_data=_large(plain))
    quantize_static(
        prepared,
        path,
        _Rows(samples),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        calibrate_method=CalibrationMethod.MinMax,
        use_external_data_format=_large(plain),
        # TensorRT takes zero points of 0 only, and quantises biases itself.
        extra_options={"ActivationSymmetric": signed, "WeightSymmetric": True, "QuantizeBias": not signed},
    )
    return (f"activation ranges from {len(next(iter(samples.values())))} samples",)


_QUANTISERS: Mapping[str, Callable[[Path, Path, Path], tuple[str, ...]]] = {
    "int8-dynamic": _dynamic,
    "int8-qdq": lambda source, path, work: _static(source, path, work, signed=False),
    "int8-qdq-trt": lambda source, path, work: _static(source, path, work, signed=True),
}


def _without_shapes(source: Path, path: Path) -> Path:
    """A copy without the shapes of inner values: the quantisers trip over those that are expressions."""
    model = read_onnx(source)
    del model.graph.value_info[:]
    for name in external_files(model):
        (path.parent / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.parent / name, path.parent / name)
    with writing(path):
        path.write_bytes(model.SerializeToString())
    return path


def _large(path: Path) -> bool:
    return bool(external_files(read_onnx(path)))


class _Rows:
    """Samples as onnxruntime.quantization wants them: `get_next` until there are no more."""

    def __init__(self, samples: Mapping[str, Array]) -> None:
        self._groups: Iterator[dict[str, Array]] = chunks(samples, CALIBRATION_BATCH)

    def get_next(self) -> dict[str, Array] | None:
        """The next rows, or None."""
        group = next(self._groups, None)
        return None if group is None else texts_as_objects(group)
