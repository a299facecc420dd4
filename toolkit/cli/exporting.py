"""`toolkit inspect` and `toolkit export`: look at a model; to ONNX, a ladder of precisions, a TensorRT engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from toolkit.cli import show
from toolkit.cli.options import Inputs, Json, Memory, Model, Python, Timeout, Trust
from toolkit.cli.show_export import show_ladder


def export(
    model: Model,
    output: Annotated[Path, typer.Option("--output", help="The artifact's folder; must be new.")],
    inputs: Inputs = [],
    samples: Annotated[
        Path | None, typer.Option("--samples", help="What it is compared and calibrated on: arrays by input name.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The artifact's name; default: the folder's.")] = None,
    opset: Annotated[int, typer.Option("--opset", help="The ONNX opset.")] = 20,
    precision: Annotated[
        str, typer.Option("--precision", help="Of fp32,fp16,bf16,int8-dynamic,int8-qdq,int8-qdq-trt; int4 for an LLM.")
    ] = "fp32",
    budget: Annotated[float, typer.Option("--accuracy-budget", help="What a lower precision may lose.")] = 0.01,
    kind: Annotated[
        Literal["onnx", "tensorrt"], typer.Option("--format", help="tensorrt: an engine for the GPU here, from ONNX.")
    ] = "onnx",
    max_batch_size: Annotated[int, typer.Option("--max-batch-size", min=1, help="The engine's largest batch.")] = 8,
    trust: Trust = False,
    timeout: Timeout = "30m",
    memory: Memory = None,
    python: Python = None,
    json: Json = False,
) -> None:
    """Export a model to ONNX and compare it with the original; exit code 1 when they differ."""
    from toolkit.workflow import export as exporting

    worker = exporting.worker_options(timeout, memory, python)
    spec = exporting.export_spec(inputs, samples=samples, opset=opset, **worker)
    given: dict[str, Any] = {"name": name, "spec": spec, "trust": trust}
    ladder = None
    with show.progress(json) as progress:
        given["progress"] = progress
        if kind == "tensorrt":
            given |= {"precisions": precision, "max_batch_size": max_batch_size, "budget": budget}
            artifact, parity = exporting.export_to_engine(model, output, **given)
            output /= "engine"
        elif precision not in ("fp32", "int4"):
            ladder, accepted = exporting.export_precisions(model, output, precisions=precision, budget=budget, **given)
        else:
            artifact, parity = exporting.export_model(model, output, precision=precision, **given)
    if ladder is not None:
        show.document(ladder) if json else show_ladder(output, ladder)
        raise typer.Exit(0 if accepted else 1)
    show.document({"artifact": artifact, "parity": parity}) if json else show.parity(output, artifact, parity)
    raise typer.Exit(0 if parity.passed else 1)


def inspect(
    model: Model,
    inputs: Inputs = [],
    trust: Trust = False,
    timeout: Timeout = "30m",
    memory: Memory = None,
    python: Python = None,
    json: Json = False,
) -> None:
    """Framework, signature, size and operators of a model, and what is unsafe in it."""
    from toolkit.export.inspect import inspect_model
    from toolkit.models.source import source_from_path
    from toolkit.records import to_data
    from toolkit.tensor import tensor_from_text
    from toolkit.workflow.export import worker_options

    source, tensors = source_from_path(model, trust=trust), tuple(tensor_from_text(t) for t in inputs)
    found = inspect_model(source, tensors, **worker_options(timeout, memory, python))
    show.document(found) if json else show.inspection(to_data(found))


COMMANDS = (inspect, export)
