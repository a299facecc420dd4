"""From samples to the requests that a customer would send, built once as bytes, and the answers they should get.

The samples are those of the model whose answers are compared; where a pipeline prepares its input (image bytes to
tensor), the family's encoder turns each sample back into what the pipeline is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.export.arrays import read_arrays
from toolkit.export.made_arrays import ARRAYS_FILE
from toolkit.families.asking import Asked, Questions
from toolkit.load.connection import WireProtocol
from toolkit.poc import Poc
from toolkit.records import write_bytes
from toolkit.repository.model_config import ModelConfig, config_data
from toolkit.repository.pipeline import PipelineStep
from toolkit.serve.wire import generate_request, infer_request
from toolkit.serve.wire_grpc import infer_message

Arrays = Mapping[str, Any]


def requests_from(model: str, inputs: Arrays, protocol: WireProtocol = "http") -> tuple[bytes, ...]:
    """One request of one row for each row of `inputs`: whole HTTP requests, or length-prefixed messages of gRPC."""
    count = min(len(a) for a in inputs.values())
    rows = ({name: array[i : i + 1] for name, array in inputs.items()} for i in range(count))
    if protocol in ("grpc", "grpc-stream"):
        return tuple(infer_message(model, row) for row in rows)
    if protocol == "sse":
        return tuple(generate_request(model, _json_inputs(row), host="localhost") for row in rows)
    return tuple(infer_request(model, row, host="localhost") for row in rows)


def _json_inputs(row: Arrays) -> dict[str, Any]:
    """One row as the generate extension has it: a number or a text where there is one, else a list."""
    values = {name: array.ravel().tolist() for name, array in row.items()}
    plain = {n: [v.decode() if isinstance(v, bytes) else v for v in given] for n, given in values.items()}
    return {name: given[0] if len(given) == 1 else given for name, given in plain.items()}


def write_requests(folder: Path, requests: Sequence[bytes], protocol: WireProtocol = "http") -> None:
    """Keep requests as files, so that the same bytes can be sent again by anyone."""
    kind = "grpc" if protocol in ("grpc", "grpc-stream") else "http"
    for number, request in enumerate(requests):
        write_bytes(folder / f"{number:04d}.{kind}", request)


def read_requests(folder: Path) -> tuple[bytes, ...]:
    """The requests that `write_requests` kept, in order."""
    return tuple(p.read_bytes() for p in sorted(folder.glob("*")) if p.suffix in (".http", ".grpc"))


def customer_inputs(poc: Poc, samples: Arrays) -> dict[str, Any]:
    """The inputs of the measured entry that make the pipeline hand `samples` to the model."""
    tensors = dict(samples)
    for stage in reversed(poc.file.pipeline.steps if poc.file.pipeline else ()):
        tensors = _before(poc, stage, tensors)
    return as_columns(tensors)


def _before(poc: Poc, stage: PipelineStep, tensors: dict[str, Any]) -> dict[str, Any]:
    """What a stage must be given so that `tensors` (its outputs, or the model's inputs) come about."""
    if stage.model not in poc.file.steps:
        return {stage.inputs[name]: array for name, array in tensors.items() if name in stage.inputs}
    spec = poc.file.steps[stage.model]
    if spec.step not in poc.family.encoders:
        text = f"family {poc.family.name} has no encoder for step '{spec.step}', so no request can be made from samples"
        raise ConfigurationError(f"{stage.model}: {text}")
    made, given = next(iter(stage.outputs.values())), next(iter(stage.inputs.values()))
    encoded = poc.family.encoders[spec.step](tensors[made], spec.config.get("parameters", {}))
    return {name: array for name, array in tensors.items() if name != made} | {given: encoded}


def questions_folder(poc: Poc, folders: Mapping[str, Path]) -> Path:
    """Where what is asked comes from: the data that poc.yaml names under `questions`, else the model's artifact."""
    return folders[poc.file.questions or poc.model]


def sample_requests(poc: Poc, folder: Path, count: int, entry: ModelConfig) -> tuple[bytes, ...]:
    """The first `count` questions as requests to the measured entry; where the family has a workload, all of that."""
    if (asking := poc.family.asking) is not None:
        return asking.requests(asked_entry(poc, entry, folder), poc.workload, asking.protocol)
    if poc.file.questions:
        inputs, _, _ = _asked(poc, folder)
        return requests_from(poc.measured, {name: array[:count] for name, array in inputs.items()})
    samples = {name: array[:count] for name, array in read_arrays(folder / "samples.npz").items()}
    return requests_from(poc.measured, customer_inputs(poc, samples))


def first_question(poc: Poc, run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first question of a run and its answer: inputs of the measured entry and expected outputs, a row each."""
    if poc.file.questions:
        inputs, answers, _ = _asked(poc, run / "data" / poc.file.questions)
    else:
        artifact = run / "artifacts" / poc.model
        inputs = customer_inputs(poc, _first_row(read_arrays(artifact / "samples.npz")))
        answers = as_answered(poc, read_arrays(artifact / "reference.npz"))
    return _first_row(inputs), _first_row(answers)


def _first_row(arrays: Arrays) -> dict[str, Any]:
    return {name: array[:1] for name, array in arrays.items()}


def _asked(poc: Poc, folder: Path) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Inputs, answers and labels (None without) of the data under `questions`. Raises ConfigurationError."""
    arrays = read_arrays(folder / ARRAYS_FILE)
    inputs = {n.removeprefix("input."): a for n, a in arrays.items() if n.startswith("input.")}
    answers = {n.removeprefix("answer."): a for n, a in arrays.items() if n.startswith("answer.")}
    rows = {len(a) for a in (*inputs.values(), *answers.values())}
    if not inputs or not answers or len(rows) != 1:
        raise ConfigurationError(
            f"poc.yaml: questions: {poc.file.questions} makes {', '.join(arrays)}; expected input.NAME and answer.NAME "
            f"with as many rows each"
        )
    return inputs, answers, arrays.get("label")


def asked_entry(poc: Poc, entry: ModelConfig, folder: Path) -> Asked:
    """The measured entry as its family asks it."""
    assert poc.family.asking is not None
    return poc.family.asking.entry(config_data(entry), folder)


def questions_of(poc: Poc, artifact: Path, entry: ModelConfig) -> Questions:
    """What live parity asks: the questions of poc.yaml, else the labelled held-out samples, else the exporter's."""
    if poc.family.asking is not None:
        return poc.family.asking.questions(asked_entry(poc, entry, artifact), artifact)
    if poc.file.questions:
        inputs, answers, labels = _asked(poc, artifact)
        requests = requests_from(poc.measured, inputs)
        return Questions(requests=requests, reference=answers, labels=labels, comparing=poc.family.compare)
    held_out, labels = artifact / "held_out.npz", None
    if held_out.is_file():
        arrays = read_arrays(held_out)
        labels = arrays["label"]
        samples = {n.removeprefix("input."): a for n, a in arrays.items() if n.startswith("input.")}
        reference = read_arrays(artifact / "held_out_reference.npz")
    else:
        count = poc.file.parity.requests
        samples = {n: a[:count] for n, a in read_arrays(artifact / "samples.npz").items()}
        reference = {n: a[:count] for n, a in read_arrays(artifact / "reference.npz").items()}
    requests = requests_from(poc.measured, customer_inputs(poc, samples))
    return Questions(requests=requests, reference=as_answered(poc, reference), labels=labels)


def as_answered(poc: Poc, outputs: Arrays) -> dict[str, Any]:
    """The model's outputs under the names that the pipeline gives them."""
    for stage in poc.file.pipeline.steps if poc.file.pipeline else ():
        if stage.model == poc.model:
            named = {stage.outputs[name]: array for name, array in outputs.items() if name in stage.outputs}
            return as_columns(named)
    return as_columns(outputs)


def as_columns(arrays: Arrays) -> dict[str, Any]:
    """One value per row as a batching Triton takes and gives it, a column [n, 1]: its dims cannot be empty."""
    return {name: array.reshape(-1, 1) if array.ndim == 1 else array for name, array in arrays.items()}
