"""Rules on where and how often a model runs: instance groups, accelerators, threads, the backend's own parameters."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject

#: Every model parameter that the native backend reads (onnxruntime_backend, README.md and src/onnxruntime.cc) -> the
#: values that it takes, None where any text can be right. It ignores others.
ONNXRUNTIME_PARAMETERS: dict[str, range | None] = {
    "intra_op_thread_count": range(4097),
    "inter_op_thread_count": range(4097),
    "execution_mode": range(2),
    "enable_mem_arena": range(2),
    "enable_mem_pattern": range(2),
    "memory.enable_memory_arena_shrinkage": None,
    "session.use_device_allocator_for_initializers": range(2),
    "cudnn_conv_algo_search": range(3),
    "gpu_mem_limit": None,
    "arena_extend_strategy": range(2),
    "do_copy_in_default_stream": range(2),
}
_GPU_ACCELERATORS = {"onnxruntime": {"tensorrt", "cuda"}}
_CPU_ACCELERATORS = {"onnxruntime": {"openvino"}}


@rule(
    "TR014",
    "remark",
    "The entry cannot be served without that GPU.",
    "say KIND_AUTO and leave gpus out, unless this repository is for one known machine",
)
def tied_to_gpu(subject: Subject) -> Iterator[str]:
    for group in subject.config.instance_group:
        # An engine is made for one kind of GPU, and says nothing new by asking for it.
        if group.gpus or (group.kind == "KIND_GPU" and subject.backend != "tensorrt"):
            where = f" gpus {list(group.gpus)}" if group.gpus else ""
            yield f"instance_group says {group.kind}{where}"


@rule(
    "TR016",
    "error",
    "The native backend ignores it silently; the embedded one refuses it.",
    "correct or remove the parameter",
)
def unknown_parameter(subject: Subject) -> Iterator[str]:
    if subject.backend == "onnxruntime":
        unknown = sorted(set(subject.config.parameters) - set(ONNXRUNTIME_PARAMETERS))
        # Those that start so are read by Triton itself.
        yield from (
            f"parameter '{name}' is none of the onnxruntime backend's"
            for name in unknown
            if not name.startswith("TRITON_")
        )


@rule(
    "TR051",
    "error",
    "The onnxruntime backend does not load with such a value.",
    "write a number that the backend documents",
)
def wrong_parameter(subject: Subject) -> Iterator[str]:
    for name, parameter in subject.config.parameters.items() if subject.backend == "onnxruntime" else ():
        allowed, text = ONNXRUNTIME_PARAMETERS.get(name), parameter.string_value
        if allowed is not None and not (text.isdigit() and int(text) in allowed):
            yield f"parameter '{name}' is '{text}'; expected an integer from 0 to {allowed.stop - 1}"


@rule(
    "TR052",
    "error",
    "Only instances on GPUs can name GPUs; Triton does not load the entry.",
    "say kind: KIND_GPU, or remove gpus",
)
def gpus_without_gpu(subject: Subject) -> Iterator[str]:
    for group in subject.config.instance_group:
        if group.gpus and group.kind in ("KIND_CPU", "KIND_MODEL"):
            yield f"{group.kind} with gpus {list(group.gpus)}"


@rule(
    "TR053",
    "error",
    "Optimisation profiles are TensorRT's, by number; Triton does not load the entry.",
    'remove `profile`, or write the number of a profile of the engine, as in profile: ["0"]',
)
def wrong_profile(subject: Subject) -> Iterator[str]:
    for group in subject.config.instance_group:
        if group.profile and subject.backend != "tensorrt":
            yield f"instance_group has profile {list(group.profile)} on the {subject.backend} backend"
        yield from (f"profile '{name}' is not a number" for name in group.profile if not name.isdigit())


@rule(
    "TR054",
    "remark",
    "Without a count Triton takes its default: two instances of onnxruntime on a CPU, else one.",
    "write the number of instances that you want",
)
def silent_count(subject: Subject) -> Iterator[str]:
    for number, group in enumerate(subject.config.instance_group):
        if not group.count:
            yield f"instance_group[{number}] has no count"


@rule(
    "TR055",
    "warning",
    "Every instance takes a thread for each core, and on a CPU they wait for each other.",
    "set intra_op_thread_count to the cores divided by the instances",
)
def threads_of_several_instances(subject: Subject) -> Iterator[str]:
    threads = subject.config.parameters.get("intra_op_thread_count")
    count = sum(g.count or 1 for g in subject.config.instance_group if g.kind in ("KIND_AUTO", "KIND_CPU"))
    if subject.backend == "onnxruntime" and count > 1 and (threads is None or threads.string_value in ("", "0")):
        yield f"{count} instances with intra_op_thread_count 0"


@rule(
    "TR056",
    "error",
    "The backend has no such accelerator; it does not load the entry, or runs without it.",
    "use tensorrt or cuda under gpu_execution_accelerator, openvino under cpu_execution_accelerator",
)
def unknown_accelerator(subject: Subject) -> Iterator[str]:
    policy = subject.config.optimization
    chosen = (policy.execution_accelerators if policy else None) or {}
    for where, known in (
        ("gpu_execution_accelerator", _GPU_ACCELERATORS),
        ("cpu_execution_accelerator", _CPU_ACCELERATORS),
    ):
        for one in chosen.get(where, ()):
            if subject.backend in known and one.get("name") not in known[subject.backend]:
                yield f"{where} '{one.get('name')}' is none of the {subject.backend} backend's"


@rule(
    "TR057",
    "warning",
    "GPU accelerators act on instances that run on a GPU; on these the model runs without them.",
    "say kind: KIND_AUTO or KIND_GPU, or remove gpu_execution_accelerator",
)
def accelerator_without_gpu(subject: Subject) -> Iterator[str]:
    policy, groups = subject.config.optimization, subject.config.instance_group
    chosen = (policy.execution_accelerators if policy else None) or {}
    if chosen.get("gpu_execution_accelerator") and groups and all(g.kind == "KIND_CPU" for g in groups):
        yield "gpu_execution_accelerator with instances of KIND_CPU alone"


RULES = (
    tied_to_gpu,
    unknown_parameter,
    wrong_parameter,
    gpus_without_gpu,
    wrong_profile,
    silent_count,
    threads_of_several_instances,
    unknown_accelerator,
    accelerator_without_gpu,
)
