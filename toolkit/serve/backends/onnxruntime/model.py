"""A Triton python-based backend that serves `backend: "onnxruntime"` entries with ONNX Runtime.

It stands in for the native backend where there is none: the same entries, the same parameters and no others, the same
refusal of a config that contradicts the graph. Self-contained: standard library, numpy, onnxruntime, Triton's module.
Source: triton-inference-server/onnxruntime_backend, README ("Model Config Options") and src/onnxruntime.cc.
"""

from __future__ import annotations

import gc
import json
import operator
import os
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils

#: Set by whoever launches the server; the native backend has no such parameter, so no entry can hold it.
SPINNING = "TOOLKIT_ORT_ALLOW_SPINNING"
DEVICE_ALLOCATOR = "session.use_device_allocator_for_initializers"
PARAMETERS = {
    "intra_op_thread_count": "0",
    "inter_op_thread_count": "0",
    "execution_mode": "0",
    "enable_mem_arena": "1",
    "enable_mem_pattern": "1",
    DEVICE_ALLOCATOR: "0",
}
PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
#: What the native backend calls otherwise than the TensorRT provider does.
TENSORRT_NAMES = {"max_workspace_size_bytes": "trt_max_workspace_size"} | {
    f"int8_{name}": f"trt_int8_{name}" for name in ("calibration_table_name", "use_native_calibration_table")
}
PRECISION_MODES = {"FP32": {}, "FP16": {"trt_fp16_enable": "1"}, "INT8": {"trt_int8_enable": "1"}}
CONFIG_TYPES = {"bool": "TYPE_BOOL", "string": "TYPE_STRING"}
CONFIG_TYPES |= {"float16": "TYPE_FP16", "float": "TYPE_FP32", "double": "TYPE_FP64"}
CONFIG_TYPES |= {f"{u}int{bits}": f"TYPE_{u.upper()}INT{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)}
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
        # What is loaded by now stays until the end: no collection need look at it again.
        gc.collect()
        gc.freeze()

    def execute(self, requests):
        """One response for each request; those that cannot be answered together are answered one by one."""
        if len(requests) > 1 and self.batches:
            try:
                return self.answer(requests)
            except Exception:  # noqa: BLE001 - whose fault it was shows below, request by request
                pass
        return [self.answer_alone(request) for request in requests]

    def answer_alone(self, request):
        """The response to one request, or its error."""
        try:
            return self.answer([request])[0]
        except Exception as err:  # noqa: BLE001 - ONNX Runtime's errors have no other common class
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(err)))

    def answer(self, requests):
        """Run the requests as one batch, and cut its outputs by their rows."""
        if len(requests) == 1:
            feed = {tensor.name(): tensor.as_numpy() for tensor in requests[0].inputs()}
            return [self.response(self.run(feed))]
        feed, rows = join(requests)
        outputs, total = self.run(feed), sum(rows)
        for name, output in zip(self.output_names, outputs, strict=True):
            if output.shape[:1] != (total,):
                raise ValueError(f"output '{name}' has shape {list(output.shape)} for a batch of {total} rows")
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


def join(requests):
    """The inputs of several requests as one feed, and the rows of each request."""
    columns, rows = {}, []
    for request in requests:
        for tensor in request.inputs():
            array = tensor.as_numpy()
            columns.setdefault(tensor.name(), []).append(array)
        rows.append(len(array))
    if any(len(parts) != len(requests) for parts in columns.values()):
        raise ValueError("the requests have different inputs")
    return {name: np.concatenate(parts) for name, parts in columns.items()}, rows


def text_array(array):
    """A string tensor as ONNX Runtime takes it: of str, where Triton gives bytes."""
    text = np.empty(array.size, object)
    text[:] = [element.decode() for element in array.ravel()]
    return text.reshape(array.shape)


def refuse(message):
    """Fail the load with a message that Triton passes on."""
    raise pb_utils.TritonModelException(message)


def load_session(folder, config, kind, device):
    """An ONNX Runtime session with the options of the config, on the GPU where the instance is and onnxruntime can."""
    import onnxruntime  # slow, and the auto-complete stub of a complete config does without

    options = session_options(onnxruntime, config)
    providers = execution_providers(config, kind, device, onnxruntime.get_available_providers())
    path = folder / (config.get("default_model_filename") or "model.onnx")
    if path.is_dir():
        path = path / "model.onnx"
    if not path.is_file():
        refuse(f"unable to find '{path}'")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers)
    except Exception as err:  # noqa: BLE001 - ONNX Runtime's errors have no other common class
        refuse(f"onnx runtime error: {err}")


def parameters(config):
    """The entry's parameters over the defaults. Refuses one that the native backend does not document."""
    given = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
    # TRITON_... are read by Triton itself.
    unknown = [name for name in given if name not in PARAMETERS and not name.startswith("TRITON_")]
    if unknown:
        refuse(f"parameter '{unknown[0]}' is unknown; the onnxruntime backend reads: {', '.join(PARAMETERS)}")
    return PARAMETERS | given


def number(values, name, low, high):
    """A parameter as an integer from low to high."""
    if not values[name].isdigit() or not low <= int(values[name]) <= high:
        refuse(f"parameter '{name}' is '{values[name]}'; expected an integer from {low} to {high}")
    return int(values[name])


