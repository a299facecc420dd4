"""A Triton python-based backend that serves `backend: "onnxruntime"` entries with ONNX Runtime.

It stands in for the native backend where there is none: the same entries, the same parameters and no others, the same
refusal of a config that contradicts the graph. Self-contained: standard library, numpy, onnxruntime, Triton's module.
Source: triton-inference-server/onnxruntime_backend, README ("Model Config Options") and src/onnxruntime.cc.
"""

from __future__ import annotations

import gc
import json
import os
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

#: Set by whoever launches the server; the native backend has no such parameter, so no entry can hold it.
SPINNING = "TOOLKIT_ORT_ALLOW_SPINNING"
DEVICE_ALLOCATOR = "session.use_device_allocator_for_initializers"
#: Each parameter's default, and its highest value; all are integers from zero.
PARAMETERS = {
    "intra_op_thread_count": (0, 4096),
    "inter_op_thread_count": (0, 4096),
    "execution_mode": (0, 1),
    "enable_mem_arena": (1, 1),
    "enable_mem_pattern": (1, 1),
    DEVICE_ALLOCATOR: (0, 1),
}
PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
PRECISION_MODES = {"FP32": {}, "FP16": {"trt_fp16_enable": "1"}, "INT8": {"trt_int8_enable": "1"}}
TYPES = {"bool": "BOOL", "string": "STRING", "float16": "FP16", "float": "FP32", "double": "FP64"}
TYPES |= {f"{u}int{bits}": f"{u.upper()}INT{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)}
#: ONNX Runtime's names for element types -> the config's.
CONFIG_TYPES = {f"tensor({name})": f"TYPE_{config}" for name, config in TYPES.items()}
DEFAULT_MAX_BATCH_SIZE = 4


class TritonPythonModel:
    """One instance of a model: one ONNX Runtime session."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Fill in inputs, outputs and batching where a config has none, as the native backend does."""
        config = auto_complete_model_config.as_dict()
        if not (config.get("input") and config.get("output")):
            complete(config, load_session(Path(pb_utils.get_model_dir()), config, "CPU", "0"))
        return auto_complete_model_config

    def initialize(self, args):
        """Load the session and compare the config with the graph. What is refused here, Triton tells the user."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"], args["model_version"])
        self.session = load_session(folder, config, args["model_instance_kind"], args["model_instance_device_id"])
        check(config, self.session)
        self.batches = config["max_batch_size"] > 0
        self.output_names = [output["name"] for output in config["output"]]
        self.string_inputs = {i["name"] for i in config["input"] if i["data_type"] == "TYPE_STRING"}
        self.ragged = {i["name"] for i in config["input"] if i.get("allow_ragged_batch")}
        self.made = config.get("batch_input", [])
        gc.freeze()  # what is loaded by now stays: no collection need look at it again

    def execute(self, requests):
        """One response for each request; when a batch fails, each is tried alone to find whose fault it was."""
        try:
            if len(requests) == 1 or self.batches:
                return self.answer(requests)
        except Exception as err:  # noqa: BLE001 - ONNX Runtime's errors have no other common class
            if len(requests) == 1 or isinstance(err, RowsDiffer):
                return [pb_utils.InferenceResponse(error=pb_utils.TritonError(str(err)))] * len(requests)
        return [self.execute([request])[0] for request in requests]

    def answer(self, requests):
        """Run the requests as one batch, and cut its outputs by their rows."""
        feed, rows = join(requests, self.ragged, self.made)
        outputs, total = self.run(feed), sum(rows)
        for name, output in zip(self.output_names, outputs, strict=True):
            if self.batches and output.shape[:1] != (total,):
                raise RowsDiffer(f"output '{name}' has shape {list(output.shape)} for a batch of {total} rows")
        if len(requests) == 1:
            return [self.response(outputs)]
        starts = [0, *accumulate(rows)]
        return [self.response([output[a:b] for output in outputs]) for a, b in pairwise(starts)]

    def run(self, feed):
        """One execution of the graph: arrays by input name in, the configured outputs out."""
        for name in self.string_inputs & feed.keys():
            feed[name] = text_array(feed[name])
        return self.session.run(self.output_names, feed)

    def response(self, outputs):
        """A response; a scalar gets the one axis that a config can describe."""
        named = zip(self.output_names, outputs, strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor(n, o if o.ndim else o.reshape(1)) for n, o in named])


def refuse(message):
    """Fail the load with a message that Triton passes on."""
    raise pb_utils.TritonModelException(message)


class RowsDiffer(Exception):
    """An output that has not one row for each row of the inputs: the model does not batch."""


def join(requests, ragged=(), made=()):
    """The inputs of the requests as one feed, and the rows of each request. Ragged ones become one axis."""
    columns, rows = {}, []
    for request in requests:
        for tensor in request.inputs():
            array = tensor.as_numpy()
            columns.setdefault(tensor.name(), []).append(array)
        rows.append(len(array))
    if any(len(parts) != len(requests) for parts in columns.values()):
        raise ValueError("the requests have different inputs")
    described = {m["target_name"][0]: describe(m, columns[m["source_input"][0]]) for m in made}
    columns |= {name: [part.ravel() for part in columns[name]] for name in ragged if name in columns}
    feed = {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in columns.items()}
    return feed | described, rows


def describe(batch_input, parts):
    """What Triton tells a model about a ragged batch: of the source input's parts, one for each request."""
    counts, shapes = [part.size for part in parts], [part.shape[1:] for part in parts]
    values = {
        "BATCH_ELEMENT_COUNT": counts,
        "BATCH_ACCUMULATED_ELEMENT_COUNT": list(accumulate(counts)),
        "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO": [0, *accumulate(counts)],
        "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE": [0] * max(counts),
        "BATCH_ITEM_SHAPE": [shape for part, shape in zip(parts, shapes, strict=True) for _ in part],
        "BATCH_ITEM_SHAPE_FLATTEN": [d for part, shape in zip(parts, shapes, strict=True) for _ in part for d in shape],
    }[batch_input.get("kind", "BATCH_ELEMENT_COUNT")]
    return np.array(values, np.float32 if batch_input["data_type"] == "TYPE_FP32" else np.int32)


def text_array(array):
    """A string tensor as ONNX Runtime takes it: of str, where Triton gives bytes."""
    text = np.empty(array.size, object)
    text[:] = [element.decode() for element in array.ravel()]
    return text.reshape(array.shape)


def load_session(folder, config, kind, device):
    """An ONNX Runtime session with the options of the config, on the GPU where the instance is and onnxruntime can."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # on by default, and read when it is loaded
    import onnxruntime  # slow, and the auto-complete stub of a complete config does without

    path = folder / (config.get("default_model_filename") or "model.onnx")
    if not path.is_file():
        refuse(f"unable to find '{path}'")
    options = session_options(onnxruntime, config)
    providers = execution_providers(config, kind, device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers)
    except Exception as err:  # noqa: BLE001 - ONNX Runtime's errors have no other common class
        refuse(f"onnx runtime error: {err}")
    # ONNX Runtime goes on without a provider that is absent or does not load, and no figure would mean what it says.
    for provider, _ in providers:
        if provider not in session.get_providers():
            refuse(f"this onnxruntime cannot start {provider}; why is in the server's log")
    return session


def parameters(config):
    """The entry's parameters over the defaults. Refuses one that the native backend does not document."""
    values = {name: default for name, (default, _) in PARAMETERS.items()}
    for name, text in ((name, entry["string_value"]) for name, entry in config.get("parameters", {}).items()):
        if name.startswith("TRITON_"):  # read by Triton itself
            continue
        if name not in PARAMETERS:
            refuse(f"parameter '{name}' is unknown; the onnxruntime backend reads: {', '.join(PARAMETERS)}")
        if not text.isdigit() or int(text) > PARAMETERS[name][1]:
            refuse(f"parameter '{name}' is '{text}'; expected an integer from 0 to {PARAMETERS[name][1]}")
        values[name] = int(text)
    return values


def session_options(onnxruntime, config):
    """SessionOptions from `parameters` and `optimization.graph.level`."""
    values, options = parameters(config), onnxruntime.SessionOptions()
    options.intra_op_num_threads = values["intra_op_thread_count"]
    options.inter_op_num_threads = values["inter_op_thread_count"]
    modes = (onnxruntime.ExecutionMode.ORT_SEQUENTIAL, onnxruntime.ExecutionMode.ORT_PARALLEL)
    options.execution_mode = modes[values["execution_mode"]]
    options.enable_cpu_mem_arena = bool(values["enable_mem_arena"])
    options.enable_mem_pattern = bool(values["enable_mem_pattern"])
    options.add_session_config_entry(DEVICE_ALLOCATOR, str(values[DEVICE_ALLOCATOR]))
    for pool in ("intra_op", "inter_op"):
        options.add_session_config_entry(f"session.{pool}.allow_spinning", os.environ.get(SPINNING, "1"))
    levels = onnxruntime.GraphOptimizationLevel
    level = {-1: levels.ORT_ENABLE_BASIC, 1: levels.ORT_ENABLE_EXTENDED, 2: levels.ORT_DISABLE_ALL}
    graph = config.get("optimization", {}).get("graph", {})
    options.graph_optimization_level = level.get(graph.get("level", 0), levels.ORT_ENABLE_ALL)
    return options


def execution_providers(config, kind, device, available):
    """The providers in order of preference. A GPU instance runs on the CPU where onnxruntime has no GPU provider."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    for accelerator in accelerators.get("cpu_execution_accelerator", ()):
        refuse(f"unknown Execution Accelerator '{accelerator['name']}' is requested for the CPU; none is known")
    wanted = {a["name"]: a.get("parameters", {}) for a in accelerators.get("gpu_execution_accelerator", ())}
    for name in wanted.keys() - PROVIDERS.keys():
        refuse(f"unknown Execution Accelerator '{name}' is requested; known: {', '.join(PROVIDERS)}")
    chosen = []
    if kind == "GPU" and "tensorrt" in wanted:
        chosen.append((PROVIDERS["tensorrt"], tensorrt_options(wanted["tensorrt"]) | {"device_id": device}))
    if kind == "GPU" and ("cuda" in wanted or PROVIDERS["cuda"] in available):
        chosen.append((PROVIDERS["cuda"], wanted.get("cuda", {}) | {"device_id": device}))
    return [*chosen, ("CPUExecutionProvider", {})]


def tensorrt_options(given):
    """The TensorRT provider's options: the native backend's names are the provider's, most of them without `trt_`."""
    mode = given.get("precision_mode", "FP32")
    if mode not in PRECISION_MODES:
        refuse(f"unsupported precision mode '{mode}' is requested; known: {', '.join(PRECISION_MODES)}")
    others = {name.removeprefix("trt_"): value for name, value in given.items() if name != "precision_mode"}
    return PRECISION_MODES[mode] | {f"trt_{name.removesuffix('_bytes')}": value for name, value in others.items()}


def graph_dims(tensor):
    """A graph's dims as a config writes them. Empty for a scalar, and where the graph does not tell."""
    return [dim if isinstance(dim, int) else -1 for dim in tensor.shape]


def complete(config, session):
    """Write inputs, outputs, max_batch_size and the dynamic batcher into a config that lacks them."""
    sides = {"input": session.get_inputs(), "output": session.get_outputs()}
    batchable = all(graph_dims(tensor)[:1] == [-1] for tensors in sides.values() for tensor in tensors)
    if batchable:
        config["max_batch_size"] = config["max_batch_size"] or DEFAULT_MAX_BATCH_SIZE
        if config["max_batch_size"] > 1 and "sequence_batching" not in config:
            config.setdefault("dynamic_batching", {})
    for side, tensors in sides.items():
        config[side] = config.get(side) or [described(tensor, batchable) for tensor in tensors]


def described(tensor, batchable):
    """One input or output of a config; one that has the batch axis alone needs a reshape."""
    dims = graph_dims(tensor)[1 if batchable else 0 :]
    entry = {"name": tensor.name, "data_type": CONFIG_TYPES.get(tensor.type, "TYPE_INVALID"), "dims": dims or [1]}
    return entry if dims or not batchable else entry | {"reshape": {"shape": []}}


def check(config, session):
    """Refuse a config that contradicts the graph: names, types and dims, compared as the native backend does."""
    made = {name for batch_input in config.get("batch_input", ()) for name in batch_input["target_name"]}
    # A request may leave out what the graph has a value for.
    optional = {t.name: t for t in session.get_overridable_initializers()}
    for side, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
        graph, entries = {t.name: t for t in tensors}, {entry["name"]: entry for entry in config[side]}
        missing = side == "input" and graph.keys() - entries.keys() - made
        graph |= optional if side == "input" else {}
        if missing or entries.keys() - graph.keys():
            refuse(f"the model's {side}s are {', '.join(graph)}; the configuration has {', '.join(entries)}")
        for name, entry in entries.items():
            check_tensor(config, side, entry, graph[name])


def check_tensor(config, side, entry, tensor):
    """Refuse a wrong type, or dims that differ: those of outputs anywhere, those of inputs where the graph is fixed."""
    where = f"{side} '{tensor.name}'"
    if entry["data_type"] != CONFIG_TYPES.get(tensor.type):
        refuse(f"{where}: the model has {tensor.type}, the configuration {entry['data_type']}")
    graph = graph_dims(tensor)
    batch = [-1] if config["max_batch_size"] > 0 and not entry.get("allow_ragged_batch") else []
    dims = batch + [int(dim) for dim in entry.get("reshape", {}).get("shape", entry["dims"])]
    same = len(graph) == len(dims) and all(
        g == d or (g == -1 and side == "input") for g, d in zip(graph, dims, strict=False)
    )
    if graph and not same:
        refuse(f"{where}: the model has dims {graph}, the configuration {dims} (batch axis included)")
