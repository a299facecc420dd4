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
from toolkit.poc import Poc
from toolkit.records import write_bytes
from toolkit.repository.pipeline import PipelineStep
from toolkit.serve.wire import infer_request
from toolkit.workflow.live_parity import Questions

Arrays = Mapping[str, Any]


def requests_from(model: str, inputs: Arrays) -> tuple[bytes, ...]:
    """One HTTP request of one row for each row of `inputs`."""
    count = min(len(a) for a in inputs.values())
    rows = ({name: array[i : i + 1] for name, array in inputs.items()} for i in range(count))
    return tuple(infer_request(model, row, host="localhost") for row in rows)


def write_requests(folder: Path, requests: Sequence[bytes]) -> None:
    """Keep requests as files, so that the same bytes can be sent again by anyone."""
    for number, request in enumerate(requests):
        write_bytes(folder / f"{number:04d}.http", request)


def read_requests(folder: Path) -> tuple[bytes, ...]:
    """The requests that `write_requests` kept, in order."""
    return tuple(p.read_bytes() for p in sorted(folder.glob("*.http")))


def customer_inputs(poc: Poc, samples: Arrays) -> dict[str, Any]:
    """The inputs of the measured entry that make the pipeline hand `samples` to the model."""
    tensors = dict(samples)
    for stage in reversed(poc.file.pipeline.steps if poc.file.pipeline else ()):
        tensors = _before(poc, stage, tensors)
    return tensors


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


def sample_requests(poc: Poc, artifact: Path, count: int) -> tuple[bytes, ...]:
    """The first `count` samples of the exporter as requests to the measured entry."""
    samples = {name: array[:count] for name, array in read_arrays(artifact / "samples.npz").items()}
    return requests_from(poc.measured, customer_inputs(poc, samples))


def questions_of(poc: Poc, artifact: Path) -> Questions:
    """What live parity asks: the labelled held-out samples where there are some, else the exporter's samples."""
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
            return {stage.outputs[name]: array for name, array in outputs.items() if name in stage.outputs}
    return dict(outputs)