def session_options(onnxruntime, config):
    """SessionOptions from `parameters` and `optimization.graph.level`."""
    values, options = parameters(config), onnxruntime.SessionOptions()
    options.intra_op_num_threads = number(values, "intra_op_thread_count", 0, 4096)
    options.inter_op_num_threads = number(values, "inter_op_thread_count", 0, 4096)
    modes = (onnxruntime.ExecutionMode.ORT_SEQUENTIAL, onnxruntime.ExecutionMode.ORT_PARALLEL)
    options.execution_mode = modes[number(values, "execution_mode", 0, 1)]
    options.enable_cpu_mem_arena = bool(number(values, "enable_mem_arena", 0, 1))
    options.enable_mem_pattern = bool(number(values, "enable_mem_pattern", 0, 1))
    options.add_session_config_entry(DEVICE_ALLOCATOR, str(number(values, DEVICE_ALLOCATOR, 0, 1)))
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
    if kind != "GPU":
        return ["CPUExecutionProvider"]
    chosen = {}
    if "tensorrt" in wanted:
        chosen[PROVIDERS["tensorrt"]] = tensorrt_options(wanted["tensorrt"])
    if "cuda" in wanted or PROVIDERS["cuda"] in available:
        chosen[PROVIDERS["cuda"]] = wanted.get("cuda", {})
    for provider in chosen.keys() - set(available):
        refuse(f"an Execution Accelerator needs {provider}; this onnxruntime has {', '.join(available)}")
    return [*((name, values | {"device_id": device}) for name, values in chosen.items()), "CPUExecutionProvider"]


def tensorrt_options(given):
    """The TensorRT provider's options from the native backend's names for them."""
    options = {TENSORRT_NAMES.get(name, name): value for name, value in given.items() if name != "precision_mode"}
    mode = given.get("precision_mode", "FP32")
    if mode not in PRECISION_MODES:
        refuse(f"unsupported precision mode '{mode}' is requested; known: {', '.join(PRECISION_MODES)}")
    return options | PRECISION_MODES[mode]


def graph_dims(tensor):
    """A graph's dims as a config writes them. Empty for a scalar, and where the graph does not tell."""
    return [dim if isinstance(dim, int) else -1 for dim in tensor.shape]


def config_type(tensor):
    """The config's name for the type of a graph's tensor."""
    element = tensor.type.removeprefix("tensor(").removesuffix(")")
    if element not in CONFIG_TYPES:
        refuse(f"tensor '{tensor.name}' has type {tensor.type}, which cannot be served")
    return CONFIG_TYPES[element]


def complete(config, session):
    """Write inputs, outputs, max_batch_size and the dynamic batcher into a config that lacks them."""
    sides = {"input": session.get_inputs(), "output": session.get_outputs()}
    batchable = all(graph_dims(tensor)[:1] == [-1] for tensors in sides.values() for tensor in tensors)
    if batchable:
        config["max_batch_size"] = config["max_batch_size"] or DEFAULT_MAX_BATCH_SIZE
        if config["max_batch_size"] > 1 and "sequence_batching" not in config:
            config.setdefault("dynamic_batching", {})
    elif config["max_batch_size"]:
        refuse(f"autofill failed for model '{config['name']}': the model does not batch, max_batch_size must be 0")
    for side, tensors in sides.items():
        config[side] = config.get(side) or [described(tensor, batchable) for tensor in tensors]


def described(tensor, batchable):
    """One input or output of a config; one that has the batch axis alone needs a reshape."""
    dims = graph_dims(tensor)[1 if batchable else 0 :]
    entry = {"name": tensor.name, "data_type": config_type(tensor), "dims": dims or [1]}
    return entry if dims or not batchable else entry | {"reshape": {"shape": []}}


def check(config, session):
    """Refuse a config that contradicts the graph: names, types and dims, compared as the native backend does."""
    sides = {"input": session.get_inputs(), "output": session.get_outputs()}
    for side, tensors in sides.items():
        graph = {tensor.name: tensor for tensor in tensors}
        for entry in config[side]:
            if entry["name"] not in graph:
                refuse(f"unexpected {side} '{entry['name']}', allowed {side}s are: {', '.join(graph)}")
            check_tensor(config, side, entry, graph[entry["name"]])
    absent = {tensor.name for tensor in sides["input"]} - {entry["name"] for entry in config["input"]}
    if absent:
        refuse(f"the model needs the inputs {', '.join(sorted(absent))}, which the configuration lacks")


def check_tensor(config, side, entry, tensor):
    """Refuse a wrong type, or dims that differ: those of outputs anywhere, those of inputs where the graph is fixed."""
    where = f"model '{config['name']}', {side} '{tensor.name}'"
    if entry["data_type"] != config_type(tensor):
        refuse(f"{where}: the model has {config_type(tensor)}, the configuration {entry['data_type']}")
    graph = graph_dims(tensor)
    batch = [-1] if config["max_batch_size"] > 0 else []
    dims = batch + [int(dim) for dim in entry.get("reshape", {}).get("shape", entry["dims"])]
    free = [side == "input" and dim == -1 for dim in graph]
    same = len(graph) == len(dims) and all(map(operator.or_, free, map(operator.eq, graph, dims)))
    if graph and not same:
        refuse(f"{where}: the model has dims {graph}, the configuration {dims} (batch axis included)")
